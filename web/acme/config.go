package acme

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/signpost-fm/signpost/store"
)

// A Challenge is a way to prove to the authority that a name is ours.
type Challenge string

// The challenges. The authority asks at port 80, and 443, of what the name resolves to, or
// at the name servers of its zone.
const (
	HTTP01    Challenge = "http-01"     // RFC 8555, 8.3: a file by plain HTTP
	TLSALPN01 Challenge = "tls-alpn-01" // RFC 8737: a certificate for a protocol of its own
	DNS01     Challenge = "dns-01"      // RFC 8555, 8.4: a TXT record, in a zone that directors serve
)

// directories are the authorities that have a name of their own.
var directories = map[string]string{
	"letsencrypt":         "https://acme-v02.api.letsencrypt.org/directory",
	"letsencrypt-staging": "https://acme-staging-v02.api.letsencrypt.org/directory",
}

// Config says what certificates are for, and where they come from.
type Config struct {
	// Names are the hosts, in ASCII and lower case. Each gets a certificate of its own.
	// The first one's is for clients that name no host, or one that is not among them.
	Names []string
	Email string // where the authority writes about the account
	// Directory is the authority's URL, as from [ParseDirectory].
	Directory string
	Roots     []byte // in PEM, that vouch for the directory; empty: the system's
	Challenge Challenge
	// OCSP asks the authority whether certificates are revoked, shows clients its answer
	// (stapling, RFC 6066), and replaces those that are.
	OCSP bool
	RSA  bool // keys of 2,048 bits in place of ECDSA P-256, for old players
	// Port is where this director answers the challenge; the authority's connections to
	// port 80 or 443 must end there. 0 with DNS01.
	Port int
	// Publish makes this director answer in DNS with these TXT records, and no others, of
	// names such as "_acme-challenge.live.radio.example". It is needed with DNS01.
	Publish func(map[string][]string)

	Files store.Files // what the directors share
	// Copy is this director's own copy, for a start while Files is away; nil: none.
	Copy store.Files
	// Secret encrypts what is in Files and Copy; empty: it is not encrypted.
	Secret []byte

	Log *slog.Logger

	checkEvery time.Duration   // for renewals; 0: certmagic's default, 10 minutes
	lookEvery  time.Duration   // into Files, for newer certificates; 0: the default
	pauses     []time.Duration // between attempts that fail; empty: the default
	insists    bool            // on an attempt that is not due
}

// ParseDirectory returns the URL of an authority's directory, given by URL or by name.
func ParseDirectory(s string) (string, error) {
	if known, ok := directories[s]; ok {
		return known, nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return "", fmt.Errorf("%q is no directory of a certificate authority; write letsencrypt, letsencrypt-staging, or a URL such as https://ca.example/directory", s)
	}
	return s, nil
}

// ParseChallenge returns a challenge by its name in RFC 8555.
func ParseChallenge(s string) (Challenge, error) {
	switch c := Challenge(s); c {
	case HTTP01, TLSALPN01, DNS01:
		return c, nil
	}
	return "", fmt.Errorf("%q: use %s, %s or %s", s, HTTP01, TLSALPN01, DNS01)
}

// CheckName returns why no authority issues a certificate for a name that is in ASCII, if
// it is proved in this way. A name such as "*.radio.example" needs DNS01.
func CheckName(name string, by Challenge) error {
	if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		return fmt.Errorf("%s is an address, and certificates are for names; write a host name", name)
	}
	whole := name
	if rest, many := strings.CutPrefix(name, "*."); many {
		if by != DNS01 {
			return fmt.Errorf("%s stands for many names, which only %s can prove; list the names", name, DNS01)
		}
		name = rest
	}
	if !strings.Contains(name, ".") || strings.HasSuffix(name, ".") || len(name) > 253 {
		return fmt.Errorf("%q is not a whole host name; write one such as radio.example", name)
	}
	for label := range strings.SplitSeq(name, ".") {
		if err := checkLabel(label); err != nil {
			return fmt.Errorf("%s: %w", whole, err)
		}
	}
	return nil
}

func checkLabel(label string) error {
	switch {
	case strings.Contains(label, "_"):
		return fmt.Errorf("%q has an underscore, which no authority accepts; use a hyphen in its place", label)
	case label == "" || len(label) > 63:
		return errors.New("its parts have 1 to 63 characters each")
	case label[0] == '-' || label[len(label)-1] == '-':
		return fmt.Errorf("%q begins or ends with a hyphen", label)
	}
	for _, r := range label {
		if !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-') {
			return fmt.Errorf("%q has the character %q; a host name has letters, digits and hyphens", label, r)
		}
	}
	return nil
}
