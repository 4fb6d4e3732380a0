package config

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/signpost-fm/signpost/director/wording"
	"github.com/signpost-fm/signpost/web/acme"
	"github.com/signpost-fm/signpost/web/idn"
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
		TLS:  TLS{tlsVersions[c.Listen.TLS.Minimum], c.Listen.TLS.Legacy, c.Listen.TLS.HTTP2},
		HTTP: c.Listen.HTTP, HTTPS: c.Listen.HTTPS, PublicURLs: c.Listen.PublicURLs, ProxyProtocol: prefixes(c.Listen.ProxyProtocol),
		MaxConnections: c.Listen.MaxConnections, ShutdownDelay: c.Listen.ShutdownDelay, ShutdownTimeout: c.Listen.ShutdownTimeout,
	}
	operators := Admin{Listen: c.Admin.Listen, SafeBelow: c.Admin.SafeBelow}
	operators.TokenFiles, operators.Tokens = c.tokens()
	public.ACME = c.acme()
	if len(c.Listen.HTTPS) > 0 && public.ACME == nil && (c.Listen.CertFile == "" || c.Listen.KeyFile == "") {
		c.fail("https needs cert_file and key_file beside it, or acme", "listen", "https")
	} else {
		public.Certificate = c.certificate("listen", c.Listen.CertFile, c.Listen.KeyFile)
		operators.Certificate = c.certificate("admin", c.Admin.CertFile, c.Admin.KeyFile)
	}
	return public, operators
}

// tlsVersion is a version of TLS as people write it.
type tlsVersion string

var tlsVersions = map[tlsVersion]uint16{"1.0": tls.VersionTLS10, "1.1": tls.VersionTLS11, "1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}

// UnmarshalText reads a version.
func (v *tlsVersion) UnmarshalText(text []byte) error {
	if tlsVersions[tlsVersion(text)] == 0 {
		return fmt.Errorf("%q is no version of TLS; write 1.0, 1.1, 1.2 or 1.3", text)
	}
	*v = tlsVersion(text)
	return nil
}

// HTTP2 says to whom HTTP/2 is offered.
type HTTP2 string

// Those to whom HTTP/2 may be offered.
const (
	HTTP2Browsers HTTP2 = "browsers" // clients whose TLS is a web browser's
	HTTP2All      HTTP2 = "all"      // all that ask for it
	HTTP2Off      HTTP2 = "off"      // nobody
)

// UnmarshalText reads a setting.
func (v *HTTP2) UnmarshalText(text []byte) error {
	switch *v = HTTP2(text); *v {
	case HTTP2Browsers, HTTP2All, HTTP2Off:
		return nil
	}
	return fmt.Errorf("%q: use browsers, all or off", text)
}

// acme converts and checks the section listen.acme; nil: it is not there.
func (c *converter) acme() *acme.Config {
	in := c.Listen.ACME
	if reflect.DeepEqual(in, acmeSection{Directory: in.Directory}) {
		return nil
	}
	fail := func(msg string, path ...any) { c.fail(msg, append([]any{"listen", "acme"}, path...)...) }
	out := &acme.Config{Names: slices.Clone(in.Names), Email: in.Email, Challenge: acme.HTTP01, RSA: c.Listen.TLS.Legacy, OCSP: in.OCSP}
	if len(out.Names) == 0 {
		fail("needs names: the host names by which listeners reach the directors")
	}
	if _, err := mail.ParseAddress(in.Email); err != nil {
		fail("needs email: where the authority writes about the account, such as engineer@radio.example", "email")
	}
	var err error
	if out.Directory, err = acme.ParseDirectory(in.Directory); err != nil {
		fail(err.Error(), "directory")
	}
	if len(c.Listen.HTTP) == 0 {
		out.Challenge = acme.TLSALPN01
	}
	if in.Challenge != "" {
		if out.Challenge, err = acme.ParseChallenge(in.Challenge); err != nil {
			fail(err.Error(), "challenge")
		}
	}
	for i, name := range out.Names {
		ascii, err := idn.URL("https://" + strings.ToLower(name))
		if ascii = strings.TrimPrefix(ascii, "https://"); err == nil {
			err = acme.CheckName(ascii, out.Challenge)
		}
		if err == nil && out.Challenge == acme.DNS01 && !inZone(strings.TrimPrefix(ascii, "*."), c.DNS.Zone) {
			err = fmt.Errorf("%s is not in dns.zone, where alone the directors can prove a name by dns-01", ascii)
		}
		if err != nil {
			fail(err.Error(), "names", i)
		}
		if out.Names[i] = ascii; slices.Contains(out.Names[:i], ascii) {
			fail(ascii+" stands here twice", "names", i)
		}
	}
	if in.CAFile != "" {
		text, err := readSecret(c.path(in.CAFile))
		out.Roots = []byte(text)
		if err == nil && !x509.NewCertPool().AppendCertsFromPEM(out.Roots) {
			err = fmt.Errorf("%s has no certificate in PEM", c.path(in.CAFile))
		}
		if err != nil {
			fail(wording.Text(err), "ca_file")
		}
	}
	out.Secret = c.secret(in.SecretFile, "listen", "acme", "secret_file")
	switch redis := c.Store.Redis.URL != "" || len(c.Store.Redis.Addrs) > 0; {
	case len(c.Listen.HTTPS) == 0:
		fail("certificates are for listen.https, which has no address; give it one, such as \":443\"")
	case c.Listen.CertFile != "" || c.Listen.KeyFile != "":
		fail("stands beside listen.cert_file; take one of them out")
	case out.Challenge == acme.DNS01 && (len(c.DNS.Listen) == 0 || c.DNS.Zone == ""):
		fail("needs a zone that the directors serve; give dns.listen and dns.zone", "challenge")
	case out.Challenge == acme.HTTP01 && len(c.Listen.HTTP) == 0:
		fail("needs an address under listen.http, for the authority asks by plain HTTP; or take tls-alpn-01", "challenge")
	case redis && in.SecretFile == "":
		fail("needs secret_file, for private keys in Redis must be encrypted; `openssl rand -hex 32` makes a good secret, the same for all directors", "secret_file")
	case !redis && c.StateDir == "":
		fail("needs state_dir or store.redis, where certificates are kept: an authority soon refuses who orders a new one at each start")
	}
	return out
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
