// Package acmetest runs a certificate authority for tests: Let's Encrypt's own test
// server, pebble, with a resolver for which every name is 127.0.0.1.
package acmetest

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"
	"golang.org/x/crypto/ocsp"
)

// Options say how the authority works.
type Options struct {
	Port     int    // where it asks for challenges, of both kinds
	Validity uint64 // of certificates, in seconds; 0: 90 days
	// NameServer returns where TXT records are asked for, host:port; nil: there are none.
	NameServer func() string
	// AskAgain makes clients ask after a second, and not only after six hours, whether a
	// certificate is to be renewed earlier (ARI, RFC 9773).
	AskAgain bool
	// OCSP says that certificates name a responder, which says that they are good.
	OCSP bool
}

// An Authority is a running one.
type Authority struct {
	Directory string // its URL
	Roots     []byte // in PEM, that vouch for the directory

	options   Options
	resolver  string         // its address
	responder string         // of OCSP, its URL; empty: there is none
	issuers   *x509.CertPool // of the certificates

	mu     sync.Mutex
	issuer *ca.CAImpl
	data   *db.MemoryStore
	asks   int // of OCSP
	front  http.Handler
	ahead  time.Duration
	orders map[string]int // by name
	refuse func(http.ResponseWriter, *http.Request) bool
	asked  func(path string)
}

var settings = sync.OnceFunc(func() {
	_ = os.Setenv("PEBBLE_VA_NOSLEEP", "1") // nothing reads it meanwhile
})

// Start starts an authority, which ends with the test.
func Start(t testing.TB, o Options) *Authority {
	t.Helper()
	settings()
	a := &Authority{options: o, resolver: resolver(t, o.NameServer), orders: map[string]int{}, issuers: x509.NewCertPool()}
	if o.OCSP {
		responder := httptest.NewServer(http.HandlerFunc(a.respond))
		t.Cleanup(responder.Close)
		a.responder = responder.URL
	}
	a.Forget()
	server := httptest.NewUnstartedServer(a.watch())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	a.Directory = server.URL + wfe.DirectoryPath
	a.Roots = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return a
}

// Forget makes the authority begin anew, with a new root and without the accounts and
// certificates that it knew.
func (a *Authority) Forget() {
	logger := log.New(io.Discard, "", 0)
	data := db.NewMemoryStore()
	kind := "ecdsa"
	if a.responder != "" {
		kind = "rsa" // pebble gives no other key away
	}
	issuer := ca.New(logger, data, a.responder, kind, 0, 1, map[string]ca.Profile{"default": {Description: "default", ValidityPeriod: a.options.Validity}})
	validator := va.New(logger, a.options.Port, a.options.Port, false, a.resolver, data)
	front := wfe.New(logger, data, validator, issuer, []string{"ca.example"}, false, false, 0, 0)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.issuer, a.data, a.front = issuer, data, front.Handler()
	a.issuers.AddCert(issuer.GetRootCert(0).Cert)
}

// respond answers a question by OCSP (RFC 6960).
func (a *Authority) respond(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asks++
	body, _ := io.ReadAll(r.Body)
	q, err := ocsp.ParseRequest(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	issuer := a.issuer.GetIntermediateCert(0).Cert
	b, err := ocsp.CreateResponse(issuer, issuer, ocsp.Response{
		Status: ocsp.Good, SerialNumber: q.SerialNumber, ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(24 * time.Hour),
	}, a.issuer.GetIntermediateKey(0))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(b) // a client that is gone asks again
}

// AsksByOCSP returns how many questions by OCSP there were.
func (a *Authority) AsksByOCSP() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asks
}

// SetClock makes the authority's answers tell a time that is so far ahead of ours.
func (a *Authority) SetClock(ahead time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ahead = ahead
}

// Issuers returns the roots of the certificates that the authority has issued.
func (a *Authority) Issuers() *x509.CertPool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.issuers.Clone()
}

// Orders returns how many orders there were for a name.
func (a *Authority) Orders(name string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.orders[name]
}

// Revoked says whether a certificate, by its number in decimal, is revoked.
func (a *Authority) Revoked(serial string) bool {
	n, ok := new(big.Int).SetString(serial, 10)
	a.mu.Lock()
	defer a.mu.Unlock()
	return ok && a.data.GetRevokedCertificateBySerial(n) != nil
}

// Refuse makes the authority pass each request to f first, which says whether it has
// answered it. Nil ends that.
func (a *Authority) Refuse(f func(http.ResponseWriter, *http.Request) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refuse = f
}

// Watch makes the authority tell f the path of each request before it answers.
func (a *Authority) Watch(f func(path string)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = f
}

func (a *Authority) watch() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		refuse, asked, front, ahead := a.refuse, a.asked, a.front, a.ahead
		a.mu.Unlock()
		if ahead != 0 {
			w.Header().Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
		}
		if asked != nil {
			asked(r.URL.Path)
		}
		if refuse != nil && refuse(w, r) {
			return
		}
		names := ordered(r)
		counted := &status{ResponseWriter: w, askAgain: a.options.AskAgain && strings.Contains(r.URL.Path, "/renewalInfo/")}
		front.ServeHTTP(counted, r)
		if counted.code == http.StatusCreated {
			a.mu.Lock()
			for _, name := range names {
				a.orders[name]++
			}
			a.mu.Unlock()
		}
	})
}

type status struct {
	http.ResponseWriter
	askAgain bool
	code     int
}

func (s *status) WriteHeader(code int) {
	s.code = code
	if s.askAgain {
		s.Header().Set("Retry-After", "1")
	}
	s.ResponseWriter.WriteHeader(code)
}

// ordered returns the names that a request for a new order is about (RFC 8555, 7.4).
func ordered(r *http.Request) (names []string) {
	if r.URL.Path != "/order-plz" {
		return nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	var signed struct{ Payload string }
	var order struct{ Identifiers []struct{ Value string } }
	_ = json.Unmarshal(body, &signed)
	payload, _ := base64.RawURLEncoding.DecodeString(signed.Payload)
	_ = json.Unmarshal(payload, &order) // what is none names nothing
	for _, i := range order.Identifiers {
		names = append(names, i.Value)
	}
	return names
}

// Problem returns an answer with a problem of ACME, for [Authority.Refuse].
func Problem(w http.ResponseWriter, code int, kind, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(code)
	fmt.Fprintf(w, `{"type":"urn:ietf:params:acme:error:%s","detail":%q}`, kind, detail)
}

// resolver starts a DNS server for which every name is 127.0.0.1, and returns its address.
// It passes on questions for TXT records.
func resolver(t testing.TB, nameServer func() string) string {
	t.Helper()
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		if q.Question[0].Qtype == dns.TypeTXT && nameServer != nil {
			if answer, err := dns.Exchange(q, nameServer()); err == nil {
				m = answer
			}
		}
		if q.Question[0].Qtype == dns.TypeA {
			m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.IPv4(127, 0, 0, 1)}}
		}
		_ = w.WriteMsg(m) // a client that is gone asks again
	})
	for range 100 { // pebble asks by UDP and by TCP at one port, which both must have free
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		packets, err := net.ListenPacket("udp", l.Addr().String())
		if err != nil {
			_ = l.Close()
			continue
		}
		for _, server := range []*dns.Server{{Listener: l, Handler: handler}, {PacketConn: packets, Handler: handler}} {
			go func() { _ = server.ActivateAndServe() }() // it ends with the sockets
		}
		t.Cleanup(func() {
			_ = l.Close()
			_ = packets.Close()
		})
		return l.Addr().String()
	}
	t.Fatal("no port is free for UDP and TCP")
	return ""
}
