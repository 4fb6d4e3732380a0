package dns_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/probe/proctest"
)

// patience is how long a test waits for what must happen.
const patience = 2 * time.Minute

// resolver is a resolver of Debian's that asks a server of ours for its zone, and nobody
// for anything else.
type resolver struct {
	name, program string
	// start returns its arguments, and the files that it needs, by name.
	start func(dir string, port uint16, zone string, to netip.AddrPort) (args []string, files map[string]string)
	least time.Duration // what it makes of a shorter TTL
}

var resolvers = []resolver{
	{"unbound", "unbound", func(dir string, port uint16, zone string, to netip.AddrPort) ([]string, map[string]string) {
		return []string{"-d", "-c", dir + "/unbound.conf"}, map[string]string{"unbound.conf": fmt.Sprintf(`server:
  interface: 127.0.0.1
  port: %d
  username: ""
  chroot: ""
  directory: "%s"
  pidfile: ""
  use-syslog: no
  do-not-query-localhost: no
  module-config: "iterator"
  num-threads: 1
  local-zone: "test." nodefault
remote-control:
  control-enable: no
stub-zone:
  name: %s
  stub-addr: %s@%d
`, port, dir, zone, to.Addr(), to.Port())}
	}, 0},
	{"bind9", "named", func(dir string, port uint16, zone string, to netip.AddrPort) ([]string, map[string]string) {
		return []string{"-g", "-n", "1", "-c", dir + "/named.conf"}, map[string]string{"named.conf": fmt.Sprintf(`options {
  directory "%s"; pid-file none; session-keyfile "%[1]s/key"; managed-keys-directory "%[1]s";
  listen-on port %d { 127.0.0.1; }; listen-on-v6 { none; };
  recursion yes; dnssec-validation no;
};
controls { };
zone "%s" { type forward; forward only; forwarders { %s port %d; }; };
`, dir, port, zone, to.Addr(), to.Port())}
	}, 0},
	{"knot-resolver", "kresd", func(dir string, port uint16, zone string, to netip.AddrPort) ([]string, map[string]string) {
		return []string{"-n", "-q", "-c", dir + "/kresd.conf", dir}, map[string]string{"kresd.conf": fmt.Sprintf(`net.listen('127.0.0.1', %d, { kind = 'dns' })
trust_anchors.remove('.')
cache.size = 10 * MB
policy.add(policy.suffix(policy.STUB('%s@%d'), {todname('%s.')}))
`, port, to.Addr(), to.Port(), zone)}
	}, 5 * time.Second},
	{"pdns-recursor", "pdns_recursor", func(dir string, port uint16, zone string, to netip.AddrPort) ([]string, map[string]string) {
		return []string{
			"--config-dir=" + dir, "--socket-dir=" + dir, "--daemon=no", "--disable-syslog", "--local-address=127.0.0.1", fmt.Sprintf("--local-port=%d", port),
			"--dont-query=", "--dnssec=off", "--threads=1", fmt.Sprintf("--forward-zones=%s=%s", zone, to),
		}, nil
	}, 0},
	{"dnsmasq", "dnsmasq", func(_ string, port uint16, zone string, to netip.AddrPort) ([]string, map[string]string) {
		return []string{
			"--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file=", "--user=", fmt.Sprintf("--port=%d", port),
			"--listen-address=127.0.0.1", "--bind-interfaces", fmt.Sprintf("--server=/%s/%s#%d", zone, to.Addr(), to.Port()),
		}, nil
	}, 0},
}

// run starts a resolver until the test ends, and returns its address.
func (r *resolver) run(t *testing.T, zone string, to netip.AddrPort) netip.AddrPort {
	t.Helper()
	path := program(t, r.program)
	dir := t.TempDir()
	var said bytes.Buffer
	for range 5 { // of ports that are free
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		at := l.Addr().(*net.TCPAddr).AddrPort()
		l.Close()
		args, files := r.start(dir, at.Port(), zone, to)
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		said.Reset()
		cmd := exec.Command(path, args...)
		cmd.Stdout, cmd.Stderr = &said, &said
		cmd.SysProcAttr = proctest.DieWithTest()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { _ = cmd.Wait(); close(ended) }()
		t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
		for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			if m, err := asks(at, zone, miekg.TypeSOA); err == nil && len(m.Answer) == 1 {
				return at
			}
			select {
			case <-ended:
				end = time.Time{}
			default:
			}
		}
		_ = cmd.Process.Kill()
		<-ended
	}
	t.Fatalf("%s does not answer for the zone: %s", r.name, said.String())
	return netip.AddrPort{}
}

