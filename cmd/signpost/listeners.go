package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"sync/atomic"
)

// listeners checks where listeners are to come in.
func (c *converter) listeners() {
	if len(c.Listen.HTTP)+len(c.Listen.HTTPS) == 0 {
		c.fail("no address to listen at; give listen.http, such as \":8000\"", "listen")
	}
	check := func(addr string, path ...any) {
		_, port, err := net.SplitHostPort(addr) // a host's name is looked up when it is opened
		if _, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil {
			c.fail(fmt.Sprintf("%q is no address to listen at; write host:port, or :port for all interfaces", addr), path...)
		}
	}
	for i, addr := range c.Listen.HTTP {
		check(addr, "listen", "http", i)
	}
	for i, addr := range c.Listen.HTTPS {
		check(addr, "listen", "https", i)
	}
	if c.Admin.Listen != "" {
		check(c.Admin.Listen, "admin", "listen")
	}
	switch {
	case len(c.Listen.HTTPS) > 0 && (c.Listen.CertFile == "" || c.Listen.KeyFile == ""):
		c.fail("https needs cert_file and key_file beside it", "listen", "https")
	case (c.Listen.CertFile == "") != (c.Listen.KeyFile == ""):
		c.fail("cert_file and key_file belong together; give both or neither", "listen", "cert_file")
	case c.Listen.CertFile != "":
		if _, err := c.certificate(); err != nil {
			c.fail(err.Error(), "listen", "cert_file")
		}
	}
}

// certificate reads the certificate and its key.
func (l *loaded) certificate() (*tls.Certificate, error) {
	cert, err := tls.LoadX509KeyPair(l.path(l.Listen.CertFile), l.path(l.Listen.KeyFile))
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return &cert, nil
}

// certificates serves the certificate in force; a reload replaces it.
type certificates struct {
	current atomic.Pointer[tls.Certificate]
}

// config returns what the TLS listeners use. HTTP/2 is not offered: players do
// not speak it, and a stream is carried over HTTP/1.
func (c *certificates) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.current.Load(), nil
		},
	}
}
