package acme_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/web/acme"
	"github.com/signpost-fm/signpost/web/acme/acmetest"
)

// patience bounds how long a test waits for what takes a second or two.
const patience = 2 * time.Minute

// A door is where the authority's challenges arrive: by plain HTTP or TLS, at one port.
type door struct {
	port    int
	manager atomic.Pointer[acme.Manager]
	before  atomic.Value // a func(http.ResponseWriter) bool, which says whether it has answered
}

func openDoor(t *testing.T, challenge acme.Challenge) *door {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &door{port: l.Addr().(*net.TCPAddr).Port}
	if challenge == acme.TLSALPN01 {
		l = tls.NewListener(l, &tls.Config{
			NextProtos:     []string{"http/1.1", "acme-tls/1"},
			GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) { return d.manager.Load().GetCertificate(h) },
		})
	}
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasPrefix(r.URL.Path, acme.ChallengePath) {
				http.NotFound(w, r)
				return
			}
			if f, ok := d.before.Load().(func(http.ResponseWriter) bool); ok && f(w) {
				return
			}
			d.manager.Load().ServeHTTP(w, r)
		}),
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	go func() { _ = server.Serve(l) }() // it ends with Close
	t.Cleanup(func() { _ = server.Close() })
	return d
}

// run runs a Manager until the test ends, or the returned function is called.
func (d *door) run(t *testing.T, c acme.Config) (*acme.Manager, func()) {
	t.Helper()
	c.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	c.Email, c.Port = "engineer@radio.example", d.port
	m, err := acme.New(c)
	if err != nil {
		t.Fatal(err)
	}
	d.manager.Store(m)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := m.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	stop := sync.OnceFunc(func() {
		cancel()
		<-done
	})
	t.Cleanup(stop)
	return m, stop
}

// eventually waits for a name's state.
func eventually(t *testing.T, m *acme.Manager, what string, ok func(acme.State) bool) acme.State {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		s := m.States()[0]
		if ok(s) {
			return s
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s; the state is %+v", patience, what, s)
		}
	}
}

func issued(s acme.State) bool { return !s.Expires.IsZero() && s.Error == "" }
func failed(s acme.State) bool { return s.Error != "" }

// shake makes a TLS handshake with m, and returns what it shows.
func shake(m *acme.Manager, roots *acmetest.Authority, host, want string) error {
	ours, theirs := net.Pipe()
	defer ours.Close()
	go func() {
		defer theirs.Close()
		_ = tls.Server(theirs, &tls.Config{GetCertificate: m.GetCertificate}).Handshake()
	}()
	client := tls.Client(ours, &tls.Config{ServerName: host, RootCAs: roots.Issuers(), InsecureSkipVerify: host != want}) // who asks for another name gets the first one
	if err := client.Handshake(); err != nil {
		return err
	}
	return client.ConnectionState().PeerCertificates[0].VerifyHostname(want)
}

func TestBothChallenges(t *testing.T) {
	t.Parallel()
	for _, challenge := range []acme.Challenge{acme.HTTP01, acme.TLSALPN01} {
		t.Run(string(challenge), func(t *testing.T) {
			t.Parallel()
			d := openDoor(t, challenge)
			ca := acmetest.Start(t, acmetest.Options{Port: d.port})
			host := strings.ReplaceAll(string(challenge), "-", "") + ".radio.example" // challenges are known to the whole process
			dir := t.TempDir()
			m, _ := d.run(t, acme.Config{Names: []string{host}, Directory: ca.Directory, Roots: ca.Roots, Challenge: challenge, Files: store.OpenDir(dir), Secret: []byte("0123456789abcdef")})
			s := eventually(t, m, "a certificate", issued)
			if left := time.Until(s.Expires); left < 24*time.Hour || s.Issuer == "" {
				t.Errorf("state %+v", s)
			}
			for _, asked := range []string{host, "", "another.example"} { // a radio may name no host, or an alias
				if err := shake(m, ca, asked, host); err != nil {
					t.Errorf("handshake for %q: %v", asked, err)
				}
			}
			noSecrets(t, dir)
			if n := ca.Orders(host); n != 1 {
				t.Errorf("%d orders for one certificate", n)
			}
		})
	}
}

// noSecrets looks for private keys that are not encrypted.
func noSecrets(t *testing.T, dir string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		files++
		b, err := os.ReadFile(path)
		if strings.Contains(string(b), "PRIVATE KEY") || strings.Contains(string(b), "radio.example") {
			t.Errorf("%s is not encrypted", path)
		}
		return err
	})
	if err != nil || files < 4 {
		t.Errorf("%d files, %v: an account and a certificate have five", files, err)
	}
}

