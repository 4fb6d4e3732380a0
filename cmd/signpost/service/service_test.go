package service

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signpost-fm/signpost/cmd/signpost/config"
	"github.com/signpost-fm/signpost/geo/geotest"
	"github.com/signpost-fm/signpost/web"
)

// readConfig is what the programs do with a configuration before they use it. One
// that says nothing of geo has a small database: the embedded one takes seconds
// to open under the race detector.
func readConfig(t testing.TB, name string, source []byte) (*config.Settings, error) {
	t.Helper()
	if !strings.Contains(string(source), "geo:") {
		small := geotest.Database{Layout: geotest.Country, Rows: []geotest.Row{{Prefix: "8.8.8.0/24", Country: "US", Continent: "NA"}}}
		source = fmt.Appendf(source, "\ngeo: {databases: '%s'}\n", small.Write(t, filepath.Join(t.TempDir(), "small.mmdb")))
	}
	d, err := config.Parse(name, source)
	if err != nil {
		return nil, err
	}
	return d.Settings()
}

// startService starts a director with one node of kind http, and waits for its
// first snapshot. format's %s is the node's URL.
func startService(t *testing.T, dir, format string, o Options) *Service {
	t.Helper()
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "audio") }))
	t.Cleanup(node.Close)
	s, err := readConfig(t, filepath.Join(dir, "radio.yaml"), fmt.Appendf(nil, format, node.URL))
	if err != nil {
		t.Fatal(err)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	d, err := Start(s, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	select {
	case <-d.syncer.Ready():
	case <-time.After(patience):
		t.Fatal("no snapshot")
	}
	return d
}

const (
	root = "../../.."
	// patience is how long a test waits for anything; it says more of the machine than
	// of the program.
	patience = 2 * time.Minute
)

// poll tries until it works or patience is at its end.
func poll(try func() bool) bool {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if try() {
			return true
		}
	}
	return false
}

