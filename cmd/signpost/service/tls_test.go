package service

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signpost-fm/signpost/cmd/signpost/config"
)

// All directors with one secret can read each other's tickets, also across the change of
// keys and with clocks that differ, and nobody else can.
func TestTicketKeys(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 11, 59, 0, 0, time.UTC)
	secret := []byte("a secret of all directors")
	keys := ticketKeys(secret, now)
	if len(keys) != 3 || keys[0] == keys[1] || keys[0] == keys[2] {
		t.Fatalf("keys %x", keys)
	}
	for _, later := range []time.Duration{0, time.Minute, ticketLife, -ticketLife} {
		if !slices.Contains(ticketKeys(secret, now.Add(later)), keys[0]) {
			t.Errorf("a ticket of %v ago cannot be read", later)
		}
	}
	for _, other := range [][][32]byte{ticketKeys(secret, now.Add(2*ticketLife)), ticketKeys([]byte("another"), now)} {
		if slices.Contains(other, keys[0]) {
			t.Error("a ticket can be read that should not be")
		}
	}
}

// A listener who comes to another director resumes.
func TestSessionsAreShared(t *testing.T) {
	t.Parallel()
	pair := selfSigned(t, func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) })
	client := &tls.Config{ServerName: "radio.example", InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(8)}
	for i := range 3 {
		server := &tls.Config{Certificates: []tls.Certificate{pair}}
		server.SetSessionTicketKeys(ticketKeys([]byte("a secret of all directors"), time.Now()))
		if resumed := handshake(t, client, server).DidResume; resumed != (i > 0) {
			t.Errorf("at director %d: resumed %v", i+1, resumed)
		}
	}
}

// The end of a certificate is told once for each name, whoever shows it, of files too.
func TestCertificateMetrics(t *testing.T) {
	t.Parallel()
	pair := selfSigned(t, func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) })
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil || len(leaf.DNSNames) == 0 {
		t.Fatalf("%v, %v", leaf.DNSNames, err)
	}
	var d Service
	d.certs.current.Store(&pair)
	d.adminCerts.current.Store(&pair)
	d.adminCerts.lastError = "nobody can read it"
	all := prometheus.NewPedanticRegistry()
	all.MustRegister(certificateMetrics{&d})
	families, err := all.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if len(families) != 2 || len(families[0].GetMetric()) != len(leaf.DNSNames) || families[0].GetMetric()[0].GetGauge().GetValue() != float64(leaf.NotAfter.Unix()) {
		t.Errorf("metrics %v", families)
	}
}

// HTTP/2 is for web browsers, which say reserved values or encrypt names; all others that ask
// for it get HTTP/1.1, unless it is for all.
func TestHTTP2IsOffered(t *testing.T) {
	t.Parallel()
	both := []string{"h2", "http/1.1"}
	hellos := map[string]*tls.ClientHelloInfo{
		"chromium": {CipherSuites: []uint16{0x3a3a, 0x1301}, Extensions: []uint16{0x1a1a, 0, 0xfe0d}, SupportedProtos: both},
		"firefox":  {CipherSuites: []uint16{0x1301, 0x1303}, Extensions: []uint16{0, 23, 0xfe0d}, SupportedProtos: both},
		"safari":   {CipherSuites: []uint16{0xfafa, 0x1301}, Extensions: []uint16{0x0a0a, 0}, SupportedProtos: both},
		"curl":     {CipherSuites: []uint16{0x1302, 0x1303, 0x1a2a}, Extensions: []uint16{0, 11, 10, 16}, SupportedProtos: both},
		"radio":    {CipherSuites: []uint16{0x2f}},
		"old":      {CipherSuites: []uint16{0x3a3a}, SupportedProtos: []string{"http/1.1"}},
	}
	browsers := []string{"chromium", "firefox", "safari"}
	for to, want := range map[config.HTTP2][]string{config.HTTP2Browsers: browsers, config.HTTP2All: append(browsers, "curl"), config.HTTP2Off: nil} {
		c := &tls.Config{NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}
		offerHTTP2(c, to)
		for name, hello := range hellos {
			got := c
			if c.GetConfigForClient != nil {
				if other, err := c.GetConfigForClient(hello); err != nil {
					t.Fatal(err)
				} else if other != nil {
					got = other
				}
			}
			if offered := slices.Contains(got.NextProtos, "h2"); offered != slices.Contains(want, name) || !slices.Contains(got.NextProtos, "http/1.1") {
				t.Errorf("%s, %s: offered %v", to, name, got.NextProtos)
			}
		}
	}

	// Who speaks HTTP/2 resumes at other directors as well.
	pair := selfSigned(t, func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) })
	client := &tls.Config{ServerName: "radio.example", InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(8), NextProtos: both}
	for i := range 2 {
		server := &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"}}
		offerHTTP2(server, config.HTTP2All)
		server.SetSessionTicketKeys(ticketKeys([]byte("a secret of all directors"), time.Now()))
		if state := handshake(t, client, server); state.NegotiatedProtocol != "h2" || state.DidResume != (i > 0) {
			t.Errorf("at director %d: %s, resumed %v", i+1, state.NegotiatedProtocol, state.DidResume)
		}
	}
}

