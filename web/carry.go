package web

import (
	"errors"
	"net/http"
	"net/netip"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// Carrier carries streams inline. Safe for concurrent use.
type Carrier interface {
	// Room says whether a stream of this bitrate, in kbit/s, fits the inline budget now.
	Room(kbit int) bool
	// Playing returns the nodes from which a mount comes already, for any number of
	// listeners: one more takes no seat there.
	Playing(mount string) []director.NodeID
	// Failing returns the nodes that did not play a mount when it was last wanted of them.
	Failing(mount string) []Trouble
	// Carry answers with the stream. It may return while that plays on, with the
	// connection hijacked; done is called once when it has ended, by any goroutine,
	// before Carry returns or long after. With [ErrNoRoom], [ErrNoUpstream] and a
	// [RefusedError] nothing was written, the caller still answers, and done is never
	// called.
	Carry(w http.ResponseWriter, r *http.Request, s Stream, done func(Carried)) error
}

var (
	// ErrNoRoom means that the inline budget is used up.
	ErrNoRoom = errors.New("no room to carry a stream inline")
	// ErrNoUpstream means that none of the nodes gave the stream.
	ErrNoUpstream = errors.New("no node gave the stream")
)

// RefusedError means that nodes refused this very listener, by the password or the token
// that came with its request, or for want of one.
type RefusedError struct {
	Status     int      // 401, or 403
	Challenges []string // a node's, for WWW-Authenticate
}

func (e *RefusedError) Error() string {
	return "a node refused the listener: " + http.StatusText(e.Status)
}

// Trouble is what a node did instead of playing, when it was last to. It is tried
// after others for some seconds.
type Trouble struct {
	Node   director.NodeID `json:"node"`
	Why    string          `json:"why"`    // as in metrics: "not_audio"
	Detail string          `json:"detail"` // what was asked, and what came
	At     time.Time       `json:"at"`
}

// Stream is what a [Carrier] is to carry.
type Stream struct {
	Upstreams []Upstream // ranked: the next is tried if one fails before its first audio
	Mount     string
	Kbit      int        // the mount's bitrate in kbit/s
	Query     string     // of the listener's request, for nodes that are to know every listener
	Client    netip.Addr // who listens, for the nodes; invalid: unknown
	ICYLine   bool       // the status line is "ICY 200 OK"
	Type      string     // media type, if the node tells none
}

// Upstream is a mount at a node.
type Upstream struct {
	Node director.NodeID
	URL  string // without the listener's query
}

// Carried is what became of a stream.
type Carried struct {
	Node  director.NodeID // the last that gave it
	Bytes int64           // written to the listener
	End   string          // why it ended, such as "listener_left"
}

// carry answers with the stream itself, or with what is planned for when it cannot.
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
		// What the node would say is known only by taking a seat there.
		s.carrying.Done()
		x.header()["Content-Type"] = []string{stream.Type}
		x.w.WriteHeader(http.StatusOK)
		return nil
	}
	// The node will count connections, not listeners, and only the Carrier knows when
	// it opens one.
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
		if refused.Status == http.StatusUnauthorized { // it would be refused at the nodes as well
			x.header()["Www-Authenticate"] = refused.Challenges
			return faultMembers
		}
		return s.notCarried(x, faultRefused)
	}
	s.stats.noUpstream.Add(1)
	return s.notCarried(x, faultNoUpstream)
}

// notCarried answers a listener whose stream could not be carried inline: with the
// redirect that was planned for that, or with f.
func (s *Server) notCarried(x *exchange, f *fault) error {
	if x.plan.otherwise == nil {
		return f
	}
	x.answer, x.to = Redirect, x.plan.otherwise
	return s.redirect(x)
}

// carried returns what is to be done when the stream has ended. The exchange is
// over by then, so that its record is made now.
func (s *Server) carried(x *exchange) func(Carried) {
	rec := new(Record)
	s.fill(rec, x)
	return func(c Carried) {
		defer s.carrying.Done()
		s.stats.carried.Add(1)
		s.stats.bytes.Add(uint64(max(0, c.Bytes)))
		if s.cfg.Record != nil {
			rec.Duration = s.cfg.Now().Sub(rec.Time)
			rec.Node, rec.Bytes, rec.End = c.Node, c.Bytes, c.End
			s.cfg.Record(rec)
		}
	}
}
