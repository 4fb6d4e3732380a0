package web

import (
	"net/http"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/quick"
)

// stream answers a request for a mount or for a playlist of it.
func (s *Server) stream(x *exchange) error {
	if err := s.identify(x); err != nil {
		return err
	}
	if visit, ok := quick.Note(x.r.Context()).(visitStep); ok {
		x.visit, x.again = visit, true
	} else if err := s.admit(x); err != nil {
		return err
	}
	if err := s.plan(x); err != nil {
		return err
	}
	switch x.answer {
	case Redirect:
		return s.redirect(x)
	case Proxy:
		if x.passOn() {
			return nil
		}
		return s.carry(x)
	default:
		return s.playlist(x)
	}
}

// passOn leaves a request that is not answered at once to net/http, where it comes
// again: then it has been admitted, and its visit noted.
func (x *exchange) passOn() bool {
	var p quick.Passer
	if p, x.passed = x.c.Response().Writer.(quick.Passer); x.passed {
		p.PassOn(x.visit)
	}
	return x.passed
}

// identify finds out who asks for what.
func (s *Server) identify(x *exchange) error {
	u := x.r.URL
	if len(u.Path) > maxPath || len(u.RawPath) > maxPath || len(u.RawQuery) > maxQuery {
		return faultTooLong
	}
	if hasControl(u.Path) || hasEncodedControl(u.RawQuery) {
		return faultBadPath
	}
	x.client = x.p.trust.clientOf(x.r)
	x.agent = x.p.rules.agent(firstHeader(x.r, "User-Agent"), &s.stats.families)
	x.rule = x.p.rules.match(x.agent, x.r)
	x.looks = x.r.Method == http.MethodHead || firstHeader(x.r, "Range") == "bytes=0-1"
	x.view = s.cfg.View()
	if x.view.Snapshot == nil {
		return faultStarting
	}
	x.target = x.p.findTarget(x.view.Snapshot, u.Path)
	name := x.target.path
	if x.target.mount >= 0 {
		name = x.view.Mount(x.target.mount).Name
	}
	x.key = s.keys.placement(x.client.addr, x.agent.hash, name)
	return nil
}

