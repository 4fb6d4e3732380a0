package web

import (
	"net/netip"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// Record is what is kept of one request. It is handed to [Config.Record] when the
// request has ended, and is used again afterwards: whoever wants to keep it copies it.
type Record struct {
	Time     time.Time // when it began
	Duration time.Duration
	Method   string
	Path     string // decoded, as asked for; 1,024 bytes of it at most
	Status   int    // HTTP status
	Answer   Answer
	// Outcome is the core's word on it, where Decided; else the request came not so far.
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
	Listener  uint64       // pseudonym of address and user agent, another one each day (UTC)
	UserAgent string       // 1,024 bytes of it at most
	HTTPS     bool         // how the listener came

	Bytes int64  // of a stream that was carried inline
	End   string // why it ended
}

// record counts a request that is over, and passes on its record. That of a stream
// which is carried inline comes when the stream has ended.
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
		return
	}
	s.stats.seconds.observe(took)
	if s.cfg.Record == nil {
		return
	}
	s.fill(&x.rec, x)
	x.rec.Duration = took
	s.cfg.Record(&x.rec)
}

// fill makes the record of a request, but for how long it took.
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
	} else if x.visit.tracked {
		r.Step = x.visit.step.String()
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
