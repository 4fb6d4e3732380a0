package web

import (
	"errors"
	"net/http"
	"net/netip"

	"github.com/signpost-fm/signpost/director"
)

// Carrier carries streams inline. Safe for concurrent use.
type Carrier interface {
	// Room says whether a stream of this bitrate, in kbit/s, fits the inline budget now.
	Room(kbit int) bool
	// Carry answers with the stream and returns when it has ended. With [ErrNoRoom]
	// and [ErrNoUpstream] nothing was written, and the caller still answers.
	Carry(w http.ResponseWriter, r *http.Request, s Stream) (Carried, error)
}

var (
	// ErrNoRoom means that the inline budget is used up.
	ErrNoRoom = errors.New("no room to carry a stream inline")
	// ErrNoUpstream means that none of the nodes gave the stream.
	ErrNoUpstream = errors.New("no node gave the stream")
)

// Stream is what a [Carrier] is to carry.
type Stream struct {
	Upstreams []Upstream // ranked: the next is tried if one fails before its first audio
	Mount     string
	Kbit      int        // the mount's bitrate in kbit/s
	Client    netip.Addr // who listens, for the nodes; invalid: unknown
	ICYLine   bool       // the status line is "ICY 200 OK"
	Type      string     // media type, if the node tells none
}

// Upstream is a mount at a node.
type Upstream struct {
	Node director.NodeID
	URL  string
}

// Carried is what became of a stream.
type Carried struct {
	Node  director.NodeID // the last that gave it
	Bytes int64           // written to the listener
	End   string          // why it ended, such as "listener_left"
	// Failed are the nodes that could not be reached or that broke off. One that
	// refuses at its limit has not failed.
	Failed []director.NodeID
}

const (
	// carryTries is how many nodes are tried for one inline stream.
	carryTries = 3
	// defaultKbit is reckoned for a mount that does not tell its bitrate.
	defaultKbit = 128
)

// carry answers with the stream itself, or with what the plan falls back to.
func (s *Server) carry(x *exchange) error {
	mount := x.view.Mount(x.d.Mount)
	kbit := mount.Kbit
	if kbit == 0 {
		kbit = defaultKbit
	}
	if s.cfg.Carrier == nil || !s.cfg.Carrier.Room(kbit) || !s.beginCarrying() {
		s.stats.noRoom.Add(1)
		return s.instead(x, faultNoRoom)
	}
	defer s.carrying.Done()
	x.streamHeaders()
	stream := Stream{
		Upstreams: x.upstreams(), Mount: mount.Name, Kbit: kbit,
		Client: x.client.addr, ICYLine: x.rule != nil && x.rule.ICY, Type: x.mediaType(),
	}
	if x.r.Method == http.MethodHead {
		// What the node would say is known only by taking a seat there.
		x.header()["Content-Type"] = []string{stream.Type}
		x.w.WriteHeader(http.StatusOK)
		return nil
	}
	// The upstream connection is a listener that no report of the node has counted yet.
	s.count(x)
	done, err := s.cfg.Carrier.Carry(x.w, x.r, stream)
	for _, node := range done.Failed {
		s.tell(x, node)
	}
	switch {
	case errors.Is(err, ErrNoRoom):
		s.stats.noRoom.Add(1)
		return s.instead(x, faultNoRoom)
	case errors.Is(err, ErrNoUpstream):
		s.stats.noUpstream.Add(1)
		return s.instead(x, faultNoUpstream)
	}
	x.carried, x.ended = done, true
	s.stats.carried.Add(1)
	s.stats.bytes.Add(uint64(max(0, done.Bytes)))
	return nil
}

// instead answers a listener whose stream could not be carried inline: with a
// redirect where one may work for it.
func (s *Server) instead(x *exchange, f *fault) error {
	if !x.orRedirect {
		return f
	}
	x.answer, x.orRedirect = Redirect, false
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
	return s.redirect(x)
}

// upstreams are the ranked nodes' URLs. It is not the redirects' way: it allocates.
func (x *exchange) upstreams() []Upstream {
	ups := make([]Upstream, 0, len(x.d.Ranked))
	for _, c := range x.d.Ranked {
		if u := x.nodeURL(c.Node, director.AnyScheme); u != "" {
			ups = append(ups, Upstream{Node: x.view.NodeID(c.Node), URL: u})
		}
	}
	return ups
}
