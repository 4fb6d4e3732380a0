package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// dnsCmd measures the cost of a DNS answer, beside other servers that answer by the
// client's place. Queries come over UDP, with client subnets of 10,000 networks.
type dnsCmd struct {
	benchFlags
	MMDB    string   `name:"mmdb" required:"" type:"existingfile" help:"A city database, for all who take part."`
	Nodes   []int    `default:"10,100,1000" help:"Sizes of the fleet to measure; a region's row names ten."`
	Only    []string `help:"Who takes part: those whose names contain one of these. All, if empty."`
	Queries int      `default:"200000" help:"Queries a round."`
	Rounds  int      `default:"7" help:"Rounds; parties take turns within each."`
	Window  int      `default:"32" help:"Queries under way at once."`
}

// The queried name and its zone.
const (
	dnsZone = "live.radio.test"
	dnsName = "a." + dnsZone
)

const (
	knotGeo   = "knot + mod-geoip"
	pdnsGeo   = "powerdns + geoip"
	bareMiekg = "bare miekg/dns"
)

// dnsReport is the result of dnsCmd.
type dnsReport struct {
	Date    time.Time          `json:"date"`
	Machine string             `json:"machine"`
	Rounds  map[string][]round `json:"rounds"`
}

// Run prints a table, and Signpost's ratios to the other parties.
func (c *dnsCmd) Run() error {
	if ran, err := inOwnNetwork(); ran || err != nil {
		return err
	}
	dir, err := openFolder()
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	nodes, err := startNodes()
	if err != nil {
		return err
	}
	defer nodes.Close()
	parties, err := c.enter(dir, nodes.addr)
	defer func() {
		for _, p := range parties {
			p.stop()
		}
	}()
	if err != nil {
		return err
	}
	for _, p := range parties {
		if err := c.await(p); err != nil {
			return err
		}
	}
	time.Sleep(atRest)
	if err := watch(parties); err != nil {
		return err
	}
	took, err := takeTurns(c.Rounds, parties, func(p *party) (round, error) { return c.ask(p, c.Queries) })
	if err != nil {
		return err
	}
	report := dnsReport{Date: time.Now(), Machine: machine(), Rounds: took}
	c.print(parties, &report)
	return writeJSON(c.JSON, report)
}

func (c *dnsCmd) print(parties []*party, report *dnsReport) {
	fmt.Printf("%s; %s\n\nCPU of an answer, median (lowest to highest) of %d rounds of %d queries, %d under way:\n\n",
		report.Machine, report.Date.Format("2006-01-02"), c.Rounds, c.Queries, c.Window)
	fmt.Println("| | CPU, us an answer | without what it takes at rest | answers a second | RSS MB |\n|---|---|---|---|---|")
	for _, p := range parties {
		r := report.Rounds[p.name]
		fmt.Printf("| %s | %s | %.1f | %.0f | %.0f |\n", p.name, spread(cpus(r), "%.1f"), median(cpus(withoutRest(r))),
			medianOf(r, func(r round) float64 { return r.PerSecond }), float64(p.resident())/1e6)
	}
	fmt.Println("\n| signpost, by the side of | ratio |\n|---|---|")
	first := c.signpost(c.Nodes[0])
	for _, p := range parties {
		if p.name != first && report.Rounds[first] != nil {
			fmt.Printf("| %s | %.2f |\n", p.name, beside(report.Rounds[first], report.Rounds[p.name]))
		}
	}
}

func (c *dnsCmd) signpost(nodes int) string { return fmt.Sprintf("signpost, %d nodes", nodes) }