// handshake makes a TLS connection, over which a byte comes: tickets of TLS 1.3 come before
// it.
func handshake(t *testing.T, client, server *tls.Config) tls.ConnectionState {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ours, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	theirs, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		s := tls.Server(theirs, server)
		_, _ = s.Write([]byte{1}) // what fails, the client sees
		_ = s.Close()
	}()
	c := tls.Client(ours, client)
	if err := c.Handshake(); err != nil {
		return tls.ConnectionState{}
	}
	_, _ = c.Read(make([]byte, 1))
	return c.ConnectionState()
}

func selfSigned(t *testing.T, newKey func() (crypto.Signer, error)) tls.Certificate {
	t.Helper()
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"radio.example"}}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{cert}, PrivateKey: key}
}

// Old radios are served if that is asked for, and new ones speak the best all the same.
func TestOldRadios(t *testing.T) {
	t.Parallel()
	pair := selfSigned(t, func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) })
	radio := func(version uint16, suites ...uint16) *tls.Config {
		return &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: version, CipherSuites: suites}
	}
	strict, old, oldest := config.TLS{Minimum: tls.VersionTLS12}, config.TLS{Minimum: tls.VersionTLS10}, config.TLS{Minimum: tls.VersionTLS10, Legacy: true}
	for _, c := range []struct {
		what   string
		allows config.TLS
		radio  *tls.Config
		want   uint16 // the version; 0: refused
	}{
		{"TLS 1.0, as is", strict, radio(tls.VersionTLS10), 0},
		{"TLS 1.1, as is", strict, radio(tls.VersionTLS11), 0},
		{"TLS 1.2, as is", strict, radio(tls.VersionTLS12), tls.VersionTLS12},
		{"TLS 1.3, as is", strict, radio(tls.VersionTLS13), tls.VersionTLS13},
		{"TLS 1.0, minimum 1.0", old, radio(tls.VersionTLS10), tls.VersionTLS10},
		{"RSA key exchange, minimum 1.0", old, radio(tls.VersionTLS10, tls.TLS_RSA_WITH_AES_128_CBC_SHA), 0},
		{"RSA key exchange, legacy", oldest, radio(tls.VersionTLS10, tls.TLS_RSA_WITH_AES_128_CBC_SHA), tls.VersionTLS10},
		{"3DES, legacy", oldest, radio(tls.VersionTLS12, tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA), tls.VersionTLS12},
		{"RC4, legacy", oldest, radio(tls.VersionTLS12, tls.TLS_RSA_WITH_RC4_128_SHA), 0},
		{"TLS 1.3, legacy", oldest, radio(tls.VersionTLS13), tls.VersionTLS13},
	} {
		server := &tls.Config{Certificates: []tls.Certificate{pair}}
		speak(server, c.allows)
		got := handshake(t, c.radio, server)
		if got.Version != c.want {
			t.Errorf("%s: version %#x, want %#x", c.what, got.Version, c.want)
		}
		if len(c.radio.CipherSuites) == 0 && c.want == tls.VersionTLS12 && !slices.ContainsFunc(tls.CipherSuites(), func(s *tls.CipherSuite) bool { return s.ID == got.CipherSuite }) {
			t.Errorf("%s: a new player gets %s", c.what, tls.CipherSuiteName(got.CipherSuite))
		}
	}
}