// writeCertificate writes a certificate for 127.0.0.1 and its key.
func writeCertificate(t *testing.T, dir string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: cert}, "key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestHTTPS: listeners and operators who come by https are answered with the
// certificate in force, which follows its files.
func TestHTTPS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeCertificate(t, dir, 1)
	d := startService(t, dir, `
listen: {http: [], https: "127.0.0.1:0", cert_file: cert.pem, key_file: key.pem}
admin: {listen: "127.0.0.1:0", cert_file: cert.pem, key_file: key.pem}
mounts: [/live.mp3]
rules: {scheme_mismatch: redirect}
nodes: [{id: one, urls: "%s", kind: http}]
`, Options{})
	ask := func(addr net.Addr, path string) (status int, serial int64) {
		client := http.Client{
			Transport:     &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
		resp, err := client.Get("https://" + addr.String() + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode, resp.TLS.PeerCertificates[0].SerialNumber.Int64()
	}
	if status, serial := ask(d.addrs[0], "/live.mp3"); status != http.StatusFound || serial != 1 {
		t.Errorf("status %d by certificate %d, want 302 by 1", status, serial)
	}
	if status, serial := ask(d.admin, "/api/v1/nodes"); status != http.StatusOK || serial != 1 {
		t.Errorf("operators: status %d by certificate %d, want 200 by 1", status, serial)
	}
	if resp, err := http.Get("http://" + d.admin.String() + "/api/v1/nodes"); err == nil && resp.StatusCode != http.StatusBadRequest {
		t.Errorf("operators by plain http: %s", resp.Status)
	}
	writeCertificate(t, dir, 2)
	if err := d.apply(d.settings.Load()); err != nil {
		t.Fatal(err)
	}
	if _, serial := ask(d.addrs[0], "/live.mp3"); serial != 2 {
		t.Errorf("certificate %d after the reload, want 2", serial)
	}
	writeCertificate(t, dir, 3)
	for _, addr := range []net.Addr{d.addrs[0], d.admin} {
		eventually(t, "the new certificate at "+addr.String(), func() bool { _, serial := ask(addr, "/healthz"); return serial == 3 })
	}
}

// A certificate that cannot be used does not take the place of one that can, and
// is told once.
func TestCertificateThatIsBroken(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeCertificate(t, dir, 1)
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	var told strings.Builder
	log := slog.New(slog.NewTextHandler(&told, nil))
	c := certificates{section: "admin", files: func() config.Certificate { return config.Certificate{CertFile: cert, KeyFile: key} }}
	if fresh, err := c.load(); err != nil || !fresh {
		t.Fatalf("%t %v", fresh, err)
	}
	good := c.current.Load()
	for _, broken := range []string{"", "-----BEGIN CERTIFICATE-----"} {
		if err := os.WriteFile(cert, []byte(broken), 0o600); err != nil {
			t.Fatal(err)
		}
		c.reload(log)
		c.reload(log)
	}
	if err := os.Remove(cert); err != nil {
		t.Fatal(err)
	}
	c.reload(log)
	c.reload(log)
	if n := strings.Count(told.String(), "the old one stays"); n < 2 || n > 3 || c.current.Load() != good {
		t.Errorf("told %d times:\n%s", n, &told)
	}
	writeCertificate(t, dir, 2)
	c.reload(log)
	c.reload(log)
	if n := strings.Count(told.String(), "is in force"); n != 1 || c.current.Load() == good {
		t.Errorf("told %d times:\n%s", n, &told)
	}
}

// TestProxyProtocol: a load balancer's word about the address reaches the choice.
func TestProxyProtocol(t *testing.T) {
	t.Parallel()
	countries := make(chan string, 1)
	d := startService(t, t.TempDir(), `
listen: {http: "127.0.0.1:0", proxy_protocol: 127.0.0.0/8}
admin: {listen: ""}
mounts: [/live.mp3]
nodes: [{id: one, urls: "%s", kind: http}]
`, Options{Record: func(r *web.Record) { countries <- r.Country.String() }})
	conn, err := net.Dial("tcp", d.addrs[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "PROXY TCP4 8.8.8.8 127.0.0.1 4000 80\r\nGET /live.mp3 HTTP/1.0\r\n\r\n")
	select {
	case got := <-countries:
		if got != "US" {
			t.Errorf("the listener is in %q, want US", got)
		}
	case <-time.After(patience):
		t.Fatal("no answer")
	}
}

// TestApplyIsWhole: databases that cannot be opened, and a state directory that the
// next start could not use, leave everything as it was.
func TestApplyIsWhole(t *testing.T) {
	t.Parallel()
	const format = `
listen: {http: "127.0.0.1:0"}
admin: {listen: ""}
mounts: [/live.mp3]
nodes: [{id: one, urls: "%s", kind: http}]
`
	d := startService(t, t.TempDir(), format, Options{})
	before := d.settings.Load()
	for _, unusable := range []string{"geo: {databases: nowhere.mmdb}", "state_dir: /dev/null/nowhere"} {
		next, err := readConfig(t, "next.yaml", []byte(strings.Replace(fmt.Sprintf(format, "http://two.example"), "id: one", "id: two", 1)+unusable+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		if err := d.apply(next); err == nil || !strings.Contains(err.Error(), "nowhere") {
			t.Errorf("%s: error %v, want one about nowhere", unusable, err)
		}
		if d.settings.Load() != before {
			t.Errorf("%s: the settings were replaced", unusable)
		}
		if got := d.syncer.View().NodeID(0); got != "one" {
			t.Errorf("%s: node %s, want the one from before", unusable, got)
		}
	}
}

func TestClosersCloseInReverse(t *testing.T) {
	t.Parallel()
	var c closers
	var order []string
	for _, name := range []string{"geo", "store", "web"} {
		c.add(name, func(context.Context) error {
			order = append(order, name)
			return errors.New("it would not")
		})
	}
	c.run("broken", func(context.Context) error { return errors.New("no disk") })
	if err := <-c.failed; err == nil || err.Error() != "broken: no disk" {
		t.Errorf("failure %v", err)
	}
	var said strings.Builder
	c.close(t.Context(), slog.New(slog.NewTextHandler(&said, nil)))
	if diff := cmp.Diff([]string{"web", "store", "geo"}, order); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	if n := strings.Count(said.String(), "it would not"); n != 3 {
		t.Errorf("%d failures were said, want 3:\n%s", n, said.String())
	}
}

// What hangs at the end holds up neither the end nor what is closed after it.
func TestClosersLeaveBehindWhatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var c closers
		closed := false
		c.add("store", func(context.Context) error { closed = true; return nil })
		disk := make(chan struct{})
		c.add("state", func(context.Context) error { <-disk; return nil })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		var said strings.Builder
		c.close(ctx, slog.New(slog.NewTextHandler(&said, nil)))
		if took := time.Since(began); took != time.Second+closeGrace {
			t.Errorf("it took %v", took)
		}
		if !closed || !strings.Contains(said.String(), "what=state err=\"it hangs") {
			t.Errorf("the store is closed: %t; log:\n%s", closed, said.String())
		}
		close(disk)
	})
}

// Work begins when all is open, and what was closed before never holds up the end.
func TestWorkIsHeld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := closers{held: make(chan struct{})}
		works := 0
		c.run("syncer", func(ctx context.Context) error { works++; <-ctx.Done(); return nil })
		synctest.Wait()
		if works != 0 {
			t.Error("it works while other things are opened")
		}
		close(c.held)
		synctest.Wait()
		if works != 1 {
			t.Error("it does not work when all is open")
		}
		c.held = make(chan struct{})
		c.run("prober", func(ctx context.Context) error { return ctx.Err() })
		c.close(t.Context(), slog.New(slog.DiscardHandler))
		if t.Context().Err() != nil || len(c.failed) != 0 {
			t.Error("what was never let go is a failure")
		}
	})
}