func (c *dnsCmd) enter(dir, node string) (parties []*party, err error) {
	add := func(name string, start func() (*party, error)) {
		if err != nil || !wanted(c.Only, name) {
			return
		}
		var p *party
		if p, err = start(); err == nil {
			p.name = name
			parties = append(parties, p)
		}
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	add(bareMiekg, func() (*party, error) {
		return start(bareMiekg, proxyServerCore, func(line string) string { return line }, self, "peer", "dns")
	})
	add(knotGeo, func() (*party, error) { return startKnot(dir, c.MMDB) })
	add(pdnsGeo, func() (*party, error) { return startPowerDNS(dir, c.MMDB) })
	for _, n := range c.Nodes {
		add(c.signpost(n), func() (*party, error) {
			f := fleet{node: node, nodes: n, row: 10, mmdb: c.MMDB, dns: true}
			file := filepath.Join(dir, fmt.Sprintf("dns-%d.yaml", n))
			if err := os.WriteFile(file, []byte(f.config()), 0o600); err != nil {
				return nil, err
			}
			return start("", proxyServerCore, answeringAt, c.Signpost, "serve", "--config", file, "--records", "off")
		})
	}
	return parties, err
}

// answeringAt finds the DNS address in a line of Signpost's start-up log.
func answeringAt(line string) string {
	_, rest, found := strings.Cut(line, "msg=listening for=dns addr=")
	if !found {
		return ""
	}
	addr, _, _ := strings.Cut(rest, " ")
	return addr
}

// startKnot starts Knot DNS, which answers by the continent of the client's subnet.
func startKnot(dir, mmdb string) (*party, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	host, port, _ := strings.Cut(addr, ":")
	var geo strings.Builder
	geo.WriteString(dnsName + ".:\n")
	for i, continent := range []string{"EU", "NA", "SA", "AS", "AF", "OC", "AN"} {
		fmt.Fprintf(&geo, "  - geo: \"%s\"\n    A: [192.0.2.%d, 192.0.2.%d]\n", continent, 2*i+1, 2*i+2)
	}
	conf := fmt.Sprintf(`server:
  rundir: %[1]s
  listen: %[2]s@%[3]s
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
  edns-client-subnet: on
log:
  - target: stderr
    any: critical
database:
  storage: %[1]s/knot-db
mod-geoip:
  - id: geo
    config-file: %[1]s/geo.conf
    ttl: 20
    mode: geodb
    geodb-file: %[4]s
    geodb-key: continent/code
zone:
  - domain: %[5]s
    file: %[1]s/zone
    module: mod-geoip/geo
`, dir, host, port, mmdb, dnsZone)
	for name, text := range map[string]string{"knot.conf": conf, "geo.conf": geo.String(), "zone": zoneFile()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	return startSilent(knotGeo, addr, "knotd", "-c", filepath.Join(dir, "knot.conf"))
}

func zoneFile() string {
	return fmt.Sprintf("$TTL 20\n@ IN SOA ns1.radio.test. hostmaster.radio.test. 1 3600 600 86400 60\n@ IN NS ns1.radio.test.\na IN A 192.0.2.99\n$ORIGIN %s.\n", dnsZone)
}

// startPowerDNS starts PowerDNS, which does the same. Its caches are off: they would give
// one network the answer for another.
func startPowerDNS(dir, mmdb string) (*party, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	host, port, _ := strings.Cut(addr, ":")
	var zones strings.Builder
	fmt.Fprintf(&zones, "domains:\n- domain: %[1]s\n  ttl: 20\n  records:\n    %[1]s:\n      - soa: ns1.radio.test hostmaster.radio.test 1 3600 600 86400 60\n      - ns: ns1.radio.test\n", dnsZone)
	for i, continent := range []string{"eu", "na", "sa", "as", "af", "oc", "an", "unknown"} {
		fmt.Fprintf(&zones, "    %s.n.%s:\n      - a: 192.0.2.%d\n      - a: 192.0.2.%d\n", continent, dnsZone, 2*i+1, 2*i+2)
	}
	fmt.Fprintf(&zones, "  services:\n    %s: ['%%cn.n.%s']\n", dnsName, dnsZone)
	conf := fmt.Sprintf(`daemon=no
guardian=no
disable-syslog=yes
loglevel=2
launch=geoip
geoip-database-files=mmdb:%[4]s
geoip-zones-file=%[1]s/zones.yaml
edns-subnet-processing=yes
cache-ttl=0
query-cache-ttl=0
negquery-cache-ttl=0
receiver-threads=1
distributor-threads=1
local-address=%[2]s
local-port=%[3]s
socket-dir=%[1]s
`, dir, host, port, mmdb)
	for name, text := range map[string]string{"pdns.conf": conf, "zones.yaml": zones.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	return startSilent(pdnsGeo, addr, "pdns_server", "--config-dir="+dir)
}

// constantDNS answers every query with the same address, and with the query's EDNS record.
func constantDNS() error {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(conn.LocalAddr())
	a := []byte{192, 0, 2, 1}
	return (&dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		m.Authoritative = true
		m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 20}, A: a}}
		if o := q.IsEdns0(); o != nil {
			m.Extra = []dns.RR{o}
		}
		_ = w.WriteMsg(m) // the client repeats lost queries
	})}).ActivateAndServe()
}

