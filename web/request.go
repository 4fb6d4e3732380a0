package web

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// request is who asks for what, and what is known of such clients: all that planning
// looks at. [Server.identify] and [Server.arrive] fill it, and then it is only read.
type request struct {
	r      *http.Request
	policy *policy
	view   director.View
	now    time.Time
	at     time.Duration // now, since the server began; never 0

	client client
	target target
	agent  *agent
	rule   *compiledRule // nil: none holds
	key    uint64        // the listener's, for placement
	visit  visitStep     // what its visits of late say; see arrive
	dryRun bool          // HEAD, a probe, or explain: nothing is counted
	parts  bool          // the mount is HLS or DASH: the same is asked for again and again
}

// identify finds out who asks for what.
func (s *Server) identify(q *request) error {
	u := q.r.URL
	if len(u.Path) > maxPath || len(u.RawPath) > maxPath || len(u.RawQuery) > maxQuery {
		return faultTooLong
	}
	if hasControl(u.Path) || hasControl(u.RawQuery) {
		return faultBadPath
	}
	q.client = q.policy.trust.clientOf(q.r)
	q.agent = q.policy.rules.agent(firstHeader(q.r, "User-Agent"), &s.stats.families)
	q.rule = q.policy.rules.match(q.agent, q.r)
	if q.r.Method == http.MethodHead || firstHeader(q.r, "Range") == "bytes=0-1" {
		q.dryRun = true
	}
	q.view = s.cfg.View()
	if q.view.Snapshot == nil {
		return faultStarting
	}
	q.target = q.policy.findTarget(q.view.Snapshot, u.Path, u.RawQuery)
	name := q.target.path
	if q.target.mount >= 0 {
		m := q.view.Mount(q.target.mount)
		name, q.parts = m.Name, comesInParts(m)
	}
	q.key = s.keys.placement(q.client.addr, q.agent.hash, name)
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
func (s *Server) admit(q *request) error {
	if q.client.proxy || !q.client.addr.IsValid() {
		return nil
	}
	r, mu := s.addresses.acquire(s.keys.network(q.client.addr), q.at)
	ok := r.allow(q.at, q.policy.PerAddress)
	mu.Unlock()
	if !ok {
		s.stats.limited[limitAddress].Add(1)
		return faultAddressRate
	}
	v, mu := s.visits.acquire(q.key, q.at)
	ok = v.rate.allow(q.at, q.policy.PerKey)
	mu.Unlock()
	if !ok {
		s.stats.limited[limitKey].Add(1)
		return faultKeyRate
	}
	return nil
}

// arrive counts the request for its client rule, and notes the visit of a client that
// is redirected: one that is soon back speaks against its node, and does not get that
// node again before it has been asked how it is. One without a rule may go further up
// the ladder (see [Escalate]).
func (s *Server) arrive(q *request) {
	if q.target.mount < 0 {
		return
	}
	if q.rule != nil && !q.dryRun {
		q.rule.hits.Add(1)
	}
	redirected := q.target.format == Redirect && !q.parts && (q.rule == nil || q.rule.Answer == Redirect)
	relay := q.rule != nil && q.rule.Relay
	if !redirected || q.policy.Escalate == EscalateOff && !relay {
		return
	}
	who := visitor{now: q.at, inline: q.rule == nil && q.policy.Escalate == EscalateInline, relay: relay, view: q.view}
	if q.dryRun {
		v := s.visits.peek(q.key)
		q.visit, _ = v.judge(who)
	} else {
		v, mu := s.visits.acquire(q.key, q.at)
		q.visit = v.arrive(who)
		mu.Unlock()
		s.tell(q, q.visit.from)
		if q.rule == nil {
			q.agent.family.count(q.visit.step, q.agent)
		}
	}
	if q.policy.Escalate == EscalateObserve && !relay {
		q.visit.avoid = [2]director.NodeID{}
	}
}

// tell says that a node let the listener down. A double open counts too: a player
// that is refused by a dead node is back as fast. One that opens every stream twice
// does its node no harm but to be asked how it is.
func (s *Server) tell(q *request, node director.NodeID) {
	if s.cfg.Evidence == nil || node == "" || q.client.proxy || !q.client.addr.IsValid() {
		return
	}
	mount := ""
	if q.target.mount >= 0 {
		mount = q.view.Mount(q.target.mount).Name
	}
	s.cfg.Evidence(node, mount, s.keys.wide(q.client.addr))
}

// ownScheme is what a URL must be for this listener to be redirected to it.
func (q *request) ownScheme() director.Scheme {
	if q.client.https && (q.rule == nil || !q.rule.HTTPOnly) {
		return director.HTTPS
	}
	return director.HTTP
}

// inlineByRule says that the client's rule has its streams carried inline.
func (q *request) inlineByRule() bool { return q.rule != nil && q.rule.Answer == Proxy }

// followsRedirects says whether the listener can be sent elsewhere at all.
func (q *request) followsRedirects() bool { return !q.inlineByRule() || q.rule.OrRedirect }

// withQuery appends the listener's query, as it came, to a URL.
func (q *request) withQuery(u string) string {
	if q.target.query == "" {
		return u
	}
	return u + querySeparator(u) + q.target.query
}

func querySeparator(u string) string {
	if strings.IndexByte(u, '?') >= 0 {
		return "&"
	}
	return "?"
}

// directorURL is the stream's URL at this director; empty if the request does not
// tell how the director is reached.
func (q *request) directorURL() string {
	base := q.directorBase()
	if base == "" {
		return ""
	}
	return q.withQuery(base + (&url.URL{Path: q.target.path}).EscapedPath())
}

// directorBase is this director's base URL; empty if the request does not tell it.
func (q *request) directorBase() string {
	if q.policy.PublicURL != "" {
		return q.policy.PublicURL
	}
	host := q.host()
	switch {
	case !saneHost(host):
		return ""
	case q.client.https:
		return "https://" + host
	}
	return "http://" + host
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
