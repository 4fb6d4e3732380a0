package e2e

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director/probe/proctest"
	"github.com/signpost-fm/signpost/store/redisstore/redistest"
	"github.com/signpost-fm/signpost/web/acme/acmetest"
)

// A doorman passes connections on to the directors in turn, as a name with several
// addresses does.
type doorman struct {
	port  int
	ready func()        // closes open
	open  chan struct{} // once it leads anywhere: before that, who comes waits

	mu   sync.Mutex
	to   []string
	next int
}

func newDoorman(t *testing.T) *doorman {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	d := &doorman{port: l.Addr().(*net.TCPAddr).Port, open: make(chan struct{})}
	d.ready = sync.OnceFunc(func() { close(d.open) })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go d.pass(c)
		}
	}()
	return d
}

// lead makes the doorman lead to these directors.
func (d *doorman) lead(all ...*signpost) {
	var to []string
	for _, s := range all {
		to = append(to, strings.TrimPrefix(s.url, "http://"))
	}
	d.leadTo(to...)
}

// leadTo makes the doorman lead to these addresses.
func (d *doorman) leadTo(to ...string) {
	defer d.ready()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.to = to
}

func (d *doorman) pass(from net.Conn) {
	defer from.Close()
	<-d.open
	d.mu.Lock()
	addr := d.to[d.next%len(d.to)]
	d.next++
	d.mu.Unlock()
	to, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer to.Close()
	go func() { _, _ = io.Copy(to, from) }()
	_, _ = io.Copy(from, to)
}

// certified is a configuration with certificates from ca for radio.example. It needs no
// nodes.
func certified(t *testing.T, ca *acmetest.Authority, redis *redistest.Server, prefix string) string {
	t.Helper()
	dir := t.TempDir()
	roots, secret := filepath.Join(dir, "roots.pem"), filepath.Join(dir, "secret")
	if err := os.WriteFile(roots, ca.Roots, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(secret, []byte("a secret of all directors"), 0o600); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`listen:
  http: ['127.0.0.1:0']
  https: ['127.0.0.1:0']
  acme: {names: [radio.example], email: engineer@radio.example, directory: '%s', ca_file: '%s', secret_file: '%s'}
admin: {listen: '127.0.0.1:0'}
nodes: [{id: n1, urls: ['http://127.0.0.1:9']}]
store: {redis: {url: '%s', prefix: '%s'}}
state_dir: '%s'
`, ca.Directory, roots, secret, redis.URL(), prefix, filepath.Join(dir, "state"))
}

// shake returns what a client says of the director's certificate for radio.example.
func (s *signpost) shake(ca *acmetest.Authority) error { return s.shakeFor(ca, "radio.example") }

func (s *signpost) shakeFor(ca *acmetest.Authority, host string) error {
	c, err := tls.Dial("tcp", s.secure, &tls.Config{ServerName: host, RootCAs: ca.Issuers()})
	if err != nil {
		return err
	}
	return c.Close()
}

// Five directors that start at once order one certificate, whichever of them the
// authority asks, and have it without the store, too.
func TestCertificateOfAFleet(t *testing.T) {
	t.Parallel()
	door := newDoorman(t)
	ca := acmetest.Start(t, acmetest.Options{Port: door.port})
	redis := redistest.Start(t, redistest.Options{})
	open := make(chan struct{})
	ca.Watch(func(string) { <-open }) // until the authority can reach all of them
	var all []*signpost
	for range 5 {
		all = append(all, directFile(t, certified(t, ca, redis, "fleet")))
	}
	door.lead(all...)
	close(open)
	for _, s := range all {
		s.eventually(10*time.Second, "a certificate of radio.example", func() bool { return s.shake(ca) == nil })
	}
	if n := ca.Orders("radio.example"); n != 1 {
		t.Errorf("%d orders for one certificate", n)
	}

	// The certificate moves to another fleet, which orders none.
	archive := filepath.Join(t.TempDir(), "archive.tar")
	exported := signpostCommand(t, "certificates", "export", archive, "-c", all[0].config)
	if info, err := os.Stat(archive); err != nil || info.Mode().Perm() != 0o600 || !strings.Contains(exported, "in the clear") || !strings.Contains(exported, "the certificate of radio.example, until ") {
		t.Errorf("export: %v, %v; it says %q", info.Mode(), err, exported)
	}
	other := filepath.Join(t.TempDir(), "other.yaml")
	if err := os.WriteFile(other, []byte(certified(t, ca, redis, "other")), 0o600); err != nil {
		t.Fatal(err)
	}
	if said := signpostCommand(t, "certificates", "import", archive, "-c", other); !strings.Contains(said, ": stored\n") {
		t.Errorf("import says %q", said)
	}
	if said := signpostCommand(t, "certificates", "-c", other); strings.Count(said, "  yes\n") != 2 {
		t.Errorf("the list after an import is %q", said)
	}
	moved := directFile(t, mustRead(t, other))
	moved.eventually(10*time.Second, "the imported certificate", func() bool { return moved.shake(ca) == nil })
	if n := ca.Orders("radio.example"); n != 1 {
		t.Errorf("%d orders after a certificate has moved", n)
	}

	redis.Kill()
	all[0].stop()
	again := directFile(t, mustRead(t, all[0].config))
	again.eventually(10*time.Second, "the certificate without Redis", func() bool { return again.shake(ca) == nil })
	if n := ca.Orders("radio.example"); n != 1 {
		t.Errorf("%d orders after a start without Redis", n)
	}
}