// Certificates are renewed in time, once each, without a handshake that fails meanwhile,
// by one director, and reach the other. A day of theirs is two seconds here.
func TestRenewals(t *testing.T) {
	t.Parallel()
	d := openDoor(t, acme.HTTP01)
	const days = 6
	ca := acmetest.Start(t, acmetest.Options{Port: d.port, Validity: 2 * days})
	const host = "short.radio.example"
	c := acme.Config{Names: []string{host}, Directory: ca.Directory, Roots: ca.Roots, Challenge: acme.HTTP01, Files: store.OpenDir(t.TempDir())}
	c.CheckEvery(50 * time.Millisecond)
	first, _ := d.run(t, c)
	second, _ := d.run(t, c)
	renewals, soak := 2, os.Getenv("SIGNPOST_SOAK") != ""
	if soak {
		renewals = 365 / days
	}
	seen := map[time.Time]bool{}
	handshakes := 0
	for _, m := range []*acme.Manager{first, second} {
		eventually(t, m, "a certificate", issued)
	}
	for deadline := time.Now().Add(patience * time.Duration(renewals)); len(seen) <= renewals; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d certificates within %v", len(seen), patience*time.Duration(renewals))
		}
		for _, m := range []*acme.Manager{first, second} {
			// On a slow machine the seconds of a certificate may be over before the next is there,
			// and it is shown all the same.
			var late x509.CertificateInvalidError
			if err := shake(m, ca, host, host); err != nil && (soak || !errors.As(err, &late) || late.Reason != x509.Expired) {
				t.Fatalf("after %d handshakes and %d certificates: %v", handshakes, len(seen), err)
			}
			handshakes++
		}
		seen[second.States()[0].Expires] = true
	}
	t.Logf("%d renewals, %d orders, %d handshakes", len(seen)-1, ca.Orders(host), handshakes)
	if n := ca.Orders(host); n > len(seen)+1 {
		t.Errorf("%d orders for %d certificates", n, len(seen))
	}
}

// A second start, and a second director, use what is there.
func TestOneOrderForAll(t *testing.T) {
	t.Parallel()
	d := openDoor(t, acme.HTTP01)
	ca := acmetest.Start(t, acmetest.Options{Port: d.port})
	const host = "one.radio.example"
	c := acme.Config{Names: []string{host}, Directory: ca.Directory, Roots: ca.Roots, Challenge: acme.HTTP01, Files: store.OpenDir(t.TempDir())}
	var all []*acme.Manager
	for range 4 {
		m, _ := d.run(t, c)
		all = append(all, m)
	}
	for _, m := range all {
		eventually(t, m, "a certificate", issued)
	}
	again, _ := d.run(t, c)
	eventually(t, again, "the certificate after another start", issued)
	if n := ca.Orders(host); n != 1 {
		t.Errorf("%d orders for one certificate", n)
	}
}

// While the authority refuses, all directors together ask once, and say why.
func TestRefused(t *testing.T) {
	t.Parallel()
	d := openDoor(t, acme.HTTP01)
	ca := acmetest.Start(t, acmetest.Options{Port: d.port})
	const host = "refused.radio.example"
	var refused atomic.Int32
	ca.Refuse(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/order-plz" {
			return false
		}
		refused.Add(1)
		acmetest.Problem(w, http.StatusTooManyRequests, "rateLimited", "too many certificates already issued")
		return true
	})
	c := acme.Config{Names: []string{host}, Directory: ca.Directory, Roots: ca.Roots, Challenge: acme.HTTP01, Files: store.OpenDir(t.TempDir())}
	first, _ := d.run(t, c)
	s := eventually(t, first, "the refusal", failed)
	if !strings.Contains(s.Error, "too many requests for this name") || !strings.Contains(s.Error, "too many certificates already issued") || s.Since.IsZero() || !s.Next.After(time.Now()) {
		t.Errorf("state %+v", s)
	}
	before := refused.Load()
	second, _ := d.run(t, c)
	s = eventually(t, second, "a reason why there is no certificate", failed)
	if !strings.Contains(s.Error, "failed a moment ago") || refused.Load() != before {
		t.Errorf("the second director: %+v; %d orders after %d", s, refused.Load(), before)
	}
}

