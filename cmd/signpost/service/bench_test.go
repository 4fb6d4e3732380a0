package service

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"testing"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/geo"
)

// BenchmarkLocateAndDecide is what a request costs besides HTTP: from an address
// to a node, for ten nodes. SIGNPOST_BENCH_MMDB names the database, such as one
// of cities; without it, the embedded one is measured.
func BenchmarkLocateAndDecide(b *testing.B) {
	c := geo.Config{}
	if path := os.Getenv("SIGNPOST_BENCH_MMDB"); path != "" {
		c.Databases = []string{path}
	}
	locator, err := geo.Open(c)
	if err != nil {
		b.Fatal(err)
	}
	for _, regions := range []bool{true, false} {
		b.Run(map[bool]string{true: "regions", false: "distance"}[regions], func(b *testing.B) {
			s := tenNodes(b, regions)
			addrs := manyAddresses()
			l := director.Listener{Mount: "/live.mp3", Scheme: director.HTTP}
			var d director.Decision
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				l.Addr = addrs[i%len(addrs)]
				l.Place = locator.Locate(l.Addr)
				l.Key += 0x9e3779b97f4a7c15
				s.Decide(&d, l, nil)
			}
			if len(d.Ranked) != 1 {
				b.Fatal(d.Outcome)
			}
		})
	}
}

// manyAddresses are more than any cache holds the places of.
func manyAddresses() []netip.Addr {
	dice := rand.New(rand.NewPCG(1, 2))
	addrs := make([]netip.Addr, 1<<16)
	for i := range addrs {
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], dice.Uint32())
		addrs[i] = netip.AddrFrom4(a)
	}
	return addrs
}

func tenNodes(b *testing.B, regions bool) *director.Snapshot {
	b.Helper()
	c := director.Config{Mounts: []director.Mount{{Name: "/live.mp3"}}}
	var row []director.Weight
	reports := map[director.NodeID]director.Report{}
	for i := range 10 {
		id := director.NodeID(fmt.Sprintf("n%d", i))
		c.Nodes = append(c.Nodes, director.Node{
			ID: id, URLs: []string{"http://" + string(id) + ".example:8000"}, Target: 1000,
			Place: director.Place{Point: director.CityPoint, Lat: 45, Lon: float32(i*36 - 180)},
		})
		row = append(row, director.Weight{Node: id, Weight: float64(1 + i%3), Given: true})
		reports[id] = director.Report{Node: id, Health: director.Up, AnyMount: true}
	}
	if regions {
		c.Regions = []director.Region{
			{ID: "europe", Match: director.Match{Continents: []string{"EU"}}, Row: row},
			{ID: "germany", Match: director.Match{Countries: []string{"DE"}}, Row: row},
			{ID: "world", Match: director.Match{Default: true}, Row: row},
		}
	}
	f, err := director.Compile(c)
	if err != nil {
		b.Fatal(err)
	}
	return f.Build(nil, director.Input{Reports: reports})
}
