package acme_test

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
	acmeclient "github.com/mholt/acmez/v3/acme"

	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/web/acme"
	"github.com/signpost-fm/signpost/web/acme/acmetest"
)

// Attempts that are rate limited, and then one whose challenge fails, are followed by one that
// succeeds, after which nothing is wrong any more.
func TestTroubleEnds(t *testing.T) {
	t.Parallel()
	d := openDoor(t, acme.HTTP01)
	ca := acmetest.Start(t, acmetest.Options{Port: d.port})
	const host = "trouble.radio.example"
	var orders, challenges atomic.Int32
	ca.Refuse(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/order-plz" || orders.Add(1) > 2 {
			return false
		}
		w.Header().Set("Retry-After", "3600") // it may be an hour; nobody may sleep through it here
		acmetest.Problem(w, http.StatusTooManyRequests, "rateLimited", "too many certificates")
		return true
	})
	d.before.Store(func(w http.ResponseWriter) bool {
		if challenges.Add(1) > 1 {
			return false
		}
		http.NotFound(w, nil)
		return true
	})
	c := acme.Config{Names: []string{host}, Directory: ca.Directory, Roots: ca.Roots, Challenge: acme.HTTP01, Files: store.OpenDir(t.TempDir())}
	c.Pause(20 * time.Millisecond)
	c.LookEvery(10 * time.Millisecond)
	m, _ := d.run(t, c)
	eventually(t, m, "the limit is told", func(s acme.State) bool { return strings.Contains(s.Error, "too many requests for this name") })
	eventually(t, m, "the failed challenge is told", func(s acme.State) bool { return strings.Contains(s.Error, "reached something else than a director") })
	eventually(t, m, "a certificate, and no error", issued)
	if n := ca.Orders(host); n != 2 {
		t.Errorf("%d orders were accepted; want that of the failed challenge, and the one after it", n)
	}
}

// The authority may revoke a certificate, and says so where it tells when to renew (ARI).
func TestRevokedByTheAuthority(t *testing.T) {
	t.Parallel()
	d := openDoor(t, acme.HTTP01)
	ca := acmetest.Start(t, acmetest.Options{Port: d.port, AskAgain: true})
	const host = "revoked.radio.example"
	files := store.OpenDir(t.TempDir())
	c := acme.Config{Names: []string{host}, Directory: ca.Directory, Roots: ca.Roots, Challenge: acme.HTTP01, Files: files}
	c.CheckEvery(50 * time.Millisecond)
	c.LookEvery(50 * time.Millisecond)
	m, _ := d.run(t, c)
	eventually(t, m, "a certificate", issued)
	old := serial(t, m, host)
	client, account := accountOf(t, files, ca)
	revoked := leaf(t, m, host)
	if err := client.RevokeCertificate(t.Context(), account, revoked, nil, acmeclient.ReasonUnspecified); err != nil {
		t.Fatal(err)
	}
	// pebble's own window for one that is revoked is a second long, which acmez refuses
	// (GetRenewalInfo in its ari.go). Let's Encrypt's is half an hour.
	ca.Refuse(renewNow(t, m, host))
	eventually(t, m, "another certificate", func(s acme.State) bool { return issued(s) && serial(t, m, host) != old })
	if n := ca.Orders(host); n != 2 {
		t.Errorf("%d orders; want the first, and its replacement", n)
	}
}

