package admin

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/labstack/echo/v4"
)

// policy lets the operators' pages load their own scripts, styles and answers, and
// streams from any node.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"media-src http: https:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// guard is in front of everything: it says what browsers may do with answers, and
// refuses requests that other sites make them send.
func (a *API) guard(next echo.HandlerFunc) echo.HandlerFunc {
	origins := http.NewCrossOriginProtection()
	return func(ctx echo.Context) error {
		h := ctx.Response().Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		r := ctx.Request()
		if err := origins.Check(r); err != nil {
			return problem(http.StatusForbidden, "another site made the browser send this; make changes on the director's own pages, or without a browser")
		}
		if len(a.cfg.Tokens()) == 0 && !ownHost(r.Host) && r.URL.Path != healthPath {
			return problem(http.StatusMisdirectedRequest,
				"no token is set, so this director answers at localhost and IP addresses only, since any site can point a name here; use an address, or set admin.tokens_file")
		}
		return next(ctx)
	}
}

// ownHost says whether a Host header may be meant for this machine. Any other name
// could be a site's that points at a loopback address, so that browsers take the
// director for a part of that site (DNS rebinding).
func ownHost(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil || host == "localhost" || strings.HasSuffix(host, ".localhost")
}