// await waits until a party answers with an address, for up to a minute.
func (c *dnsCmd) await(p *party) error {
	m := new(dns.Msg)
	m.SetQuestion(dnsName+".", dns.TypeA)
	m.SetEdns0(1232, false)
	o := m.IsEdns0()
	o.Option = append(o.Option, &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 24, Address: net.IP{80, 140, 0, 0}})
	var last string
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		r, _, err := (&dns.Client{Timeout: time.Second}).Exchange(m, p.addr)
		if err == nil && r.Rcode == dns.RcodeSuccess && len(r.Answer) > 0 && r.Answer[len(r.Answer)-1].Header().Rrtype == dns.TypeA {
			return nil
		}
		last = fmt.Sprint(r, err)
	}
	return fmt.Errorf("%s gives no address in a minute: %s", p.name, last)
}

// ask measures one round of one party.
func (c *dnsCmd) ask(p *party, queries int) (round, error) {
	return p.round(queries, "askdns", p.addr, strconv.Itoa(queries), strconv.Itoa(c.Window))
}

// askDNSCmd is a client that keeps Window queries under way.
type askDNSCmd struct {
	Addr    string `arg:""`
	Queries int    `arg:""`
	Window  int    `arg:""`
}

// dnsPatience is how long the client waits before it sends a new window of queries.
const dnsPatience = 500 * time.Millisecond

// Run prints an asked as JSON.
func (c *askDNSCmd) Run() error {
	to, err := netip.ParseAddrPort(c.Addr)
	if err != nil {
		return err
	}
	conn, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return err
	}
	defer conn.Close()
	m := new(dns.Msg)
	m.SetQuestion(dnsName+".", dns.TypeA)
	m.RecursionDesired = false
	m.SetEdns0(1232, false)
	o := m.IsEdns0()
	o.Option = append(o.Option, &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 24, Address: net.IP{80, 140, 0, 0}})
	query, err := m.Pack()
	if err != nil {
		return err
	}
	networks := make([][3]byte, 10_000)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range networks {
		networks[i] = [3]byte{byte(1 + r.IntN(222)), byte(r.Uint32()), byte(r.Uint32())}
	}
	next := 0
	send := func() {
		binary.BigEndian.PutUint16(query, uint16(next))
		copy(query[len(query)-3:], networks[next%len(networks)][:])
		next++
		_, _ = conn.Write(query) // a lost query is replaced after dnsPatience
	}
	began := time.Now()
	b := make([]byte, 2048)
	for range c.Window {
		send()
	}
	for answered, lost := 0, 0; answered < c.Queries; {
		if answered%64 == 0 {
			if err := conn.SetReadDeadline(time.Now().Add(dnsPatience)); err != nil {
				return err
			}
		}
		n, err := conn.Read(b)
		if err != nil {
			if lost++; lost > 100 {
				return errors.New("too many queries are lost")
			}
			if err := conn.SetReadDeadline(time.Now().Add(dnsPatience)); err != nil {
				return err
			}
			for range c.Window {
				send()
			}
			continue
		}
		if n < 12 || b[3]&0xf != 0 {
			return fmt.Errorf("an answer with the code %d", b[3]&0xf)
		}
		if answered++; answered+c.Window <= c.Queries {
			send()
		}
	}
	return json.NewEncoder(os.Stdout).Encode(asked{PerSecond: float64(c.Queries) / time.Since(began).Seconds()})
}
