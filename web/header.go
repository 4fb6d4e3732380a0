package web

import (
	"net/http"
	"strings"
)

// Header values, allocated once. They are assigned to header maps directly, under canonical
// names, and are never modified.
var (
	noStore         = []string{"no-store"}
	closeConnection = []string{"close"}
	empty           = []string{"0"}
	typePlain       = []string{"text/plain; charset=utf-8"}
	methods         = []string{http.MethodGet, http.MethodHead, http.MethodOptions}
	allowMethods    = []string{strings.Join(methods, ", ")}

	anyOrigin    = []string{"*"}
	allowHeaders = []string{"Icy-MetaData, Range"}
	// The headers that a page needs to separate ICY metadata from a stream.
	exposeHeaders = []string{"Icy-MetaInt, icy-br, icy-description, icy-genre, icy-name, icy-pub, icy-url"}
	maxAge        = []string{"86400"} // seconds for which a preflight holds
)

// connection closes the connection after the answer unless the policy keeps it open.
func (p *policy) connection(h http.Header) {
	if !p.KeepAlive {
		h["Connection"] = closeConnection
	}
}

// cors lets pages of any origin fetch a stream. Browsers require these headers on the
// redirect too, and after it send the node the origin "null".
func cors(h http.Header) {
	h["Access-Control-Allow-Origin"] = anyOrigin
	h["Access-Control-Allow-Headers"] = allowHeaders
	h["Access-Control-Expose-Headers"] = exposeHeaders
}

// streamHeaders sets the headers of every answer that leads to a stream.
func (x *exchange) streamHeaders() {
	h := x.header()
	h["Cache-Control"] = noStore
	cors(h)
	x.policy.connection(h)
	if x.client.https && x.policy.strict != nil {
		h["Strict-Transport-Security"] = x.policy.strict
	}
}

// options answers preflights, for any path: with a 405, browsers would give up.
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
