package web

import (
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
)

// webBrowser says whether a request is a web browser's. No player says all of this: those
// that call themselves Mozilla name no languages. Safari plays by AppleCoreMedia, which is
// a player here.
func webBrowser(r *http.Request) bool {
	ua := firstHeader(r, "User-Agent")
	return strings.HasPrefix(ua, "Mozilla/5.0 (") && !strings.HasPrefix(ua, "Mozilla/5.0 (compatible") &&
		firstHeader(r, "Accept-Language") != "" && r.Header["Icy-Metadata"] == nil
}

// httpsURL is where a web browser that came by plain HTTP finds the same by https; empty:
// it is no browser, it came by https, or https does not work.
func (s *Server) httpsURL(q *request) string {
	p := q.policy
	if q.client.https || p.HTTPSPort == 0 || !webBrowser(q.r) {
		return ""
	}
	base := p.HTTPSURL
	if base == "" {
		host := q.host()
		if ascii, err := httpguts.PunycodeHostPort(host); err == nil {
			host = ascii
		}
		if !saneHost(host) {
			return ""
		}
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if base = "https://" + host; p.HTTPSPort != 443 {
			base += ":" + strconv.Itoa(p.HTTPSPort)
		}
	}
	u, err := url.Parse(base)
	if err != nil || s.cfg.HTTPSWorks != nil && !s.cfg.HTTPSWorks(u.Hostname()) {
		return ""
	}
	base = strings.TrimSuffix(base, "/") + q.r.URL.EscapedPath()
	if q.r.URL.RawQuery != "" {
		base += "?" + q.r.URL.RawQuery
	}
	return base
}

// toHTTPS sends a browser to the same URL by https.
func (s *Server) toHTTPS(x *exchange) error {
	h := x.header()
	x.streamHeaders()
	h["Location"] = []string{x.httpsAt}
	h["Content-Length"] = empty
	x.answer = HTTPS
	x.w.WriteHeader(http.StatusFound)
	return nil
}

// strictTransport is the value of the header Strict-Transport-Security (RFC 6797); nil:
// there is none.
func strictTransport(d time.Duration) []string {
	if d <= 0 {
		return nil
	}
	return []string{"max-age=" + strconv.Itoa(int(d/time.Second))}
}
