package dns_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/geo"
)

// BenchmarkAnswer answers for 10,000 client subnets from a row of 10 nodes, without
// sockets. SIGNPOST_MMDB names a database other than the embedded one.
func BenchmarkAnswer(b *testing.B) {
	for _, nodes := range []int{10, 1000} {
		b.Run(fmt.Sprintf("nodes=%d", nodes), func(b *testing.B) {
			l := newLab(b)
			c := geo.Config{}
			if name := os.Getenv("SIGNPOST_MMDB"); name != "" {
				c.Databases = []string{name}
			}
			var err error
			if l.geo, err = geo.Open(c); err != nil {
				b.Fatal(err)
			}
			l.fleet.Regions, l.fleet.Nodes = nil, nil
			var row []any
			for i := range nodes {
				id := director.NodeID(fmt.Sprintf("n%d", i))
				l.node(id, fmt.Sprintf("198.18.%d.%d", i>>8, i&255))
				if i < 10 {
					row = append(row, string(id), 1+i%3)
				}
			}
			l.row("eu", director.Match{Continents: []string{"EU"}}, row...)
			l.row("world", director.Match{Default: true}, row...)
			answer := l.ready().Answerer()
			q := ask(b, "a."+zone, miekg.TypeA, netip.MustParsePrefix("80.140.1.0/24"))
			r := rand.New(rand.NewPCG(1, 2))
			var networks [10_000][3]byte
			for i := range networks {
				networks[i] = [3]byte{byte(1 + r.IntN(222)), byte(r.Uint32()), byte(r.Uint32())}
			}
			msg, from, now, i := make([]byte, 2048), netip.MustParseAddr("192.0.2.53"), time.Now(), 0
			b.ReportAllocs()
			for b.Loop() {
				copy(q[len(q)-3:], networks[i%len(networks)][:])
				i++
				if answer(msg, copy(msg, q), from, now) < len(q)+16 {
					b.Fatal("no address")
				}
			}
		})
	}
}
