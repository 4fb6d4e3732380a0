package web

import (
	"errors"
	"net/http"
	"runtime/debug"

	"github.com/labstack/echo/v4"

	"github.com/signpost-fm/signpost/web/lane"
)

// exchange is one request, its response, and the memory for both. It is pooled: nothing of
// it outlives the request.
type exchange struct {
	c echo.Context
	w http.ResponseWriter
	request
	plan Plan

	// The actual answer, planned or not, for the record.
	answer Answer
	to     *destination // nil: there was no plan
	fault  *fault       // nil: none

	quiet    bool // it has no record: a player that asks every few seconds and stays where it is
	inline   bool // a stream was begun: its record is made when it ends
	counts   bool // the listener counts as one more, wherever it finally goes
	handedOn bool // net/http answers it
	rec      Record
	steering        // memory for answers to players that can be moved
	body     []byte // of playlists
}

func newExchange() *exchange { return &exchange{plan: newPlan()} }

func (x *exchange) header() http.Header { return x.w.Header() }

// run calls h with an exchange for the request, and answers an error that h returns.
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

// receive starts a request: it sets the policy in force and the time.
func (s *Server) receive(q *request, r *http.Request) {
	q.r, q.policy, q.now = r, s.policy.Load(), s.cfg.Now()
	q.at = s.since(q.now)
}

// end is deferred by run: it catches panics, counts and records the request, and returns the
// exchange to the pool.
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
	ranked, body, steering := x.plan.to.d.Ranked, x.body, x.steering
	*x = exchange{}
	x.plan.to.d.Ranked, x.body, x.steering = ranked, body, steering.again()
	s.pool.Put(x)
	if aborted {
		panic(p) // net/http's way to cut a connection
	}
}

// stream answers a request for a mount or for a playlist of it. A request is planned only
// once, even if package lane hands it on to net/http after that.
func (s *Server) stream(x *exchange) error {
	if p, ok := lane.Note(x.r.Context()).(*planned); ok {
		x.takeOver(p)
	} else {
		if err := s.identify(&x.request); err != nil {
			return err
		}
		if err := s.admit(&x.request); err != nil {
			return err
		}
		if s.listenersPage(x) || x.target.mount < 0 && s.shoutcastPage(x) {
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

// carryOut answers a request according to its plan.
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
	case p.Answer == Pathways:
		return s.pathways(x)
	case p.Answer == Steer:
		return s.steer(x)
	case p.Answer == HTTPS:
		x.to = nil
		return s.toHTTPS(x)
	default:
		return s.playlist(x)
	}
}

// planned is a planned request that package lane hands on to net/http.
type planned struct {
	request
	plan Plan
}

// handOn hands a request that takes time to answer on to net/http, with its plan, and says
// whether it did: not if net/http already answers it.
func (x *exchange) handOn() bool {
	var p lane.Passer
	if p, x.handedOn = x.c.Response().Writer.(lane.Passer); x.handedOn {
		p.PassOn(&planned{x.request, x.plan})
		x.plan = newPlan() // the old plan's memory is in use there
	}
	return x.handedOn
}

// takeOver takes over a request that was handed on.
func (x *exchange) takeOver(p *planned) {
	r := x.r // net/http's own; quick already uses its own for another request
	x.request, x.plan = p.request, p.plan
	x.r = r
}
