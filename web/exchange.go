package web

import (
	"errors"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/signpost-fm/signpost/director"
)

// exchange is one request on its way, and the memory that its way needs. It is
// pooled, empty but for that memory: nothing of it outlives the request.
type exchange struct {
	c   echo.Context
	w   http.ResponseWriter
	r   *http.Request
	p   *policy
	now time.Time
	at  time.Duration // now, since the server began; never 0

	// Found by identify.
	view   director.View
	client client
	target target
	agent  *agent
	rule   *compiledRule // nil: none holds
	key    uint64
	looks  bool // only looks: HEAD, a probe, or explain; nothing is counted
	again  bool // package quick has passed it on

	// Found by plan.
	place      director.Place
	listener   director.Listener
	d          director.Decision
	decided    bool
	visit      visitStep
	answer     Answer
	entries    Entries
	mismatch   bool   // no node speaks the listener's scheme
	orRedirect bool   // if the stream cannot be carried, a redirect is better than nothing
	noRoom     bool   // the stream was to be carried, and could not be
	overflow   string // where everybody goes when all nodes are full

	fault  *fault // what the answer was instead
	inline bool   // a stream was begun, whose record comes at its end
	passed bool   // it was left to net/http, and is over when that has answered
	rec    Record
	body   []byte // of playlists
}

// rankedCap is more than a playlist lists, so that deciding does not allocate.
const rankedCap = 32

func newExchange() *exchange {
	return &exchange{d: director.Decision{Ranked: make([]director.Candidate, 0, rankedCap)}}
}

func (x *exchange) header() http.Header { return x.w.Header() }

// run gives a request its exchange, and answers whatever comes back from h.
func (s *Server) run(c echo.Context, h func(*exchange) error) error {
	x := s.begin(c)
	defer s.end(x)
	if err := h(x); err != nil {
		s.refuse(x, err)
	}
	return nil
}

func (s *Server) begin(c echo.Context) *exchange {
	x := s.pool.Get().(*exchange)
	x.c, x.w, x.r, x.p = c, c.Response(), c.Request(), s.policy.Load()
	x.now = s.cfg.Now()
	x.at = s.since(x.now)
	x.answer = NoAnswer
	return x
}

// end is deferred by run: it catches panics, counts, records, and frees.
func (s *Server) end(x *exchange) {
	p := recover()
	err, _ := p.(error)
	aborted := errors.Is(err, http.ErrAbortHandler)
	if p != nil && !aborted {
		s.stats.panics.Add(1)
		s.cfg.Log.Error("request panicked", "panic", p, "path", x.r.URL.Path, "stack", string(debug.Stack()))
		s.refuse(x, faultBroken)
	}
	if !x.passed {
		s.record(x)
	}
	*x = exchange{d: director.Decision{Ranked: x.d.Ranked}, body: x.body}
	s.pool.Put(x)
	if aborted {
		panic(p) // net/http's way to cut a connection
	}
}

// ownScheme is what a URL must be for this listener to be redirected to it.
func (x *exchange) ownScheme() director.Scheme {
	if x.client.https && (x.rule == nil || !x.rule.HTTPOnly) {
		return director.HTTPS
	}
	return director.HTTP
}

// nodeURL is where a node serves the mount, with the listener's query as it came.
func (x *exchange) nodeURL(node int, scheme director.Scheme) string {
	base, path := x.view.URL(node, x.d.Mount, scheme)
	if base == "" {
		return ""
	}
	if x.r.URL.RawQuery == "" {
		return base + path
	}
	return base + path + querySeparator(path) + x.r.URL.RawQuery
}

// withQuery appends the listener's query to a URL.
func (x *exchange) withQuery(u string) string {
	if x.r.URL.RawQuery == "" {
		return u
	}
	return u + querySeparator(u) + x.r.URL.RawQuery
}

func querySeparator(u string) string {
	if strings.IndexByte(u, '?') >= 0 {
		return "&"
	}
	return "?"
}

// directorURL is the stream's URL at this director; empty if the request does not
// tell how the director is reached.
func (x *exchange) directorURL() string {
	base := x.directorBase()
	if base == "" {
		return ""
	}
	return x.withQuery(base + (&url.URL{Path: x.target.path}).EscapedPath())
}

// directorBase is this director's base URL; empty if the request does not tell it.
func (x *exchange) directorBase() string {
	switch {
	case x.p.PublicURL != "":
		return x.p.PublicURL
	case !saneHost(x.r.Host):
		return ""
	case x.client.https:
		return "https://" + x.r.Host
	}
	return "http://" + x.r.Host
}

// saneHost accepts names, addresses and ports, and nothing that could break out
// of a URL: the Host header is the client's own claim.
func saneHost(h string) bool {
	if h == "" || len(h) > 261 { // a name's 255 and a port
		return false
	}
	for i := range len(h) {
		c := lower(h[i])
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && strings.IndexByte("-._:[]", c) < 0 {
			return false
		}
	}
	return true
}

// mediaType is the mount's type as declared, else as the first node reports it.
func (x *exchange) mediaType() string {
	m := x.view.Mount(x.d.Mount)
	if m.Type != "" || len(x.d.Ranked) == 0 {
		return orMPEG(m.Type)
	}
	node := x.d.Ranked[0].Node
	_, escaped := x.view.URL(node, x.d.Mount, director.AnyScheme)
	path, _ := url.PathUnescape(escaped)
	for _, r := range x.view.Node(node).Report.Mounts {
		if r.Path == path {
			return orMPEG(r.Type)
		}
	}
	return orMPEG("")
}

// orMPEG falls back to what most stations send.
func orMPEG(t string) string {
	if t == "" {
		return "audio/mpeg"
	}
	return t
}
