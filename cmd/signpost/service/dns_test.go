package service

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/probe/proctest"
	"github.com/signpost-fm/signpost/store/redisstore/redistest"
)

const dnsConfig = `
listen: {http: "127.0.0.1:0", shutdown_delay: 0s}
admin: {listen: "127.0.0.1:0"}
mounts: [/live.mp3]
nodes: [{id: one, urls: "%s", kind: http, target: 70, addresses: 192.0.2.1}]
dns:
  listen: 127.0.0.1:0
  zone: live.radio.test
  ns: [ns1.radio.test, ns2.radio.test]
  log_queries: true
  names:
    a.live.radio.test: {mount: /live.mp3}
    go.live.radio.test: directors
`

// lookUp asks a director for addresses: what it answers, or the response code.
func lookUp(t *testing.T, d *Service, name string) string {
	t.Helper()
	m := new(miekg.Msg)
	m.SetQuestion(name+".", miekg.TypeA)
	for range 20 {
		r, _, err := (&miekg.Client{Timeout: 2 * time.Second}).Exchange(m, d.DNSAddrs()[0].String())
		if err != nil {
			continue // a busy machine may lose a packet
		}
		var list []string
		for _, a := range r.Answer {
			if a, ok := a.(*miekg.A); ok {
				list = append(list, a.A.String())
			}
		}
		slices.Sort(list)
		if len(list) == 0 {
			return miekg.RcodeToString[r.Rcode]
		}
		return strings.Join(list, " ")
	}
	t.Fatalf("%s: no answer", name)
	return ""
}

// A running director answers DNS from its snapshot, shows and records what it did, takes
// up another zone, and keeps the old one where the new one has a mistake.
func TestDNS(t *testing.T) {
	t.Parallel()
	var records proctest.Output
	d := startService(t, t.TempDir(), dnsConfig, Options{Records: &records})
	if !poll(func() bool { return lookUp(t, d, "a.live.radio.test") == "192.0.2.1" }) {
		t.Fatalf("the name leads to %s", lookUp(t, d, "a.live.radio.test"))
	}
	if got := lookUp(t, d, "go.live.radio.test"); got != "127.0.0.1" {
		t.Errorf("one director alone is %s, want where it listens", got)
	}
	if d.traffic().Answers["dns"] == 0 {
		t.Error("the answers are not beside those of HTTP")
	}
	line := regexp.MustCompile(`\{"time":"[^"]+","dns":"placed","name":"a.live.radio.test","type":"A","transport":"udp","nodes":\["one"\],"resolver":"127.0.0.0/24","bytes":\d+\}\n`)
	if !poll(func() bool { return line.MatchString(records.String()) }) {
		t.Errorf("the records are %s", records.String())
	}
	for l := range strings.Lines(records.String()) {
		if !json.Valid([]byte(l)) {
			t.Errorf("a record is no JSON: %s", l)
		}
	}
	for _, want := range []string{
		`signpost_dns_queries_total{name="a.live.radio.test",outcome="placed",subnet="no",transport="udp",type="A"} `,
		`signpost_dns_answers_total{node="one",region=""} `, `signpost_dns_nodes_without_address 0`,
	} {
		if text := scrape(t, d); !strings.Contains(text, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}

	node := d.settings.Load().Fleet.Nodes[0].URLs[0]
	apply := func(change func(string) string) error {
		s, err := readConfig(t, filepath.Join(t.TempDir(), "radio.yaml"), []byte(change(fmt.Sprintf(dnsConfig, node))))
		if err == nil {
			err = d.apply(s)
		}
		return err
	}
	if err := apply(func(s string) string { return strings.Replace(s, "a.live.radio.test:", "b.live.radio.test:", 1) }); err != nil {
		t.Fatal(err)
	}
	if got := lookUp(t, d, "a.live.radio.test") + " " + lookUp(t, d, "b.live.radio.test"); got != "NXDOMAIN 192.0.2.1" {
		t.Errorf("after a reload the names lead to %s", got)
	}
	if err := apply(func(s string) string { return strings.Replace(s, "a.live.radio.test:", "a.radio.test:", 1) }); err == nil {
		t.Error("a name outside of the zone is taken")
	}
	if got := lookUp(t, d, "b.live.radio.test"); got != "192.0.2.1" {
		t.Errorf("after a mistake the name leads to %s", got)
	}
	if err := apply(func(s string) string { return strings.Replace(s, "kind: http", "kind: http, drained: true", 1) }); err != nil {
		t.Fatal(err)
	}
	if !poll(func() bool { return lookUp(t, d, "a.live.radio.test") == "NOERROR" }) {
		t.Error("a drained node is still answered")
	}
}

// Two directors that share a store are both answered by both, and one that stops is
// answered no more.
func TestDNSNamesLivingDirectors(t *testing.T) {
	t.Parallel()
	shared := "store: {redis: {url: '" + redistest.Start(t, redistest.Options{}).URL() + "'}}\n"
	begin := func(addr string) *Service {
		return startService(t, t.TempDir(), dnsConfig+"  addresses: "+addr+"\n"+shared, Options{})
	}
	a, b := begin("198.51.100.1"), begin("198.51.100.2")
	for _, d := range []*Service{a, b} {
		if !poll(func() bool { return lookUp(t, d, "go.live.radio.test") == "198.51.100.1 198.51.100.2" }) {
			t.Fatalf("the directors are %s", lookUp(t, d, "go.live.radio.test"))
		}
	}
	b.Retire()
	if !poll(func() bool { return lookUp(t, a, "go.live.radio.test") == "198.51.100.1" }) {
		t.Errorf("one is about to stop, and the directors are %s", lookUp(t, a, "go.live.radio.test"))
	}
	if !poll(func() bool { return lookUp(t, b, "go.live.radio.test") == "198.51.100.1" }) {
		t.Errorf("to itself, the directors are %s", lookUp(t, b, "go.live.radio.test"))
	}
}

// A port that is taken is an error at the start, with the remedy.
func TestDNSPortTaken(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	source := strings.Replace(fmt.Sprintf(dnsConfig, "http://192.0.2.1:8000"), "listen: 127.0.0.1:0\n", "listen: "+taken.Addr().String()+"\n", 1)
	s, err := readConfig(t, filepath.Join(t.TempDir(), "radio.yaml"), []byte(source))
	if err != nil {
		t.Fatal(err)
	}
	d, err := Start(s, Options{Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err == nil {
		d.Close()
		t.Fatal("it started")
	}
	if !strings.Contains(err.Error(), "another DNS server there") {
		t.Errorf("the error is %v", err)
	}
}

// Directors stand where the nodes of their site do.
func TestDNSPlacesDirectors(t *testing.T) {
	t.Parallel()
	config := strings.Replace(dnsConfig, "kind: http,", `kind: http, site: fra, place: "50.1,8.7",`, 1) + "store: {site: fra}\n"
	d := startService(t, t.TempDir(), config, Options{})
	if !poll(func() bool {
		all := *d.names.directors.Load()
		return len(all) == 1 && all[0].Place.Point == director.CityPoint && slices.Equal(all[0].Addrs, []netip.Addr{netip.MustParseAddr("127.0.0.1")})
	}) {
		t.Errorf("the directors are %v", *d.names.directors.Load())
	}
}
