package web

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"

	"github.com/signpost-fm/signpost/director"
)

// Question is a hypothetical request.
type Question struct {
	Addr      netip.Addr
	Path      string // decoded: "/live.mp3" or "/live.mp3.m3u"
	Query     string // as it is sent, without the question mark; empty: none
	UserAgent string
	TLS       bool
	// Header has further headers of the request; it may be nil. Addr is the connection's
	// address, so forwarded addresses count if it is a trusted proxy's.
	Header http.Header
}

// Explanation is how a request would be answered now, and why. Outcomes, reasons and faults
// have the same names as in records and metrics.
type Explanation struct {
	Client   ClientExplanation    `json:"client"`
	Mount    string               `json:"mount,omitempty"`
	Rule     *RuleExplanation     `json:"rule,omitempty"` // nil: none holds
	Escalate string               `json:"escalate"`       // the ladder for clients without a rule, and the step
	Answer   Answer               `json:"answer"`
	Status   int                  `json:"status"`
	Why      string               `json:"why"`
	Location string               `json:"location,omitempty"` // of a redirect
	Inline   *InlineExplanation   `json:"inline,omitempty"`   // nil: no stream is to be carried
	Move     *MoveExplanation     `json:"move,omitempty"`     // nil: nobody is asked for who plays already, and can be moved
	Decision director.Explanation `json:"decision"`
	// Past is what became of this address's requests at this director; nil: it remembers none.
	Past *Past `json:"past,omitempty"`
}

// ClientExplanation is the client that a request is taken to come from.
type ClientExplanation struct {
	Addr   string `json:"addr"`
	Peer   string `json:"peer"`           // the connection's address
	Taken  string `json:"taken"`          // why Addr is taken to be the listener's
	Hops   int    `json:"hops,omitempty"` // forwarded addresses that were read
	Scheme string `json:"scheme"`
	Place  string `json:"place"`
	// PlacedBy is the database that knows the place, and its age; empty: none knows it.
	PlacedBy string `json:"placed_by,omitempty"`
}

// RuleExplanation is the client rule that holds.
type RuleExplanation struct {
	Name   string `json:"name"`
	Origin Origin `json:"origin"`
	Number int    `json:"number"` // in the list of its origin, from 1
	Answer Answer `json:"answer"`
	Reason string `json:"reason,omitempty"`
}

// InlineExplanation is a stream that is to be carried inline.
type InlineExplanation struct {
	Kbit int  `json:"kbit"` // what the stream takes of the inline budget, in kbit/s
	Room bool `json:"room"` // whether the budget has room now; Answer takes that into account
	// Failing are the nodes that did not play the mount when last asked for an inline
	// listener.
	Failing []Trouble `json:"failing,omitempty"`
}

// MoveExplanation says whether a player of HLS or DASH that plays already is moved to another
// node. The question is what it asks itself: its session is in the query.
type MoveExplanation struct {
	From director.NodeID `json:"from"` // where it plays
	To   director.NodeID `json:"to"`   // where it is to play; if it stays, the same
	Why  string          `json:"why"`  // a [director.Move]: stays, drained, weights or failed
	// Rests says that it came there less than a minute ago, and so weights do not move it.
	Rests bool `json:"rests"`
}

// Explain plans a request in a dry run and returns the plan in words.
func (s *Server) Explain(asked Question) Explanation {
	q, p := request{dryRun: true}, newPlan()
	s.receive(&q, asked.request())
	err := s.identify(&q)
	if err == nil {
		s.arrive(&q)
		s.plan(&q, &p)
		if p.fault != nil {
			err = p.fault
		}
	}
	return s.explain(&q, &p, err)
}

