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

// Question is a request that is only thought of.
type Question struct {
	Addr      netip.Addr
	Path      string // decoded: "/live.mp3" or "/live.mp3.m3u"
	UserAgent string
	TLS       bool
	// Header has further headers of the request; may be nil. Addr is the
	// connection's, so that forwarded addresses count if it is a trusted proxy's.
	Header http.Header
}

// Explanation is how a request would be answered now, and why. Where it says why,
// it does so in the words of records and metrics.
type Explanation struct {
	Client   ClientExplanation    `json:"client"`
	Mount    string               `json:"mount,omitempty"`
	Rule     *RuleExplanation     `json:"rule,omitempty"` // nil: none holds
	Escalate string               `json:"escalate"`       // what the ladder for clients without a rule says
	Answer   Answer               `json:"answer"`
	Status   int                  `json:"status"`
	Why      string               `json:"why"`
	Location string               `json:"location,omitempty"` // of a redirect
	Inline   *InlineExplanation   `json:"inline,omitempty"`   // nil: nothing is to be carried
	Decision director.Explanation `json:"decision"`
}

// ClientExplanation is who a request is taken to be from.
type ClientExplanation struct {
	Addr   string `json:"addr"`
	Peer   string `json:"peer"` // the connection's address
	Taken  string `json:"taken"`
	Hops   int    `json:"hops,omitempty"` // forwarded addresses that were looked at
	Scheme string `json:"scheme"`
	Place  string `json:"place"`
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
	Kbit int  `json:"kbit"` // of the inline budget
	Room bool `json:"room"` // whether that has room now; otherwise it is the answer that follows
	// Failing are nodes that did not play the mount for an inline listener when they
	// last should have.
	Failing []Trouble `json:"failing,omitempty"`
}

// Explain goes the way of a request without counting it, or sending anybody anywhere.
func (s *Server) Explain(q Question) Explanation {
	x := newExchange()
	x.p, x.now = s.policy.Load(), s.cfg.Now()
	x.at = s.since(x.now)
	x.r = q.request()
	x.answer = NoAnswer
	err := s.identify(x)
	x.looks = true
	if err == nil {
		err = s.plan(x)
	}
	var inline *InlineExplanation
	if err == nil && x.answer == Proxy {
		inline = &InlineExplanation{Kbit: x.kbit(), Room: s.room(x)}
		if s.cfg.Carrier != nil {
			inline.Failing = s.cfg.Carrier.Failing(x.view.Mount(x.d.Mount).Name)
		}
		if !inline.Room {
			err = s.fallBack(x, faultNoRoom)
		}
	}
	e := Explanation{
		Inline: inline,
		Client: ClientExplanation{
			Addr: x.client.addr.String(), Peer: x.client.peer.String(), Taken: x.client.end.String(),
			Hops: x.client.hops, Scheme: "http", Place: s.cfg.Locate(x.client.addr).String(),
		},
		Escalate: x.explainEscalate(), Answer: x.answer,
	}
	if x.client.https {
		e.Client.Scheme = "https"
	}
	if r := x.rule; r != nil {
		e.Rule = &RuleExplanation{Name: r.name, Number: r.number, Origin: r.origin, Answer: r.Answer, Reason: r.Reason}
	}
	if x.decided {
		e.Mount = x.target.path
		if x.target.mount >= 0 {
			e.Mount = x.view.Mount(x.target.mount).Name
		}
		l := x.listener
		l.Mount = e.Mount
		e.Decision = x.view.Explain(l, x.view.Live)
	}
	e.Status, e.Why = x.explainAnswer(err)
	if err != nil {
		e.Answer = NoAnswer
	} else if x.answer == Redirect {
		e.Location = x.location()
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
		URL: &url.URL{Path: q.Path}, RemoteAddr: netip.AddrPortFrom(q.Addr, 0).String(),
	}
	if q.TLS {
		r.TLS = new(tls.ConnectionState)
	}
	return r
}

func (x *exchange) explainEscalate() string {
	switch {
	case x.p.Escalate == EscalateOff:
		return "off"
	case x.rule != nil:
		return "not for clients with a rule"
	default:
		return string(x.p.Escalate) + ": " + x.visit.step.String()
	}
}

// explainAnswer says what the listener gets and why, in a sentence.
func (x *exchange) explainAnswer(err error) (status int, why string) {
	var f *fault
	if errors.As(err, &f) {
		return f.status, f.text
	}
	by := "no rule holds: the default"
	if x.rule != nil {
		by = fmt.Sprintf("rule %q", x.rule.name)
	}
	switch {
	case x.target.format != Redirect:
		by = "the URL is a playlist's"
	case x.mismatch && x.answer == Proxy:
		by = "no node serves this mount in the listener's scheme"
	case x.visit.inline && x.answer == Proxy:
		by = "the client came back twice: redirects seem not to work for it"
	case x.overflow != "":
		by = "all nodes are full: the overflow"
	case x.noRoom:
		by = "there is no room to carry the stream inline: a redirect instead"
	}
	if x.answer == Redirect {
		return http.StatusFound, by
	}
	return http.StatusOK, by
}
