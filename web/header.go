package web

import (
	"net/http"
	"strings"
)

// Values of headers, made once: they are put into header maps as they are, under
// names in canonical form. Nobody changes them.
var (
	noStore         = []string{"no-store"}
	closeConnection = []string{"close"}
	empty           = []string{"0"}
	typePlain       = []string{"text/plain; charset=utf-8"}
	methods         = []string{http.MethodGet, http.MethodHead, http.MethodOptions}
	allowMethods    = []string{strings.Join(methods, ", ")}

	anyOrigin    = []string{"*"}
	allowHeaders = []string{"Icy-MetaData, Range"}
	// A page may read what it needs to take ICY metadata out of a stream.
	exposeHeaders = []string{"Icy-MetaInt, icy-br, icy-description, icy-genre, icy-name, icy-pub, icy-url"}
	maxAge        = []string{"86400"} // seconds for which a preflight holds
)

// connection ends the connection unless the policy keeps it.
func (p *policy) connection(h http.Header) {
	if !p.KeepAlive {
		h["Connection"] = closeConnection
	}
}

// cors lets pages of any origin fetch a stream: browsers want that on the
// redirect itself, and call the origin "null" at the node behind it.
func cors(h http.Header) {
	h["Access-Control-Allow-Origin"] = anyOrigin
	h["Access-Control-Allow-Headers"] = allowHeaders
	h["Access-Control-Expose-Headers"] = exposeHeaders
}

// streamHeaders are on every answer that leads to a stream.
func (x *exchange) streamHeaders() {
	h := x.header()
	h["Cache-Control"] = noStore
	cors(h)
	x.policy.connection(h)
}

// options answers preflights, for any path: a 405 would be the end of them.
func (s *Server) options(x *exchange) error {
	h := x.header()
	x.streamHeaders()
	h["Allow"] = allowMethods
	h["Access-Control-Allow-Methods"] = allowMethods
	h["Access-Control-Max-Age"] = maxAge
	x.answer = NoAnswer
	x.w.WriteHeader(http.StatusNoContent)
	return nil
}