// explain puts a plan into words, or the error for which there is none.
func (s *Server) explain(q *request, p *Plan, err error) Explanation {
	e := Explanation{
		Client: ClientExplanation{
			Addr: q.client.addr.String(), Peer: q.client.peer.String(), Taken: q.client.end.String(),
			Hops: q.client.hops, Scheme: "http", Place: s.cfg.Locate(q.client.addr).String(),
		},
		Escalate: q.explainEscalate(), Answer: p.Answer,
	}
	e.Past = s.pastOf(q.client.addr)
	if s.cfg.Origin != nil {
		e.Client.PlacedBy = s.cfg.Origin(q.client.addr)
	}
	if q.client.unmapped {
		e.Client.Taken += "; it is the IPv4 address that stands in that (NAT64, 6to4 or Teredo)"
	}
	if q.client.https {
		e.Client.Scheme = "https"
	}
	if r := q.rule; r != nil {
		e.Rule = &RuleExplanation{Name: r.name, Number: r.number, Origin: r.origin, Answer: r.Answer, Reason: r.Reason}
	}
	if p.inline {
		e.Inline = &InlineExplanation{Kbit: p.kbit, Room: !p.noRoom}
		if s.cfg.Carrier != nil {
			e.Inline.Failing = s.cfg.Carrier.Failing(p.to.listener.Mount)
		}
	}
	if p.to.decided {
		l := p.to.listener
		if l.Mount == "" { // no such mount
			l.Mount = q.target.path
		}
		e.Mount = l.Mount
		e.Decision = q.view.Explain(l, q.view.Live)
	}
	e.Move = p.explainMove(q)
	e.Status, e.Why = p.explainAnswer(q, e.Move, err)
	if err != nil {
		e.Answer = NoAnswer
	} else if p.Answer == Redirect {
		e.Location = p.to.location(q)
	} else if p.Answer == HTTPS {
		e.Location = q.httpsAt
	}
	return e
}

func (q Question) request() *http.Request {
	h := q.Header.Clone()
	if h == nil {
		h = http.Header{}
	}
	if q.UserAgent != "" {
		h.Set("User-Agent", q.UserAgent)
	}
	r := &http.Request{
		Method: http.MethodGet, Header: h, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		URL: &url.URL{Path: q.Path, RawQuery: q.Query}, RemoteAddr: netip.AddrPortFrom(q.Addr, 0).String(),
	}
	if q.TLS {
		r.TLS = new(tls.ConnectionState)
	}
	return r
}

func (q *request) explainEscalate() string {
	switch {
	case q.policy.Escalate == EscalateOff:
		return "off"
	case q.rule != nil:
		return "not for clients with a rule"
	default:
		return string(q.policy.Escalate) + ": " + q.visit.Step.String()
	}
}

// explainAnswer says what the listener gets and why, in a sentence.
func (p *Plan) explainAnswer(q *request, m *MoveExplanation, err error) (status int, why string) {
	var f *fault
	if errors.As(err, &f) {
		return f.status, f.text
	}
	by := "no rule holds: the default"
	if q.rule != nil {
		by = fmt.Sprintf("rule %q", q.rule.name)
	}
	switch {
	case q.target.format != Redirect:
		by = "the URL is a playlist's"
	case p.mismatch && p.Answer == Proxy:
		by = "no node serves this mount in the listener's scheme"
	case q.visit.Inline && p.Answer == Proxy:
		by = "the client came back twice: redirects seem not to work for it"
	case p.to.overflow != "":
		by = "all nodes are full: the overflow"
	case p.noRoom:
		by = "there is no room for the stream inline: a redirect instead"
	}
	if p.Answer == Pathways || p.Answer == Steer {
		return http.StatusOK, m.inWords()
	}
	if p.Answer == Redirect || p.Answer == HTTPS {
		return http.StatusFound, by
	}
	return http.StatusOK, by
}

// explainMove says whether a player is moved that has its session in the query; nil: nobody
// plays yet.
func (p *Plan) explainMove(q *request) *MoveExplanation {
	if p.Answer != Pathways && p.Answer != Steer || len(p.to.d.Ranked) == 0 || p.to.seat == 0 {
		return nil
	}
	return &MoveExplanation{
		From: q.view.NodeID(p.to.seat - 1), To: q.view.NodeID(p.to.d.Ranked[0].Node), Why: p.to.move.String(),
		Rests: q.session.known && !p.to.rested,
	}
}

// inWords says it in a sentence.
func (m *MoveExplanation) inWords() string {
	switch {
	case m == nil:
		return "a playlist with all nodes, between which the player can be moved; each player is placed by a number of its own, so another one may get another node first"
	case m.Why == director.MovesOut.String():
		return fmt.Sprintf("it plays from %s, which takes no new listeners, and goes to %s", m.From, m.To)
	case m.Why == director.MovesTo.String():
		return fmt.Sprintf("it plays from %s, and the weights give it to %s", m.From, m.To)
	case m.Why == director.Flees.String():
		return fmt.Sprintf("it plays from %s, which does not play the mount any more, and goes to %s", m.From, m.To)
	case m.Rests:
		return fmt.Sprintf("it plays from %s, and stays: it came there less than a minute ago", m.From)
	}
	return fmt.Sprintf("it plays from %s, and stays", m.From)
}
