package redistest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A Line is a way to a server that can be made slow, or be cut. Its methods are
// safe for concurrent use.
type Line struct {
	Addr string // where it listens, 127.0.0.1 and a port

	delay atomic.Int64 // ns
	loses atomic.Bool  // the next answer
	mu    sync.Mutex
	cut   bool
	cuts  chan struct{} // closed when it is cut next
}

// NewLine listens, and passes everything on to addr and back.
func NewLine(t testing.TB, addr string) *Line {
	t.Helper()
	l := &Line{cuts: make(chan struct{})}
	l.Addr = serve(t, func(client net.Conn) {
		l.mu.Lock()
		isCut, cuts := l.cut, l.cuts
		l.mu.Unlock()
		if isCut {
			_, _ = io.Copy(io.Discard, client)
			return
		}
		l.pass(t.Context(), client, addr, cuts)
	})
	return l
}

// Delay makes everything that comes back do so after d, from now on.
func (l *Line) Delay(d time.Duration) { l.delay.Store(int64(d)) }

// LoseAnswer makes the line break instead of passing on the next answer. The server has
// done then what it was asked.
func (l *Line) LoseAnswer() { l.loses.Store(true) }

// Cut makes the line swallow everything. Connections stay open and can be made.
func (l *Line) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = true
	close(l.cuts)
	l.cuts = make(chan struct{})
}

// Mend lets new connections through again. Those that were open before stay dead,
// as after a firewall has forgotten them.
func (l *Line) Mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = false
}

// pass passes on what a client says, and what it is answered, until cut is closed.
func (l *Line) pass(ctx context.Context, client net.Conn, addr string, cut <-chan struct{}) {
	server, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return
	}
	hung := func() bool {
		select {
		case <-cut:
			return true
		default:
			return false
		}
	}
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		defer func() {
			if !hung() {
				_ = client.Close() // the server is gone, and the client is told
			}
		}()
		buf := make([]byte, 64<<10)
		for {
			n, err := server.Read(buf)
			if d := time.Duration(l.delay.Load()); d > 0 {
				<-time.After(d)
			}
			if hung() || l.loses.CompareAndSwap(true, false) {
				return
			}
			if _, werr := client.Write(buf[:n]); err != nil || werr != nil {
				return
			}
		}
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if err == nil && !hung() {
			_, err = server.Write(buf[:n])
		}
		if err != nil {
			break
		}
	}
	_ = server.Close()
	<-answered
}

// Mute listens, accepts and never answers. It returns its address.
func Mute(t testing.TB) string {
	t.Helper()
	return serve(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
}

// Says listens, and answers each thing it is sent with the same text. It returns
// its address.
func Says(t testing.TB, text string) string {
	t.Helper()
	return serve(t, func(c net.Conn) {
		buf := make([]byte, 64<<10)
		for {
			if _, err := c.Read(buf); err != nil {
				return
			}
			if _, err := io.WriteString(c, text); err != nil {
				return
			}
		}
	})
}

func serve(t testing.TB, handle func(net.Conn)) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var (
		handlers sync.WaitGroup
		mu       sync.Mutex
		open     = map[net.Conn]bool{}
	)
	handlers.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			handlers.Go(func() {
				handle(c)
				_ = c.Close()
				mu.Lock()
				delete(open, c)
				mu.Unlock()
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		handlers.Wait()
	})
	return l.Addr().String()
}

// Certificates are files in PEM: an authority, and a server's certificate from it
// for the name [Name] alone.
type Certificates struct{ CA, Cert, Key string }

// Name is the name in the certificate.
const Name = "redis.example"

// NewCertificates makes an authority and a certificate.
func NewCertificates(t testing.TB) *Certificates {
	t.Helper()
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &key.PublicKey, key)
	must(err)
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: []string{Name}, NotAfter: time.Now().Add(time.Hour)}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, key)
	must(err)
	keyDER, err := x509.MarshalECPrivateKey(key)
	must(err)
	return &Certificates{write("ca.pem", "CERTIFICATE", caDER), write("cert.pem", "CERTIFICATE", leafDER), write("key.pem", "EC PRIVATE KEY", keyDER)}
}
