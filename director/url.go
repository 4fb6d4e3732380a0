package director

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// ParseBase parses the base URL of a server: scheme, host, perhaps a port and a path.
// It is strict, as the URL is sent to listeners, appears in playlists and on pages, and
// is requested by directors. The error says what to write instead.
func ParseBase(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil && !strings.Contains(raw, "://"): // "192.0.2.1:8000"
		return nil, fmt.Errorf("%q has no scheme; begin it with http:// or https://", raw)
	case err != nil:
		return nil, fmt.Errorf("%q is not a URL: %w", raw, errors.Unwrap(err))
	case u.Scheme == "icecast" || u.Scheme == "icy" || u.Scheme == "icyx" || u.Scheme == "shout":
		return nil, fmt.Errorf("%q: %s:// is how a source or a player names a server; listeners are sent to its http:// URL: write http://%s", raw, u.Scheme, u.Host)
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("%q has no scheme; begin it with http:// or https://", raw)
	case u.Hostname() == "":
		return nil, fmt.Errorf("%q has no host; write http://host:port", raw)
	case u.User != nil:
		return nil, errors.New("a URL with a user or password would be shown to every listener; put them into a credentials_file")
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(raw, "#"):
		return nil, fmt.Errorf("%q has a query or fragment; give only scheme, host, port and perhaps a path", raw)
	}
	if msg := checkHost(u.Hostname()); msg != "" {
		return nil, fmt.Errorf("%q: %s", raw, msg)
	}
	if msg := checkPort(u); msg != "" {
		return nil, fmt.Errorf("%q: %s", raw, msg)
	}
	_, rest, _ := strings.Cut(raw, "://")
	if _, path, _ := strings.Cut(rest, "/"); path != "" {
		for _, r := range path {
			if !inPath(r) {
				return nil, fmt.Errorf("%q: the path has %q in it; write it as %s", raw, r, escaped(r))
			}
		}
	}
	return u, nil
}

// checkHost says what is wrong with a URL's host, or nothing. A host is an IP address
// without brackets, or a DNS name (RFC 1123, and underscores, which occur in practice).
func checkHost(host string) string {
	if ip, err := netip.ParseAddr(host); err == nil {
		switch {
		case ip.Zone() != "":
			return "an address with a zone means something on this machine only; give one that listeners reach"
		case ip.IsUnspecified(), ip.IsMulticast(), ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
			return fmt.Sprintf("%s is no server's address", ip)
		}
		return ""
	}
	const remedy = "; use letters, digits, '-' and '.', and punycode (xn--) for others"
	if len(host) > 253 {
		return "the host is longer than 253 characters" + remedy
	}
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 {
			return "the host has a part of no, or of more than 63, characters" + remedy
		}
		for _, r := range label {
			if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_') {
				return fmt.Sprintf("the host has %q in it%s", r, remedy)
			}
		}
	}
	// Browsers read a host that ends in a number as an IPv4 address (WHATWG URL), in
	// differing forms.
	last := labels[len(labels)-1]
	if _, err := strconv.ParseUint(last, 0, 64); err == nil || strings.Trim(last, "0123456789") == "" {
		return fmt.Sprintf("the host %s is neither a name nor an IPv4 address of four numbers from 0 to 255", host)
	}
	return ""
}

func checkPort(u *url.URL) string {
	port := u.Port()
	if port == "" && !strings.HasSuffix(u.Host, ":") {
		return ""
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || port[0] == '0' {
		return fmt.Sprintf("the port %q is no number from 1 to 65535", port)
	}
	return ""
}

// inPath says whether a character may appear unescaped in a path (RFC 3986). RFC 3986
// allows an apostrophe; inPath does not, as pages quote with it.
func inPath(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._~!$&()*+,;=:@/%", r)
}

// escaped percent-encodes a character.
func escaped(r rune) string {
	var out strings.Builder
	for _, b := range []byte(string(r)) {
		fmt.Fprintf(&out, "%%%02X", b)
	}
	return out.String()
}

func hostPort(u *url.URL) string { return u.Hostname() + ":" + PortOf(u) }

// PortOf returns the port of a URL, or its scheme's default if it has none.
func PortOf(u *url.URL) string {
	if port := u.Port(); port != "" {
		return port
	}
	return map[string]string{"http": "80", "https": "443"}[u.Scheme]
}