// A director that dies in any step of an order is followed by another, with one order
// more at most.
func TestDeathWhileOrdering(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	steps := []string{"/order-plz", "/chalZ/", "/certZ/"}
	if soak {
		steps = []string{"/dir", "/nonce-plz", "/sign-me-up", "/order-plz", "/authZ/", "/chalZ/", "/my-order/", "/finalize-order/", "/certZ/"}
	}
	for i, step := range steps {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			door := newDoorman(t)
			ca := acmetest.Start(t, acmetest.Options{Port: door.port})
			ready := make(chan *signpost, 1)
			died := make(chan struct{})
			var once sync.Once
			ca.Watch(func(path string) {
				if strings.HasPrefix(path, step) {
					once.Do(func() {
						(<-ready).kill()
						close(died)
					})
				}
			})
			config := certified(t, ca, redis, fmt.Sprint("death", i))
			first := directFile(t, config)
			door.lead(first)
			ready <- first
			after(t, "the director's death at "+step, died)
			second := directFile(t, config)
			door.lead(second)
			second.eventually(30*time.Second, "a certificate from another director", func() bool { return second.shake(ca) == nil })
			if n := ca.Orders("radio.example"); n > 2 {
				t.Errorf("%d orders for one certificate and one death", n)
			}
		})
	}
}

// A wildcard is proved by DNS, at whichever director the authority asks: here, one that
// has not ordered it.
func TestCertificateByDNS(t *testing.T) {
	t.Parallel()
	var asked atomic.Pointer[signpost]
	ready := make(chan struct{})
	ca := acmetest.Start(t, acmetest.Options{NameServer: func() string {
		<-ready
		return asked.Load().dns
	}})
	redis := redistest.Start(t, redistest.Options{})
	config := func() string {
		c := certified(t, ca, redis, "dns")
		c = strings.Replace(c, "names: [radio.example]", "challenge: dns-01, names: ['*.live.radio.example']", 1)
		return c + "dns: {listen: ['127.0.0.1:0'], zone: live.radio.example, ns: [ns1.radio.example, ns2.radio.example]}\n"
	}
	first := directFile(t, config())
	second := directFile(t, config())
	asked.Store(second)
	close(ready)
	for _, s := range []*signpost{first, second} {
		s.eventually(30*time.Second, "a certificate of *.live.radio.example", func() bool { return s.shakeFor(ca, "a.live.radio.example") == nil })
	}
	if n := ca.Orders("*.live.radio.example"); n != 1 {
		t.Errorf("%d orders for one certificate", n)
	}
	if strings.Contains(second.log.String(), "a certificate was obtained") {
		t.Error("the director that was asked is the one that ordered: nothing was shown")
	}

	// A node answers at such a name by the same certificate.
	dir := t.TempDir()
	file, ran := filepath.Join(dir, "bundle.pem"), filepath.Join(dir, "ran")
	agent := exec.Command(program(t), "agent", "--director", second.admin, "--id", "edge", "--url", "http://127.0.0.1:9", "--status", "http://127.0.0.1:9",
		"--certificate", "*.live.radio.example", "--out", file, "--reload", "cp '"+file+"' '"+ran+"'")
	agent.SysProcAttr = proctest.DieWithTest()
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	second.eventually(10*time.Second, "the agent has the certificate, and its command ran", func() bool {
		_, err := tls.LoadX509KeyPair(ran, ran)
		return err == nil
	})
	_ = agent.Process.Kill()
	_ = agent.Wait() // it was killed
}

// signpostCommand returns what a command prints.
func signpostCommand(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(program(t), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("signpost %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func mustRead(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
