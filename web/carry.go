package web

import (
	"errors"
	"net/http"
	"net/netip"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// Carrier carries streams inline. It is safe for concurrent use.
type Carrier interface {
	// Room says whether a stream of this bitrate, in kbit/s, fits the inline budget now.
	Room(kbit int) bool
	// Playing returns the nodes that already send a mount to this director. Another
	// inline listener takes no further seat there.
	Playing(mount string) []director.NodeID
	// Failing returns the nodes that did not play a mount when last asked for it.
	Failing(mount string) []Trouble
	// Carry answers with the stream. It may return while the stream still plays, with the
	// connection hijacked. When the stream has ended, done is called once, by any
	// goroutine, before Carry returns or long after. After [ErrNoRoom], [ErrNoUpstream]
	// and a [RefusedError] nothing was written, the caller must answer, and done is never
	// called.
	Carry(w http.ResponseWriter, r *http.Request, s Stream, done func(Carried)) error
}

var (
	// ErrNoRoom means that the inline budget is used up.
	ErrNoRoom = errors.New("no room for one more stream inline")
	// ErrNoUpstream means that none of the nodes gave the stream.
	ErrNoUpstream = errors.New("no node played the stream")
)

// RefusedError means that nodes refused this particular listener: its password or token
// was wrong or missing.
type RefusedError struct {
	Status     int      // 401, or 403
	Challenges []string // a node's WWW-Authenticate headers
}

func (e *RefusedError) Error() string {
	return "a node refused the listener: " + http.StatusText(e.Status)
}

// Trouble is what a node did instead of playing when it was last asked to. For some
// seconds, the node is tried after the others.
type Trouble struct {
	Node   director.NodeID `json:"node"`
	Why    string          `json:"why"`    // as in metrics, such as "not_audio"
	Detail string          `json:"detail"` // the request, and what came back
	At     time.Time       `json:"at"`
}

// Stream is what a [Carrier] is to carry.
type Stream struct {
	Upstreams []Upstream // ranked: the next is tried if one fails before its first audio
	Mount     string
	Kbit      int        // the mount's bitrate in kbit/s
	Query     string     // of the listener's request, for nodes that must know every listener
	Client    netip.Addr // the listener's address, for the nodes; invalid: unknown
	ICYLine   bool       // the status line is "ICY 200 OK"
	Type      string     // media type, if the node sends none
}

// Upstream is a mount at a node.
type Upstream struct {
	Node director.NodeID
	URL  string // without the listener's query
}

// Carried is what became of a stream.
type Carried struct {
	Node  director.NodeID // the last node that it came from
	Bytes int64           // written to the listener
	End   string          // why it ended, such as "listener_left"
}

// carry answers with the stream itself, or with what is planned if it cannot be carried.
func (s *Server) carry(x *exchange) error {
	if !s.beginCarrying() {
		s.stats.noRoom.Add(1)
		return s.notCarried(x, faultNoRoom)
	}
	x.streamHeaders()
	stream := Stream{
		Upstreams: x.to.upstreams(&x.request), Mount: x.to.listener.Mount, Kbit: x.plan.kbit, Query: x.target.query,
		Client: x.client.addr, ICYLine: x.rule != nil && x.rule.ICY, Type: x.to.mediaType(&x.request),
	}
	if x.r.Method == http.MethodHead {
		// The node's own headers would cost a seat there.
		s.carrying.Done()
		x.header()["Content-Type"] = []string{stream.Type}
		x.w.WriteHeader(http.StatusOK)
		return nil
	}
	// The node counts connections, not listeners, and only the Carrier knows when it opens
	// one. So the listener is not counted as en route here.
	x.counts = s.sent(x)
	x.inline = true
	err := s.cfg.Carrier.Carry(x.w, x.r, stream, s.carried(x))
	if err == nil {
		return nil
	}
	s.carrying.Done()
	x.inline = false
	if errors.Is(err, ErrNoRoom) {
		s.stats.noRoom.Add(1)
		return s.notCarried(x, faultNoRoom)
	}
	var refused *RefusedError
	if errors.As(err, &refused) {
		if refused.Status == http.StatusUnauthorized { // a redirect would not help
			x.header()["Www-Authenticate"] = refused.Challenges
			return faultMembers
		}
		return s.notCarried(x, faultRefused)
	}
	s.stats.noUpstream.Add(1)
	return s.notCarried(x, faultNoUpstream)
}

// notCarried answers a listener whose stream could not be carried inline: with the planned
// redirect, or with f if there is none.
func (s *Server) notCarried(x *exchange, f *fault) error {
	if x.plan.otherwise == nil {
		return f
	}
	x.answer, x.to = Redirect, x.plan.otherwise
	return s.redirect(x)
}

// carried returns the function to call when the stream has ended. The exchange is over by
// then, so its record is prepared now.
func (s *Server) carried(x *exchange) func(Carried) {
	rec, person := new(Record), s.personOf(x)
	s.fill(rec, x)
	return func(c Carried) {
		defer s.carrying.Done()
		s.stats.carried.Add(1)
		s.stats.bytes.Add(uint64(max(0, c.Bytes)))
		rec.Duration = s.cfg.Now().Sub(rec.Time)
		rec.Node, rec.Bytes, rec.End = c.Node, c.Bytes, c.End
		s.remember(rec, person, false)
		if s.cfg.Record != nil {
			s.cfg.Record(rec)
		}
	}
}