// Tokens are those of the file in force. When a reload takes all of them away from
// a listener that others can reach, nobody is let in.
func TestTokensFollowTheFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte("0123456789abcdef"), 0o600); err != nil {
		t.Fatal(err)
	}
	const file = "listen: {http: '127.0.0.1:0'}\nadmin: {listen: '127.0.0.1:0'%s}\nnodes: [{id: one, urls: '%s', kind: http}]\n"
	d := startService(t, dir, fmt.Sprintf(file, "", "%s"), Options{})
	nodes := func(token string) int {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+d.admin.String()+"/api/v1/nodes", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	apply := func(admin string) {
		t.Helper()
		s, err := readConfig(t, filepath.Join(dir, "radio.yaml"), fmt.Appendf(nil, file, admin, "http://one.example"))
		if err != nil {
			t.Fatal(err)
		}
		if err := d.apply(s); err != nil {
			t.Fatal(err)
		}
	}
	if got := nodes("anything"); got != http.StatusOK {
		t.Errorf("without tokens, at loopback: %d", got)
	}
	apply(", token_file: token")
	if got := []int{nodes("anything"), nodes("0123456789abcdef")}; got[0] != http.StatusUnauthorized || got[1] != http.StatusOK {
		t.Errorf("with a token: %v", got)
	}
	apply("")
	was := d.admin
	d.admin = &net.TCPAddr{IP: net.IPv4zero, Port: was.(*net.TCPAddr).Port}
	if tokens := d.operatorTokens(); len(tokens) != 1 || tokens[0].Role != "" {
		t.Errorf("no tokens any more, and everybody can reach it: %+v", tokens)
	}
	d.admin = was
	if tokens := d.operatorTokens(); len(tokens) != 0 {
		t.Errorf("no tokens any more, at loopback: %+v", tokens)
	}
}
