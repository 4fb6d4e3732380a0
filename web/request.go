package web

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/visits"
)

// request is who asks for what, and what is known of the client: everything that planning
// reads. [Server.identify] and [Server.arrive] fill it, and then it is only read.
type request struct {
	r      *http.Request
	policy *policy
	view   director.View
	now    time.Time
	at     time.Duration // now as [Server.since]; never 0

	client client
	target target
	agent  *agent
	rule   *compiledRule // nil: none holds
	// httpsAt is where the client finds the same by https, if the rule says HTTPS.
	httpsAt string
	key     uint64        // the listener's, for placement
	visit   visits.Result // the result of the listener's recent visits; see arrive
	dryRun  bool          // HEAD, Range: bytes=0-1, or explain: no listener is counted
	parts   bool          // the mount is HLS or DASH: players ask for it again and again
	session listening     // of a player of such a mount
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
	s.unmap(&q.client)
	q.agent = q.policy.rules.agent(firstHeader(q.r, "User-Agent"), &s.stats.families)
	q.rule = q.policy.rules.match(q.agent, q.r, func() bool {
		q.httpsAt = s.httpsURL(q)
		return q.httpsAt != ""
	})
	if q.r.Method == http.MethodHead || firstHeader(q.r, "Range") == "bytes=0-1" {
		q.dryRun = true
	}
	q.view = s.cfg.View()
	if q.view.Snapshot == nil {
		if s.identifyAlone(q) {
			return nil
		}
		return faultStarting
	}
	q.target = q.policy.findTarget(q.view.Snapshot, u.Path, u.RawQuery)
	if q.target.mount < 0 {
		switch {
		case s.identifyPart(q):
		case !s.identifyAlone(q):
		case q.view.MountsDeclared():
			return faultGone
		default: // no node has told of the mount yet
			return nil
		}
	}
	if q.target.mount < 0 {
		q.key = s.keys.placement(q.client.addr, q.agent.hash, q.target.path)
		return nil
	}
	m := q.view.Mount(q.target.mount)
	q.key = s.keys.placement(q.client.addr, q.agent.hash, m.Name)
	if q.parts = ComesInParts(m); q.parts {
		q.session = s.sessionOf(m.Name, u.RawQuery)
	}
	return nil
}

// firstHeader returns the first value of the header with a canonical name.
func firstHeader(r *http.Request, name string) string {
	if v := r.Header[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// admit applies the rate limits. They do not apply to trusted proxies that ask for
// themselves, nor to listeners whose address is unknown: neither is a single client.
func (s *Server) admit(q *request) error {
	if q.client.proxy || !q.client.addr.IsValid() {
		return nil
	}
	if most := q.policy.PerAddress; most > 0 {
		r, mu := s.addresses.Acquire(s.keys.network(q.client.addr), q.at)
		ok := r.Allow(q.at, most)
		mu.Unlock()
		if !ok && !q.mayHurry() {
			s.stats.limited[limitAddress].Add(1)
			return faultAddressRate
		}
	}
	if most := q.policy.PerKey; most > 0 {
		v, mu := s.visits.Acquire(q.key, q.at)
		ok := v.Rate.Allow(q.at, most)
		mu.Unlock()
		if !ok && !q.mayHurry() {
			s.stats.limited[limitKey].Add(1)
			return faultKeyRate
		}
	}
	return nil
}

// arrive counts the hit of the client rule, and notes the visit of a client that is
// redirected. If such a client soon comes back, that is evidence against its node, and the
// client does not get that node again before the node has a new report. A client without a
// rule may climb the ladder (see [Escalate]).
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
	who := visits.Visitor{Now: q.at, Inline: q.rule == nil && q.policy.Escalate == EscalateInline, Relay: relay, View: q.view}
	if q.dryRun {
		v := s.visits.Peek(q.key)
		q.visit, _ = v.Judge(who)
	} else {
		v, mu := s.visits.Acquire(q.key, q.at)
		q.visit = v.Arrive(who)
		mu.Unlock()
		s.tell(q, q.visit.From)
		if q.rule == nil {
			q.agent.family.count(q.visit.Step, q.agent)
		}
	}
	if q.policy.Escalate == EscalateObserve && !relay {
		q.visit.Avoid = [2]director.NodeID{}
	}
}

// tell reports evidence that a node failed the listener. A double open is evidence too: a
// player whose node is down comes back as fast. A player that opens every stream twice does
// no harm: its node is merely probed.
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

// ownScheme is the scheme of URLs to which this listener may be redirected.
func (q *request) ownScheme() director.Scheme {
	if q.client.https && (q.rule == nil || !q.rule.HTTPOnly) {
		return director.HTTPS
	}
	return director.HTTP
}

// inlineByRule says whether the client's rule has its streams carried inline.
func (q *request) inlineByRule() bool { return q.rule != nil && q.rule.Answer == Proxy }

// followsRedirects says whether the listener can be sent elsewhere at all.
func (q *request) followsRedirects() bool { return !q.inlineByRule() || q.rule.OrRedirect }

// withQuery appends the listener's query, unchanged, to a URL.
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

// directorURL is the stream's URL at this director; empty if neither the configuration nor
// the request tells the director's host.
func (q *request) directorURL() string {
	base := q.directorBase()
	if base == "" {
		return ""
	}
	return q.withQuery(base + (&url.URL{Path: q.target.path}).EscapedPath())
}

// directorBase is this director's base URL: as configured, else from the request's host and
// scheme; empty: unknown.
func (q *request) directorBase() string {
	if q.policy.PublicURL != "" {
		return q.policy.PublicURL
	}
	host := q.host()
	if ascii, err := httpguts.PunycodeHostPort(host); err == nil { // some players say what was typed
		host = ascii
	}
	switch {
	case !saneHost(host):
		return ""
	case q.client.https:
		return "https://" + host
	}
	return "http://" + host
}

// saneHost accepts names, addresses and ports, and no character that could break out of a
// URL: the Host header is the client's own claim.
func saneHost(h string) bool {
	if h == "" || len(h) > 261 { // 255 for a name, 6 for a port
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
