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
	// before Carry returns or long after. With [ErrNoRoom] and [ErrNoUpstream]
	// nothing was written, the caller still answers, and done is never called.
	Carry(w http.ResponseWriter, r *http.Request, s Stream, done func(Carried)) error
}

var (
	// ErrNoRoom means that the inline budget is used up.
	ErrNoRoom = errors.New("no room to carry a stream inline")
	// ErrNoUpstream means that none of the nodes gave the stream.
	ErrNoUpstream = errors.New("no node gave the stream")
)

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

const (
	// carryTries is how many nodes are tried for one inline stream.
	carryTries = 3
	// defaultKbit is reckoned for a mount that does not tell its bitrate.
	defaultKbit = 128
)

// carry answers with the stream itself, or with what the plan falls back to.
func (s *Server) carry(x *exchange) error {
	mount, kbit := x.view.Mount(x.d.Mount), x.kbit()
	if !s.room(x) || !s.beginCarrying() {
		s.stats.noRoom.Add(1)
		return s.instead(x, faultNoRoom)
	}
	x.streamHeaders()
	stream := Stream{
		Upstreams: x.upstreams(), Mount: mount.Name, Kbit: kbit, Query: x.r.URL.RawQuery,
		Client: x.client.addr, ICYLine: x.rule != nil && x.rule.ICY, Type: x.mediaType(),
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
	s.sent(x)
	x.inline = true
	err := s.cfg.Carrier.Carry(x.w, x.r, stream, s.carried(x))
	if err == nil {
		return nil
	}
	s.carrying.Done()
	x.inline = false
	if errors.Is(err, ErrNoRoom) {
		s.stats.noRoom.Add(1)
		return s.instead(x, faultNoRoom)
	}
	s.stats.noUpstream.Add(1)
	return s.instead(x, faultNoUpstream)
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

// kbit is what a stream of the mount takes of the inline budget.
func (x *exchange) kbit() int {
	kbit := x.view.Mount(x.d.Mount).Kbit
	orDefault(&kbit, defaultKbit)
	return kbit
}

// room says whether the inline budget has room for the listener.
func (s *Server) room(x *exchange) bool {
	return s.cfg.Carrier != nil && s.cfg.Carrier.Room(x.kbit())
}

// instead answers a listener whose stream could not be carried inline: with a
// redirect where one may work for it.
func (s *Server) instead(x *exchange, f *fault) error {
	if err := s.fallBack(x, f); err != nil {
		return err
	}
	return s.redirect(x)
}

// fallBack plans a redirect for a listener whose stream cannot be carried inline.
func (s *Server) fallBack(x *exchange, f *fault) error {
	if !x.orRedirect {
		return f
	}
	x.answer, x.orRedirect, x.noRoom = Redirect, false, true
	if x.rule != nil && x.rule.Answer == Proxy {
		// The nodes were ranked for carrying, in any scheme.
		x.listener.Scheme = x.ownScheme()
		if err := s.decide(x); err != nil {
			return err
		}
		if x.answer == Proxy { // no node speaks its scheme
			return f
		}
	}
	return nil
}

// upstreams are the ranked nodes' URLs. It is not the redirects' way: it allocates.
func (x *exchange) upstreams() []Upstream {
	ups := make([]Upstream, 0, len(x.d.Ranked))
	for _, c := range x.d.Ranked {
		if base, path := x.view.Upstream(c.Node, x.d.Mount); base != "" {
			ups = append(ups, Upstream{Node: x.view.NodeID(c.Node), URL: base + path})
		}
	}
	return ups
}
