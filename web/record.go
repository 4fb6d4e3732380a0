package web

import (
	"net/netip"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// Record is the record of one request. [Config.Record] gets it when the request has ended,
// and must copy what it keeps, because the Record is reused.
type Record struct {
	Time     time.Time // when the request began
	Duration time.Duration
	Method   string
	Path     string // decoded, as asked for; at most 1,024 bytes
	Status   int    // HTTP status
	Answer   Answer
	// Outcome is the outcome of the decision. It is valid only if Decided: otherwise the
	// request was answered before a decision.
	Outcome director.Outcome
	Decided bool
	Fault   string // the short line that the listener got; empty: none

	Mount  string          // its canonical name; empty: no such mount
	Node   director.NodeID // where the listener was sent; empty: nowhere, or to the overflow
	Region director.RegionID
	Rule   string // the client rule that held; empty: none
	Step   string // on the ladder for clients without a rule: first, again, next, inline or crowd; empty: not on it

	Country   director.Code
	Client    netip.Prefix // /24 or /48 of the listener's address; all of it with Policy.FullAddresses
	Listener  uint64       // pseudonym of address and user agent, a new one each day (UTC)
	UserAgent string       // at most 1,024 bytes
	HTTPS     bool         // the listener used HTTPS

	Bytes int64  // of a stream that was carried inline
	End   string // why that stream ended
}

// record counts a request that is over and hands its record to [Config.Record]. The record
// of a stream that is carried inline follows when the stream has ended.
func (s *Server) record(x *exchange) {
	took := s.cfg.Now().Sub(x.now)
	status := x.c.Response().Status
	if status >= 0 && status < len(s.stats.codes) {
		s.stats.codes[status].Add(1)
	}
	if x.to != nil && x.to.decided {
		s.stats.decided(&x.to.d, x.answer)
	}
	if x.inline {
		if s.past != nil {
			s.fill(&x.rec, x)
			s.remember(&x.rec, s.personOf(x), true)
		}
		return
	}
	s.stats.seconds.observe(took)
	if x.quiet {
		return
	}
	if s.cfg.Record == nil && s.past == nil {
		return
	}
	s.fill(&x.rec, x)
	x.rec.Duration = took
	s.remember(&x.rec, s.personOf(x), false)
	if s.cfg.Record != nil {
		s.cfg.Record(&x.rec)
	}
}

// fill fills the record of a request, except its duration.
func (s *Server) fill(r *Record, x *exchange) {
	*r = Record{
		Time: x.now, Method: x.r.Method, Status: x.c.Response().Status,
		Answer: x.answer, HTTPS: x.client.https,
		Path: clip(x.r.URL.Path), UserAgent: clip(firstHeader(x.r, "User-Agent")),
	}
	if x.fault != nil {
		r.Fault = x.fault.text
	}
	if x.to != nil {
		r.Country = x.to.listener.Place.Country
		if x.to.decided {
			s.fillDecision(r, x)
		}
	}
	if x.rule != nil {
		r.Rule = x.rule.name
	} else if x.visit.Tracked {
		r.Step = x.visit.Step.String()
	}
	if a := x.client.addr; a.IsValid() {
		r.Client = masked(a)
		if x.policy.FullAddresses {
			r.Client = netip.PrefixFrom(a, a.BitLen())
		}
		r.Listener = s.keys.listener(x.now, a, x.agent.hash)
	}
}

func (s *Server) fillDecision(r *Record, x *exchange) {
	d := &x.to.d
	r.Decided, r.Outcome, r.Region = true, d.Outcome, d.Region
	if d.Mount >= 0 {
		r.Mount = x.view.Mount(d.Mount).Name
	}
	if x.fault == nil && len(d.Ranked) > 0 {
		r.Node = x.view.NodeID(d.Ranked[0].Node)
	}
}
