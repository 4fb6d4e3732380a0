package config

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/signpost-fm/signpost/director/wording"
)

// listeners converts and checks the addresses of both sides, with their certificates.
func (c *converter) listeners() (Listen, Admin) {
	if len(c.Listen.HTTP)+len(c.Listen.HTTPS) == 0 {
		c.fail("no address to listen at; give listen.http, such as \":8000\"", "listen")
	}
	check := func(addr string, path ...any) {
		_, port, err := net.SplitHostPort(addr) // names are looked up when the address is opened
		if _, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil {
			c.fail(fmt.Sprintf("%q is not an address to listen at; write host:port, or :port for all interfaces", addr), path...)
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
	public := Listen{
		HTTP: c.Listen.HTTP, HTTPS: c.Listen.HTTPS, PublicURLs: c.Listen.PublicURLs, ProxyProtocol: prefixes(c.Listen.ProxyProtocol),
		MaxConnections: c.Listen.MaxConnections, ShutdownDelay: c.Listen.ShutdownDelay, ShutdownTimeout: c.Listen.ShutdownTimeout,
	}
	operators := Admin{Listen: c.Admin.Listen, Tokens: c.tokens(), SafeBelow: c.Admin.SafeBelow}
	if len(c.Listen.HTTPS) > 0 && (c.Listen.CertFile == "" || c.Listen.KeyFile == "") {
		c.fail("https needs cert_file and key_file beside it", "listen", "https")
	} else {
		public.Certificate = c.certificate("listen", c.Listen.CertFile, c.Listen.KeyFile)
		operators.Certificate = c.certificate("admin", c.Admin.CertFile, c.Admin.KeyFile)
	}
	return public, operators
}

// certificate converts and checks a section's certificate and key.
func (c *converter) certificate(section, cert, key string) Certificate {
	if (cert == "") != (key == "") {
		c.fail("cert_file and key_file belong together; give both or neither", section, "cert_file")
	}
	if cert == "" || key == "" {
		return Certificate{}
	}
	out := Certificate{c.path(cert), c.path(key)}
	if _, err := tls.LoadX509KeyPair(out.CertFile, out.KeyFile); err != nil {
		c.fail("certificate: "+wording.Text(err), section, "cert_file")
	}
	return out
}

func prefixes(all []cidrValue) []netip.Prefix {
	var out []netip.Prefix
	for _, c := range all {
		out = append(out, c.Prefix)
	}
	return out
}
