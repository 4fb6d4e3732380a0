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
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"
)

// Options say how the authority works.
type Options struct {
	Port     int    // where it asks for challenges, of both kinds
	Validity uint64 // of certificates, in seconds; 0: 90 days
	// NameServer returns where TXT records are asked for, host:port; nil: there are none.
	NameServer func() string
}

// An Authority is a running one.
type Authority struct {
	Directory string // its URL
	Roots     []byte // in PEM, that vouch for the directory

	issuers *x509.CertPool // of the certificates

	mu     sync.Mutex
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
	a := &Authority{orders: map[string]int{}, issuers: x509.NewCertPool()}
	logger := log.New(io.Discard, "", 0)
	data := db.NewMemoryStore()
	issuer := ca.New(logger, data, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {Description: "default", ValidityPeriod: o.Validity}})
	validator := va.New(logger, o.Port, o.Port, false, resolver(t, o.NameServer), data)
	front := wfe.New(logger, data, validator, issuer, []string{"ca.example"}, false, false, 0, 0)
	server := httptest.NewUnstartedServer(a.watch(front.Handler()))
	server.Config.ErrorLog = logger
	server.StartTLS()
	t.Cleanup(server.Close)
	a.Directory = server.URL + wfe.DirectoryPath
	a.Roots = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	a.issuers.AddCert(issuer.GetRootCert(0).Cert)
	return a
}

// Issuers returns the roots of the certificates that the authority issues.
func (a *Authority) Issuers() *x509.CertPool { return a.issuers }

// Orders returns how many orders there were for a name.
func (a *Authority) Orders(name string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.orders[name]
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

func (a *Authority) watch(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		refuse, asked := a.refuse, a.asked
		a.mu.Unlock()
		if asked != nil {
			asked(r.URL.Path)
		}
		if refuse != nil && refuse(w, r) {
			return
		}
		names := ordered(r)
		counted := &status{ResponseWriter: w}
		h.ServeHTTP(counted, r)
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
	code int
}

func (s *status) WriteHeader(code int) {
	s.code = code
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
