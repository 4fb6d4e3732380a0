package admin

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/labstack/echo/v4"
)

// policy is what the pages of the operators' side may load: their own scripts,
// styles and answers, and streams from wherever the nodes are.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"media-src http: https:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// guard stands before everything: it says what browsers may do with the answers,
// and refuses what other sites make them ask.
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
			return problem(http.StatusForbidden, "another site made the browser send this; changes are made from the director's own pages, or without a browser")
		}
		if len(a.cfg.Tokens()) == 0 && !ownHost(r.Host) && r.URL.Path != healthPath {
			return problem(http.StatusMisdirectedRequest,
				"no token is set, so this director answers to localhost and to IP addresses only, and not to names, which any site can point here; ask by address, or set admin.tokens_file")
		}
		return next(ctx)
	}
}

// ownHost says whether a Host header can be meant for this machine. A name could
// be a site's whose owner has pointed it at a loopback address, to make browsers
// take the director for a part of that site.
func ownHost(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil || host == "localhost" || strings.HasSuffix(host, ".localhost")
}