// asks is a stub resolver's query.
func asks(at netip.AddrPort, name string, qtype uint16) (*miekg.Msg, error) {
	m := new(miekg.Msg)
	m.SetQuestion(miekg.Fqdn(name), qtype)
	r, _, err := (&miekg.Client{Timeout: 5 * time.Second}).Exchange(m, at.String())
	return r, err
}

// asksAgain asks until there is an answer: on a busy machine ours may be late, and the
// resolver then says SERVFAIL.
func asksAgain(at netip.AddrPort, name string, qtype uint16) (m *miekg.Msg, err error) {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if m, err = asks(at, name, qtype); err == nil && m.Rcode != miekg.RcodeServerFailure {
			break
		}
	}
	return m, err
}

// player is a node that plays to whoever connects.
type player struct {
	l  net.Listener
	mu sync.Mutex
	on []net.Conn
}

func play(t *testing.T, addr string) *player {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Skipf("this test needs the loopback addresses 127.0.0.0/8: %v", err)
	}
	p := &player{l: l}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.mu.Lock()
			p.on = append(p.on, c)
			p.mu.Unlock()
			_, _ = io.WriteString(c, "HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\n\r\nmusic of "+l.Addr().String())
		}
	}()
	t.Cleanup(p.kill)
	return p
}

func (p *player) kill() {
	p.l.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.on {
		c.Close()
	}
}

// Every resolver of Debian's takes our answers, says what we said, and leads to a living
// node once the answer that it kept is out of date. A listener plays by name through it.
func TestResolvers(t *testing.T) {
	t.Parallel()
	a := play(t, "127.0.0.61:0")
	port := a.l.Addr().(*net.TCPAddr).Port
	play(t, fmt.Sprintf("127.0.0.62:%d", port))
	l := newLab(t)
	l.fleet.Regions, l.fleet.Nodes = nil, nil
	l.node("a", "127.0.0.61", "2001:db8::1")
	l.node("b", "127.0.0.62", "2001:db8::2")
	for i := range l.fleet.Nodes {
		l.fleet.Nodes[i].URLs = []string{fmt.Sprintf("http://%s.radio.test:%d", l.fleet.Nodes[i].ID, port)}
	}
	l.row("world", director.Match{Default: true}, "a", 1, "b", 1)
	for i := range l.policy.Zone.Names {
		if n := &l.policy.Zone.Names[i]; !n.Directors {
			n.Port, n.TTL = uint16(port), time.Second
		}
	}
	l.ready()
	to := l.serve()
	var ready, all sync.WaitGroup
	killed := make(chan struct{})
	for i := range resolvers {
		r := &resolvers[i]
		ready.Add(1)
		all.Go(func() {
			t.Run(r.name, func(t *testing.T) {
				once := sync.OnceFunc(ready.Done)
				defer once()
				at := r.run(t, zone, to)
				r.agrees(t, at)
				r.listens(t, at, port, "127.0.0.61", "127.0.0.62")
				once()
				<-killed
				r.listens(t, at, port, "127.0.0.62")
			})
		})
	}
	ready.Wait()
	a.kill()
	l.set("a", func(r *director.Report) { r.Health = director.Failed })
	l.build()
	close(killed)
	all.Wait()
}

