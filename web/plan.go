package web

import (
	"net/url"
	"strings"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/hls/origin"
)

// A Plan holds everything that the answer to a request needs. [Server.plan] makes it, and
// then it is only read: to answer the request, and by [Server.Explain].
type Plan struct {
	Answer Answer // the form
	fault  *fault // what is answered instead; nil: nothing

	to       destination // where the listener goes, or the stream comes from
	entries  Entries     // what a playlist leads to
	mismatch bool        // no node is available in the listener's own scheme

	origin *origin.Mount // what nodes have of HLS or DASH between which players can be moved; nil: nothing
	ttl    time.Duration // after which such a player is to ask again

	// For a stream that is to be carried inline.
	inline    bool
	kbit      int          // what it takes of the inline budget, in kbit/s
	noRoom    bool         // the budget has no room: the answer is otherwise, or a fault
	otherwise *destination // of a redirect, if it cannot be carried; nil: none
}

// destination is where a listener is sent.
type destination struct {
	listener director.Listener // as it was passed to Decide
	decided  bool              // d is valid
	d        director.Decision
	overflow string // the mount's overflow URL, if all nodes are full; empty: to the nodes

	// Of who plays HLS or DASH: the number of the node where it is plus 1, 0 if there is
	// none; whether it may be moved for other reasons than a failure; and whether it is.
	seat   int
	rested bool
	move   director.Move
}

const (
	// rankedCap is more than a playlist lists, so that deciding does not allocate.
	rankedCap = 32
	// carryTries is how many nodes are tried for one inline stream.
	carryTries = 3
	// defaultKbit is assumed for a mount without a bitrate, in kbit/s.
	defaultKbit = 128
)

func newPlan() Plan {
	return Plan{to: destination{d: director.Decision{Ranked: make([]director.Candidate, 0, rankedCap)}}}
}

// plan decides on the form of the answer and on the nodes. It changes only p, which must be
// a new Plan.
func (s *Server) plan(q *request, p *Plan) {
	to := &p.to
	if q.session.alone {
		p.Answer, p.ttl = Steer, ShortestTTL
		return
	}
	if q.target.mount < 0 {
		to.d.Outcome, to.d.Mount, to.decided = director.NoMount, -1, true
		p.fault = faultNoMount
		return
	}
	to.listener = director.Listener{
		Addr: q.client.addr, Place: s.cfg.Locate(q.client.addr), Key: q.visit.Key(q.key),
		Mount: q.view.Mount(q.target.mount).Name, Scheme: q.ownScheme(), Avoid: q.visit.Avoid,
	}
	if q.rule != nil && q.rule.Relay {
		to.listener.Never = s.relays.below(q)
	}
	p.Answer, p.entries = q.form(), q.entries()
	switch p.Answer {
	case Deny:
		p.fault = faultRuleDenies
	case HTTPS: // it is decided when it comes again
	case Proxy:
		s.planInline(q, p)
	case Steer:
		s.planSteering(q, p)
	default:
		if q.parts && p.Answer == Redirect {
			s.planParts(q, p)
			return
		}
		s.planSent(q, p)
	}
}

// form is the form of the answer by the client's rule, the URL, or the ladder for clients
// without a rule.
func (q *request) form() Answer {
	switch {
	case q.rule != nil && q.rule.Answer == Deny:
		return Deny
	case q.target.format != Redirect:
		return q.target.format
	case q.target.part != "":
		return Redirect
	case q.rule != nil:
		return q.rule.Answer
	case q.visit.Inline:
		return Proxy
	}
	return Redirect
}

// entries is what a playlist for this client leads to.
func (q *request) entries() Entries {
	switch {
	case q.inlineByRule():
		return EntriesDirector // it cannot be sent to a node
	case q.rule != nil && q.target.format == Redirect:
		return EntriesNodes // at the director it would get the playlist again
	}
	return q.policy.Entries
}

// planSent plans a redirect or a playlist: the listener connects to a node by itself.
func (s *Server) planSent(q *request, p *Plan) {
	to := &p.to
	if q.inlineByRule() {
		to.listener.Scheme = director.AnyScheme
	}
	to.d.Want = 1
	if p.Answer.playlist() {
		to.d.Want = q.policy.PlaylistLength
	}
	if p.fault = q.choose(to); !p.fault.mayPassByScheme() || !q.chooseAnyScheme(to) {
		return
	}
	p.fault, p.mismatch = nil, true
	switch {
	case q.policy.SchemeMismatch == MismatchDeny:
		p.fault = faultScheme
	case q.policy.SchemeMismatch == MismatchRedirect && !q.strictScheme():
	case p.Answer.playlist():
		p.entries = EntriesDirector
	default:
		p.Answer = Proxy
		s.planInline(q, p)
	}
}