// renewNow makes the authority say that the certificate that m shows is to be renewed now, for
// [acmetest.Authority.Refuse].
func renewNow(t *testing.T, m *acme.Manager, host string) func(http.ResponseWriter, *http.Request) bool {
	t.Helper()
	own, err := acmeclient.ARIUniqueIdentifier(leaf(t, m, host))
	if err != nil {
		t.Fatal(err)
	}
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, own) {
			return false
		}
		start := time.Now().Add(-time.Hour).UTC()
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"suggestedWindow": {"start": %q, "end": %q}}`, start.Format(time.RFC3339), start.Add(30*time.Minute).Format(time.RFC3339))
		return true
	}
}

// An account that the authority does not know, or has closed, is told or made anew.
func TestWrongAccount(t *testing.T) {
	t.Parallel()
	d := openDoor(t, acme.HTTP01)
	ca := acmetest.Start(t, acmetest.Options{Port: d.port})
	const host = "account.radio.example"
	files := store.OpenDir(t.TempDir())
	c := acme.Config{Names: []string{host}, Directory: ca.Directory, Roots: ca.Roots, Challenge: acme.HTTP01, Files: files}
	c.LookEvery(50 * time.Millisecond)
	m, stop := d.run(t, c)
	eventually(t, m, "a certificate", issued)
	old := serial(t, m, host)

	ca.Forget()
	if err := vault(t, c).Replace(t.Context(), host, false); err != nil {
		t.Fatalf("with an account that is not known any more: %v", err)
	}
	eventually(t, m, "a certificate by a new account", func(acme.State) bool { return serial(t, m, host) != old })

	client, account := accountOf(t, files, ca)
	account.Status = "deactivated"
	if _, err := client.UpdateAccount(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	err := vault(t, c).Replace(t.Context(), host, false)
	if err == nil || !strings.Contains(err.Error(), "the authority has closed the account") {
		t.Errorf("with an account that was closed: %v", err)
	}
	if err := shake(m, ca, host, host); err != nil {
		t.Errorf("the certificate that is there: %v", err)
	}
	stop()
}

// A clock that is an hour off is told with the remedy, with an error or without one, until
// it is right. Nothing else depends on it.
func TestClock(t *testing.T) {
	t.Parallel()
	d := openDoor(t, acme.HTTP01)
	ca := acmetest.Start(t, acmetest.Options{Port: d.port})
	ca.SetClock(-time.Hour)
	c := acme.Config{Names: []string{"clock.radio.example"}, Directory: ca.Directory, Roots: ca.Roots, Challenge: acme.HTTP01, Files: store.OpenDir(t.TempDir())}
	m, _ := d.run(t, c)
	eventually(t, m, "a certificate and the clock's error", func(s acme.State) bool { return issued(s) && m.Clock() != nil })
	if text := m.Clock().Error(); !strings.Contains(text, "clock is 1h0m0s ahead of the certificate authority's") || !strings.Contains(text, "set it right") {
		t.Errorf("the clock's error is %q", text)
	}
	ca.SetClock(time.Hour)
	ca.Refuse(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/order-plz" {
			acmetest.Problem(w, http.StatusForbidden, "caa", "CAA forbids")
		}
		return r.URL.Path == "/order-plz"
	})
	c.Files = store.OpenDir(t.TempDir())
	m, _ = d.run(t, c)
	s := eventually(t, m, "an error", failed)
	if !strings.Contains(s.Error, "clock is 1h0m0s behind") || !strings.Contains(s.Error, "a CAA record forbids this authority") {
		t.Errorf("the state is %+v", s)
	}
	for ahead, wrong := range map[time.Duration]bool{0: false, 4 * time.Minute: false, -4 * time.Minute: false, 6 * time.Minute: true, -6 * time.Minute: true} {
		if err := acme.CheckClock(ahead); (err != nil) != wrong {
			t.Errorf("%v ahead: %v", ahead, err)
		}
	}
}

func TestAuthorityThatIsAway(t *testing.T) {
	t.Parallel()
	d := openDoor(t, acme.HTTP01)
	m, _ := d.run(t, acme.Config{Names: []string{"unreachable.radio.example"}, Directory: "https://127.0.0.1:1/directory", Challenge: acme.HTTP01, Files: store.OpenDir(t.TempDir())})
	if s := eventually(t, m, "a reason", failed); !strings.Contains(s.Error, "the authority cannot be reached from this machine") || !strings.Contains(s.Error, "https://127.0.0.1:1/directory") {
		t.Errorf("state %+v", s)
	}
}

func leaf(t *testing.T, m *acme.Manager, host string) *x509.Certificate {
	t.Helper()
	pem, _, err := m.Bundle(t.Context(), host)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(pem, pem)
	if err != nil {
		t.Fatal(err)
	}
	return pair.Leaf
}

// accountOf returns the account among files that are not encrypted.
func accountOf(t *testing.T, files store.Files, ca *acmetest.Authority) (*acmeclient.Client, acmeclient.Account) {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.Roots)
	client := &acmeclient.Client{Directory: ca.Directory, HTTPClient: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}}
	names, err := files.FileNames(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var account acmeclient.Account
	for _, name := range names {
		if !strings.Contains(name, "/users/") {
			continue
		}
		b, err := files.ReadFile(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, ".json") {
			key := account.PrivateKey
			if err := json.Unmarshal(b, &account); err != nil {
				t.Fatal(err)
			}
			account.PrivateKey = key
			continue
		}
		key, err := certmagic.PEMDecodePrivateKey(b)
		if err != nil {
			t.Fatal(err)
		}
		account.PrivateKey = key.(*ecdsa.PrivateKey)
	}
	return client, account
}

// By OCSP the authority is asked only where that is wanted, and its answer is shown then.
func TestOCSP(t *testing.T) {
	t.Parallel()
	for _, wanted := range []bool{false, true} {
		t.Run(fmt.Sprint(wanted), func(t *testing.T) {
			t.Parallel()
			d := openDoor(t, acme.HTTP01)
			ca := acmetest.Start(t, acmetest.Options{Port: d.port, OCSP: true})
			host := fmt.Sprintf("ocsp-%v.radio.example", wanted)
			m, _ := d.run(t, acme.Config{Names: []string{host}, Directory: ca.Directory, Roots: ca.Roots, Challenge: acme.HTTP01, Files: store.OpenDir(t.TempDir()), OCSP: wanted})
			eventually(t, m, "a certificate", issued)
			pair, err := m.GetCertificate(&tls.ClientHelloInfo{ServerName: host})
			if err != nil {
				t.Fatal(err)
			}
			if shown, asked := len(pair.OCSPStaple) > 0, ca.AsksByOCSP() > 0; shown != wanted || asked != wanted {
				t.Errorf("with ocsp: %v the authority was asked: %v; its answer is shown: %v", wanted, asked, shown)
			}
		})
	}
}