// agrees asks for shapes that a resolver could change.
func (r *resolver) agrees(t *testing.T, at netip.AddrPort) {
	t.Helper()
	for _, c := range []struct {
		name  string
		qtype uint16
		rcode int
		want  string // of the answers' data, in order; empty: none
	}{
		{"nothing." + zone, miekg.TypeA, miekg.RcodeNameError, ""},
		{"eu." + zone, miekg.TypeA, miekg.RcodeSuccess, ""},
		{"b.eu." + zone, miekg.TypeTXT, miekg.RcodeSuccess, ""},
		{"a." + zone, miekg.TypeHTTPS, miekg.RcodeSuccess, ""},
		{zone, miekg.TypeTXT, miekg.RcodeSuccess, `"v=spf1 -all"`},
		{zone, miekg.TypeMX, miekg.RcodeSuccess, "10 mail.radio.test."},
		{zone, miekg.TypeA, miekg.RcodeSuccess, "198.51.100.80"},
		{"go." + zone, miekg.TypeA, miekg.RcodeSuccess, "198.51.100.10"},
		{"go." + zone, miekg.TypeAAAA, miekg.RcodeSuccess, "2001:db8:10::1"},
	} {
		m, err := asksAgain(at, c.name, c.qtype)
		if err != nil {
			t.Errorf("%s %s: %v", c.name, miekg.TypeToString[c.qtype], err)
			continue
		}
		var data []string
		for _, a := range m.Answer {
			data = append(data, strings.TrimPrefix(a.String(), a.Header().String()))
		}
		slices.Sort(data)
		if m.Rcode != c.rcode || strings.Join(data, " ") != c.want {
			t.Errorf("%s %s: %s %q, want %s %q", c.name, miekg.TypeToString[c.qtype], miekg.RcodeToString[m.Rcode], data, miekg.RcodeToString[c.rcode], c.want)
		}
	}
	// What does not fit into a datagram comes by TCP.
	m := new(miekg.Msg)
	m.SetQuestion("big."+zone+".", miekg.TypeTXT)
	if b, _, err := (&miekg.Client{Net: "tcp", Timeout: 10 * time.Second}).Exchange(m, at.String()); err != nil || len(b.Answer) != 6 {
		t.Errorf("a large answer: %v, %v", b, err)
	}
}

// listens plays by name until it has heard all of the nodes, and nobody else.
func (r *resolver) listens(t *testing.T, at netip.AddrPort, port int, want ...string) {
	t.Helper()
	d := net.Dialer{Resolver: &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, at.String())
	}}}
	if m, err := asks(at, "a."+zone, miekg.TypeA); err == nil && len(m.Answer) > 0 {
		if ttl := time.Duration(m.Answer[0].Header().Ttl) * time.Second; ttl > max(time.Second, r.least) {
			t.Errorf("it is told to keep an answer for %v, of 1 s", ttl)
		}
	}
	heard := map[string]bool{}
	begin := time.Now()
	for end := begin.Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		m, err := asks(at, "a."+zone, miekg.TypeA)
		if err != nil || len(m.Answer) == 0 {
			continue
		}
		for _, rr := range m.Answer {
			heard[rr.(*miekg.A).A.String()] = true
		}
		if len(want) == 1 { // an answer that was kept may still name the dead one
			heard = map[string]bool{}
			for _, rr := range m.Answer {
				heard[rr.(*miekg.A).A.String()] = true
			}
		}
		if len(heard) == len(want) && !slices.ContainsFunc(want, func(w string) bool { return !heard[w] }) {
			r.hears(t, &d, port)
			return
		}
	}
	t.Errorf("its answers led to %v, want %v", heard, want)
}

// hears connects by name and listens.
func (r *resolver) hears(t *testing.T, d *net.Dialer, port int) {
	t.Helper()
	var c net.Conn
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		var unknown *net.DNSError // its answer was late
		if c, err = d.Dial("tcp4", fmt.Sprintf("a.%s:%d", zone, port)); !errors.As(err, &unknown) {
			break
		}
	}
	if err != nil {
		t.Errorf("nobody plays: %v", err)
		return
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	b := make([]byte, 100)
	if n, err := io.ReadAtLeast(c, b, 60); err != nil || !strings.Contains(string(b[:n]), "music of 127.0.0.6") {
		t.Errorf("heard %q, %v", b[:n], err)
	}
}