// firstHeader returns a header by its canonical name.
func firstHeader(r *http.Request, name string) string {
	if v := r.Header[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// admit applies the rate limits. Trusted proxies that ask for themselves, and
// listeners whose address is not known, are not one client.
func (s *Server) admit(x *exchange) error {
	if x.client.proxy || !x.client.addr.IsValid() {
		return nil
	}
	r, mu := s.addresses.acquire(s.keys.network(x.client.addr), x.at)
	ok := r.allow(x.at, x.p.PerAddress)
	mu.Unlock()
	if !ok {
		s.stats.limited[limitAddress].Add(1)
		return faultAddressRate
	}
	v, mu := s.visits.acquire(x.key, x.at)
	ok = v.rate.allow(x.at, x.p.PerKey)
	mu.Unlock()
	if !ok {
		s.stats.limited[limitKey].Add(1)
		return faultKeyRate
	}
	return nil
}

// plan decides about the node and the form of the answer.
func (s *Server) plan(x *exchange) error {
	if x.target.mount < 0 {
		x.d.Outcome, x.decided = director.NoMount, true
		return faultNoMount
	}
	x.place = s.cfg.Locate(x.client.addr)
	x.entries = x.p.Entries
	x.answer = x.target.format
	x.listener = director.Listener{
		Addr: x.client.addr, Place: x.place, Key: x.key,
		Mount: x.view.Mount(x.target.mount).Name, Scheme: x.ownScheme(),
	}
	if x.rule != nil {
		if err := x.applyRule(); err != nil {
			return err
		}
		if x.answer == Redirect {
			s.note(x)
		}
	} else if x.answer == Redirect {
		s.escalate(x)
	}
	return s.decide(x)
}

func (x *exchange) applyRule() error {
	if !x.looks {
		x.rule.hits.Add(1)
	}
	switch {
	case x.rule.Answer == Deny:
		return faultRuleDenies
	case x.rule.Answer == Proxy:
		x.listener.Scheme = director.AnyScheme
		x.entries = EntriesDirector // to a node it cannot go
		x.orRedirect = x.rule.OrRedirect
	case x.answer == Redirect:
		x.entries = EntriesNodes // the director would only give the playlist again
	}
	if x.answer == Redirect {
		x.answer = x.rule.Answer
	}
	return nil
}

// escalate looks whether the client has been here a moment ago.
func (s *Server) escalate(x *exchange) {
	if x.p.Escalate == EscalateOff {
		return
	}
	inline := x.p.Escalate == EscalateInline
	switch {
	case x.again:
	case x.looks:
		v := s.visits.peek(x.key)
		x.visit, _ = v.judge(x.at, inline)
	default:
		x.visit = s.arrive(x, inline)
		x.agent.family.count(x.visit.step, x.agent)
	}
	if x.p.Escalate == EscalateObserve {
		return
	}
	x.listener.Avoid = x.visit.avoid
	if x.visit.inline {
		x.answer, x.orRedirect = Proxy, true
	}
}

// note looks whether a client that a rule redirects has been here a moment ago. Its
// answer stays the rule's, and the node's, for that is what the rule is for.
func (s *Server) note(x *exchange) {
	if x.p.Escalate != EscalateOff && !x.again && !x.looks {
		s.arrive(x, false)
	}
}

// arrive notes a visit, and tells of the node from which it comes back.
func (s *Server) arrive(x *exchange, inline bool) visitStep {
	v, mu := s.visits.acquire(x.key, x.at)
	step := v.arrive(x.at, inline)
	mu.Unlock()
	s.tell(x, step.from)
	return step
}

// tell says that a node let the listener down. A double open counts too: a player
// that is refused by a dead node is back as fast. One that opens every stream twice
// does its node no harm but to be asked how it is.
func (s *Server) tell(x *exchange, node director.NodeID) {
	if s.cfg.Evidence == nil || node == "" || x.client.proxy || !x.client.addr.IsValid() {
		return
	}
	s.cfg.Evidence(node, s.keys.wide(x.client.addr))
}

// decide asks the core, and says what becomes of a listener for whom there is nobody.
func (s *Server) decide(x *exchange) error {
	x.d.Want, x.listener.Joins = 1, nil
	switch {
	case x.answer == Proxy:
		x.d.Want = carryTries
		if s.cfg.Carrier != nil {
			x.listener.Joins = s.cfg.Carrier.Playing(x.listener.Mount)
		}
	case x.answer.playlist():
		x.d.Want = x.p.PlaylistLength
	}
	x.view.Decide(&x.d, x.listener, x.view.Live)
	x.decided = true
	if len(x.d.Ranked) > 0 {
		return nil
	}
	if x.d.Outcome == director.Full && x.takesRedirect() {
		if x.overflow = x.view.OverflowURL(x.d.Mount); x.overflow != "" {
			if x.answer == Proxy {
				x.answer = Redirect
			}
			return nil
		}
	}
	if x.d.Outcome == director.Full || x.d.Outcome == director.Nobody {
		return s.otherScheme(x)
	}
	return faultOf(x.d.Outcome)
}

// takesRedirect says whether the listener can be sent elsewhere at all.
func (x *exchange) takesRedirect() bool {
	return x.rule == nil || x.rule.Answer != Proxy || x.rule.OrRedirect
}

// otherScheme decides again for a listener whose own scheme no node can serve.
func (s *Server) otherScheme(x *exchange) error {
	outcome := x.d.Outcome
	if x.listener.Scheme == director.AnyScheme {
		return faultOf(outcome)
	}
	own := x.listener.Scheme
	x.listener.Scheme = director.AnyScheme
	if x.answer == Redirect {
		x.d.Want = carryTries
	}
	x.view.Decide(&x.d, x.listener, x.view.Live)
	if len(x.d.Ranked) == 0 {
		x.d.Outcome = outcome
		return faultOf(outcome)
	}
	x.mismatch = true
	strict := x.rule != nil && (x.rule.SameScheme || x.rule.HTTPOnly)
	switch {
	case x.p.SchemeMismatch == MismatchDeny:
		return faultScheme
	case x.p.SchemeMismatch == MismatchRedirect && !strict:
		return nil
	case x.answer.playlist():
		x.entries = EntriesDirector
	default:
		// From https to http nobody is sent unasked: what the listener meant to hide
		// would be open.
		x.answer, x.orRedirect = Proxy, own == director.HTTP && !strict
	}
	return nil
}