// A name where something else answers is told with the remedy.
func TestSomethingElseAnswers(t *testing.T) {
	t.Parallel()
	d, other := openDoor(t, acme.HTTP01), openDoor(t, acme.HTTP01)
	ca := acmetest.Start(t, acmetest.Options{Port: other.port})
	empty, err := acme.New(acme.Config{Names: []string{"x.example"}, Directory: ca.Directory, Challenge: acme.HTTP01, Files: store.OpenDir(t.TempDir()), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	other.manager.Store(empty)
	m, _ := d.run(t, acme.Config{Names: []string{"wrong.radio.example"}, Directory: ca.Directory, Roots: ca.Roots, Challenge: acme.HTTP01, Files: store.OpenDir(t.TempDir())})
	if s := eventually(t, m, "the authority's reason", failed); !strings.Contains(s.Error, "reached something else than a director") {
		t.Errorf("state %+v", s)
	}
}

func TestAuthorityThatNobodyTrusts(t *testing.T) {
	t.Parallel()
	d := openDoor(t, acme.HTTP01)
	ca := acmetest.Start(t, acmetest.Options{Port: d.port})
	m, _ := d.run(t, acme.Config{Names: []string{"untrusted.radio.example"}, Directory: ca.Directory, Challenge: acme.HTTP01, Files: store.OpenDir(t.TempDir())})
	if s := eventually(t, m, "a reason", failed); !strings.Contains(s.Error, "give its root in acme.ca_file") {
		t.Errorf("state %+v", s)
	}
}

// awayFiles are files of a store that can be away.
type awayFiles struct {
	store.Files
	away atomic.Bool
}

func (f *awayFiles) ReadFile(ctx context.Context, name string) ([]byte, error) {
	if f.away.Load() {
		return nil, store.ErrAway
	}
	return f.Files.ReadFile(ctx, name)
}

func (f *awayFiles) WriteFile(ctx context.Context, name string, content []byte) error {
	if f.away.Load() {
		return store.ErrAway
	}
	return f.Files.WriteFile(ctx, name, content)
}

func (f *awayFiles) RemoveFile(ctx context.Context, name string) error {
	if f.away.Load() {
		return store.ErrAway
	}
	return f.Files.RemoveFile(ctx, name)
}

func (f *awayFiles) FileNames(ctx context.Context) ([]string, error) {
	if f.away.Load() {
		return nil, store.ErrAway
	}
	return f.Files.FileNames(ctx)
}

func (f *awayFiles) Claim(ctx context.Context, name, holder string, d time.Duration) (bool, error) {
	if f.away.Load() {
		return false, store.ErrAway
	}
	return f.Files.Claim(ctx, name, holder, d)
}

// A store that is away when a certificate is due, or goes away in the middle of its order,
// fails no handshake: the old certificate is shown, and renewed once the store is back. It
// takes more than the minute that certmagic waits after an attempt to renew that failed.
func TestStoreAwayAtRenewal(t *testing.T) {
	t.Parallel()
	if os.Getenv("SIGNPOST_SOAK") == "" {
		t.Skip("takes over a minute: run it with SIGNPOST_SOAK=1")
	}
	d := openDoor(t, acme.HTTP01)
	ca := acmetest.Start(t, acmetest.Options{Port: d.port, AskAgain: true})
	const host = "renewal.radio.example"
	files := &awayFiles{Files: store.OpenDir(t.TempDir())}
	c := acme.Config{Names: []string{host}, Directory: ca.Directory, Roots: ca.Roots, Challenge: acme.HTTP01, Files: files}
	c.CheckEvery(50 * time.Millisecond)
	c.LookEvery(50 * time.Millisecond)
	m, _ := d.run(t, c)
	first := eventually(t, m, "a certificate", issued).Expires
	began := make(chan struct{})
	ca.Watch(func(path string) { // the next order
		if path == "/order-plz" {
			files.away.Store(true)
			close(began)
			ca.Watch(nil)
		}
	})
	ca.Refuse(renewNow(t, m, host))
	served := 0
	serve := func(until func() bool) {
		t.Helper()
		for deadline := time.Now().Add(patience); !until(); time.Sleep(50 * time.Millisecond) {
			if err := shake(m, ca, host, host); err != nil {
				t.Fatalf("after %d handshakes: %v", served, err)
			}
			if served++; time.Now().After(deadline) {
				t.Fatalf("not within %v: %+v", patience, m.States())
			}
		}
	}
	serve(func() bool { return closed(began) })
	away := served
	serve(func() bool { return served > away+20 })
	if now := m.States()[0].Expires; !now.Equal(first) {
		t.Errorf("without the store, the certificate of %v is shown in place of %v", now, first)
	}
	files.away.Store(false)
	serve(func() bool { return m.States()[0].Expires.After(first) })
}

func closed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// A director without the store starts with its own copy; one without either waits, and
// orders nothing.
func TestStoreAway(t *testing.T) {
	t.Parallel()
	d := openDoor(t, acme.HTTP01)
	ca := acmetest.Start(t, acmetest.Options{Port: d.port})
	const host = "away.radio.example"
	files := &awayFiles{Files: store.OpenDir(t.TempDir())}
	c := acme.Config{Names: []string{host}, Directory: ca.Directory, Roots: ca.Roots, Challenge: acme.HTTP01, Files: files, Copy: store.OpenDir(t.TempDir())}
	files.away.Store(true)
	m, stop := d.run(t, c)
	if s := eventually(t, m, "a reason", failed); !strings.Contains(s.Error, store.ErrAway.Error()) || ca.Orders(host) != 0 {
		t.Errorf("state %+v", s)
	}
	files.away.Store(false)
	eventually(t, m, "a certificate once the store is back", issued)
	stop()

	files.away.Store(true)
	m, _ = d.run(t, c)
	eventually(t, m, "the certificate of the copy", issued)
	if err := shake(m, ca, host, host); err != nil {
		t.Error(err)
	}
	c.Copy = nil
	m, _ = d.run(t, c)
	eventually(t, m, "a reason", failed)
	if n := ca.Orders(host); n != 1 {
		t.Errorf("%d orders for one certificate", n)
	}
}

// hangingFiles are files of a store that does not answer who asks for a lease.
type hangingFiles struct {
	store.Files
	asked, answer chan struct{}
}

func (f hangingFiles) Claim(ctx context.Context, name, holder string, d time.Duration) (bool, error) {
	if strings.HasPrefix(name, "attempt/") {
		f.asked <- struct{}{}
		<-f.answer
	}
	return f.Files.Claim(ctx, name, holder, d)
}

// Who asks how the certificates are, as /readyz does, does not wait for the store.
func TestStatesDoNotWait(t *testing.T) {
	t.Parallel()
	d := openDoor(t, acme.HTTP01)
	ca := acmetest.Start(t, acmetest.Options{Port: d.port})
	files := hangingFiles{store.OpenDir(t.TempDir()), make(chan struct{}, 10), make(chan struct{})}
	m, _ := d.run(t, acme.Config{Names: []string{"hangs.radio.example"}, Directory: ca.Directory, Roots: ca.Roots, Challenge: acme.HTTP01, Files: files})
	<-files.asked
	told := make(chan struct{})
	go func() { m.States(); close(told) }()
	select {
	case <-told:
	case <-time.After(patience):
		t.Errorf("the states were not told within %v, while the store hangs", patience)
	}
	close(files.answer)
	eventually(t, m, "a certificate once the store answers", issued)
}

// Another secret, rubbish and a missing secret are told, and nothing is ordered in their
// place.
func TestFilesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	d := openDoor(t, acme.HTTP01)
	ca := acmetest.Start(t, acmetest.Options{Port: d.port})
	const host = "sealed.radio.example"
	files := store.OpenDir(t.TempDir())
	c := acme.Config{Names: []string{host}, Directory: ca.Directory, Roots: ca.Roots, Challenge: acme.HTTP01, Files: files, Secret: []byte("0123456789abcdef")}
	m, stop := d.run(t, c)
	eventually(t, m, "a certificate", issued)
	stop()
	try := func(secret, want string) {
		t.Helper()
		c.Secret = []byte(secret)
		m, stop := d.run(t, c)
		defer stop()
		if s := eventually(t, m, want, failed); !strings.Contains(s.Error, want) {
			t.Errorf("state %+v; want %q", s, want)
		}
	}
	try("another secret 1234", "acme.secret_file is another than the other directors' have")
	try("", "has no acme.secret_file")
	names, err := files.FileNames(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".key") {
			err = errors.Join(err, files.WriteFile(t.Context(), name, []byte("rubbish")))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	try("0123456789abcdef", "is not one that signpost encrypted; remove it")
	if n := ca.Orders(host); n != 1 {
		t.Errorf("%d orders for one certificate", n)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"radio.example": "", "a.b-c.example": "", "xn--mnchen-3ya.example": "",
		"192.0.2.1": "is an address", "[2001:db8::1]": "is an address", "2001:db8::1": "is an address",
		"my_radio.example": "has an underscore", "*.radio.example": "stands for many names", "radio": "not a whole host name", "radio.example.": "not a whole host name",
		"-a.example": "begins or ends with a hyphen", "a..example": "1 to 63 characters", "a b.example": `the character ' '`, "": "not a whole host name",
	} {
		err := acme.CheckName(name, acme.HTTP01)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %q", name, err, want)
		}
	}
	if err := acme.CheckName("*.radio.example", acme.DNS01); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "letsencrypted", "http://ca.example/dir", "https://", "https://user@ca.example/"} {
		if _, err := acme.ParseDirectory(bad); err == nil {
			t.Errorf("%q is taken for a directory", bad)
		}
	}
}
