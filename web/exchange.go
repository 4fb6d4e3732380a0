package web

import (
	"errors"
	"net/http"
	"runtime/debug"

	"github.com/labstack/echo/v4"

	"github.com/signpost-fm/signpost/web/quick"
)

// exchange is one request and its response, and the memory that both need. It is
// pooled: nothing of it outlives the request.
type exchange struct {
	c echo.Context
	w http.ResponseWriter
	request
	plan Plan

	// What was answered: as planned, or what came instead. The record is made of it.
	answer Answer
	to     *destination // nil: the request did not come to a plan
	fault  *fault       // nil: none

	inline   bool // a stream was begun: its record comes when it ends
	counts   bool // its listener counts as one more, wherever it goes in the end
	handedOn bool // net/http answers it
	rec      Record
	body     []byte // of playlists
}

func newExchange() *exchange { return &exchange{plan: newPlan()} }

func (x *exchange) header() http.Header { return x.w.Header() }

// run gives a request its exchange, and answers with the error that h returns.
func (s *Server) run(c echo.Context, h func(*exchange) error) error {
	x := s.begin(c)
	defer s.end(x)
	if err := h(x); err != nil {
		s.refuse(x, err)
	}
	return nil
}

func (s *Server) begin(c echo.Context) *exchange {
	x := s.pool.Get().(*exchange)
	x.c, x.w, x.answer = c, c.Response(), NoAnswer
	s.receive(&x.request, c.Request())
	return x
}

// receive begins a request.
func (s *Server) receive(q *request, r *http.Request) {
	q.r, q.policy, q.now = r, s.policy.Load(), s.cfg.Now()
	q.at = s.since(q.now)
}

// end is deferred by run: it catches panics, counts, records, and frees.
func (s *Server) end(x *exchange) {
	p := recover()
	err, _ := p.(error)
	aborted := errors.Is(err, http.ErrAbortHandler)
	if p != nil && !aborted {
		s.stats.panics.Add(1)
		s.cfg.Log.Error("request panicked", "panic", p, "path", x.r.URL.Path, "stack", string(debug.Stack()))
		s.refuse(x, faultBroken)
	}
	if !x.handedOn {
		s.record(x)
	}
	ranked, body := x.plan.to.d.Ranked, x.body
	*x = exchange{}
	x.plan.to.d.Ranked, x.body = ranked, body
	s.pool.Put(x)
	if aborted {
		panic(p) // net/http's way to cut a connection
	}
}

// stream answers a request for a mount or for a playlist of it. It is planned once,
// also if package quick plans it and net/http answers it.
func (s *Server) stream(x *exchange) error {
	if p, ok := quick.Note(x.r.Context()).(*planned); ok {
		x.takeOver(p)
	} else {
		if err := s.identify(&x.request); err != nil {
			return err
		}
		if err := s.admit(&x.request); err != nil {
			return err
		}
		if x.target.mount < 0 && s.shoutcastPage(x) {
			return nil
		}
		s.arrive(&x.request)
		s.plan(&x.request, &x.plan)
		if x.plan.Answer == Proxy && x.plan.fault == nil && x.handOn() {
			return nil
		}
	}
	return s.carryOut(x)
}

// carryOut answers as planned.
func (s *Server) carryOut(x *exchange) error {
	p := &x.plan
	x.answer, x.to = p.Answer, &p.to
	if p.noRoom {
		s.stats.noRoom.Add(1)
	}
	switch {
	case p.fault != nil:
		return p.fault
	case p.Answer == Redirect:
		return s.redirect(x)
	case p.Answer == Proxy:
		return s.carry(x)
	default:
		return s.playlist(x)
	}
}

// planned is what net/http takes over from package quick with a request.
type planned struct {
	request
	plan Plan
}

// handOn leaves a request that takes time to answer to net/http, if it is not there
// already. Its plan goes with it.
func (x *exchange) handOn() bool {
	var p quick.Passer
	if p, x.handedOn = x.c.Response().Writer.(quick.Passer); x.handedOn {
		p.PassOn(&planned{x.request, x.plan})
		x.plan = newPlan() // its memory went with the other
	}
	return x.handedOn
}

// takeOver is handOn's other end.
func (x *exchange) takeOver(p *planned) {
	r := x.r // as net/http read it: quick's is in use for another by now
	x.request, x.plan = p.request, p.plan
	x.r = r
}