// planInline plans a stream that is carried inline, from nodes of any scheme, and the answer
// if it cannot be.
func (s *Server) planInline(q *request, p *Plan) {
	to := &p.to
	if q.parts { // the player would ask this director for the segments, which it does not have
		if p.fault = faultParts; q.followsRedirects() {
			if other := q.otherwise(to); other != nil {
				p.fault, p.Answer, p.to = nil, Redirect, *other
			}
		}
		return
	}
	p.inline = true
	if p.kbit = q.view.Mount(q.target.mount).Kbit; p.kbit == 0 {
		p.kbit = defaultKbit
	}
	to.listener.Scheme = director.AnyScheme
	to.d.Want = carryTries
	room := false
	if c := s.cfg.Carrier; c != nil {
		to.listener.Joins = c.Playing(to.listener.Mount)
		room = c.Room(p.kbit)
	}
	if p.fault = q.choose(to); p.fault != nil {
		return
	}
	if to.overflow != "" {
		p.Answer, p.inline = Redirect, false
		return
	}
	if q.followsRedirects() {
		p.otherwise = q.otherwise(to)
	}
	if room {
		return
	}
	p.noRoom = true
	if p.otherwise == nil {
		p.fault = faultNoRoom
		return
	}
	p.Answer, p.to = Redirect, *p.otherwise
}

// otherwise plans the redirect of a listener whose stream cannot be carried inline; nil:
// there is none. Unless the policy says so, nobody is redirected from https to http, which
// would expose what the listener meant to hide.
func (q *request) otherwise(inline *destination) *destination {
	to := &destination{listener: inline.listener, seat: inline.seat}
	to.listener.Scheme, to.listener.Joins = q.ownScheme(), nil
	f := q.choose(to)
	if f == nil || q.crosses() && f.mayPassByScheme() && q.chooseAnyScheme(to) {
		return to
	}
	return nil
}

// crosses says whether the listener may be sent to the other scheme where its own is not
// spoken.
func (q *request) crosses() bool {
	return !q.strictScheme() && (q.policy.SchemeMismatch == MismatchRedirect ||
		q.policy.SchemeMismatch == MismatchProxy && q.ownScheme() == director.HTTP)
}

// strictScheme says that the client is known to refuse nodes of the other scheme.
func (q *request) strictScheme() bool {
	return q.rule != nil && (q.rule.SameScheme || q.rule.HTTPOnly)
}

// choose decides on the listener's nodes, and returns a fault if there are none. If all are
// full, the mount's overflow URL takes their place.
func (q *request) choose(to *destination) *fault {
	q.decide(to)
	to.decided = true
	if len(to.d.Ranked) > 0 {
		return nil
	}
	if to.d.Outcome == director.Full && q.followsRedirects() {
		if to.overflow = q.view.OverflowURL(to.d.Mount); to.overflow != "" {
			return nil
		}
	}
	return faultOf(to.d.Outcome)
}

// decide decides on the listener's nodes; for one who plays HLS or DASH also whether it
// stays where it is.
func (q *request) decide(to *destination) {
	if !q.parts {
		q.view.Decide(&to.d, to.listener, q.view.Live)
		return
	}
	to.move = q.view.Steer(&to.d, to.listener, to.seat-1, to.rested, q.view.Live)
}

// chooseAnyScheme decides again, on nodes of either scheme, and says whether there are any.
// If not, the outcome for the listener's own scheme stays.
func (q *request) chooseAnyScheme(to *destination) bool {
	own, outcome := to.listener.Scheme, to.d.Outcome
	if own == director.AnyScheme {
		return false
	}
	to.listener.Scheme = director.AnyScheme
	q.decide(to)
	if len(to.d.Ranked) > 0 {
		return true
	}
	to.listener.Scheme, to.d.Outcome = own, outcome
	return false
}

// url is the mount's URL at the i-th node, with the listener's query unchanged.
func (to *destination) url(q *request, i int) string {
	base, path := q.view.URL(to.d.Ranked[i].Node, to.d.Mount, to.listener.Scheme)
	if base == "" {
		return ""
	}
	if q.target.part != "" {
		path = path[:strings.LastIndexByte(path, '/')+1] + (&url.URL{Path: q.target.part}).EscapedPath()
	}
	if q.target.query == "" {
		return base + path
	}
	return base + path + querySeparator(path) + q.target.query
}

// upstreams returns the URLs from which streams are carried inline, in the nodes' order.
func (to *destination) upstreams(q *request) []Upstream {
	ups := make([]Upstream, 0, len(to.d.Ranked))
	for _, c := range to.d.Ranked {
		if base, path := q.view.Upstream(c.Node, to.d.Mount); base != "" {
			ups = append(ups, Upstream{Node: q.view.NodeID(c.Node), URL: base + path})
		}
	}
	return ups
}

// mediaType is the mount's media type as configured, else as the first node reports it.
func (to *destination) mediaType(q *request) string {
	m := q.view.Mount(to.d.Mount)
	if m.Type != "" || len(to.d.Ranked) == 0 {
		return orMPEG(m.Type)
	}
	node := to.d.Ranked[0].Node
	_, escaped := q.view.URL(node, to.d.Mount, director.AnyScheme)
	path, _ := url.PathUnescape(escaped)
	for _, r := range q.view.Node(node).Report.Mounts {
		if r.Path == path {
			return orMPEG(r.Type)
		}
	}
	return orMPEG("")
}

// orMPEG replaces an empty media type with the one that most stations send.
func orMPEG(t string) string {
	if t == "" {
		return "audio/mpeg"
	}
	return t
}
