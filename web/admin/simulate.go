package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// A Simulation is a proposal that is to be played from the present state on.
type Simulation struct {
	Now       *director.Snapshot
	Then      director.Config // in force from the beginning
	Directors []string        // the site of each; "" is none
	LostNodes []director.NodeID
	LostSites []string
	LostFor   time.Duration // 0: until the end
	For       time.Duration
	At        time.Time // now, by the store's clock
}

const (
	usualSimulation   = 15 // minutes that are played
	longestSimulation = 60
	// simulationTime is how long one may take. It takes what others leave, see
	// [Config.Simulate].
	simulationTime = 2 * time.Minute
	progressEvery  = 500 * time.Millisecond
)

// A stage plays one simulation at a time. The zero value is ready. It is safe for
// concurrent use.
type stage struct {
	mu     sync.Mutex
	cancel context.CancelFunc // nil: nothing is played
	by     string
	since  time.Time
	closed bool
}

// enter takes the stage until leave is called, or says who has it. ctx ends before that
// when it takes too long, or the API ends.
func (s *stage) enter(ctx context.Context, by string, now time.Time) (context.Context, func(), error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, nil, problem(http.StatusServiceUnavailable, "the director stops; ask another one")
	case s.cancel != nil:
		return nil, nil, problem(http.StatusConflict, fmt.Sprintf("this director plays one simulation at a time, and plays one of %s since %s: try again when it has ended, or ask another director", s.by, s.since.UTC().Format(time.TimeOnly)))
	}
	ctx, s.cancel = context.WithTimeout(ctx, simulationTime)
	s.by, s.since = by, now
	return ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.cancel()
		s.cancel = nil
	}, nil
}

// close ends what is played, for good.
func (s *stage) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.cancel != nil {
		s.cancel()
	}
}

// simulation checks a question, and returns what is to be played.
func (a *API) simulation(q *api.SimulationQuestion) (out Simulation, err error) {
	minutes := func(name string, n, usual float64) time.Duration {
		if n == 0 {
			n = usual
		}
		if err == nil && !(n >= 0 && n <= longestSimulation) {
			err = problem(http.StatusUnprocessableEntity, fmt.Sprintf("%s: %g cannot be played; give up to %d", name, n, longestSimulation))
		}
		return time.Duration(math.Round(n*60)) * time.Second
	}
	out = Simulation{
		LostNodes: q.LostNodes, LostSites: q.LostSites, At: a.cfg.Syncer.Now(),
		For: minutes("minutes", q.Minutes, usualSimulation), LostFor: minutes("lost_minutes", q.LostMinutes, 0),
	}
	if err != nil {
		return out, err
	}
	if out.Now, out.Then, err = a.cfg.Syncer.Proposed(proposalOf(&q.WhatIfQuestion)); err != nil {
		return out, whatIfProblem(err)
	}
	for _, d := range a.cfg.Syncer.Status().Directors {
		out.Directors = append(out.Directors, d.Site)
	}
	if len(out.Directors) == 0 {
		out.Directors = []string{a.cfg.Syncer.Status().Director.Site}
	}
	return out, nil
}

// simulate plays what may come of a proposal, and answers with lines of JSON: how much of it
// is played, twice a second, and in the end the report. It is played on a goroutine of its
// own, and ends when the caller leaves.
func (a *API) simulate(ctx echo.Context) error {
	var q api.SimulationQuestion
	if err := readRows(ctx, &q); err != nil {
		return err
	}
	s, err := a.simulation(&q)
	if err != nil {
		return err
	}
	playing, leave, err := a.stage.enter(ctx.Request().Context(), caller(ctx).Name, a.cfg.Now())
	if err != nil {
		return err
	}
	var part atomic.Uint64 // of 1, in millionths
	end := make(chan api.SimulationLine, 1)
	go func() {
		defer leave()
		end <- a.play(playing, s, func(done float64) { part.Store(uint64(done * 1e6)) })
	}()
	w := ctx.Response()
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("X-Accel-Buffering", "no") // or nginx would hold the lines back
	control := http.NewResponseController(w.Writer)
	write := func(l api.SimulationLine) error {
		// The server's time limits are for whole answers.
		if err := control.SetWriteDeadline(time.Now().Add(eventTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return err
		}
		if err := json.NewEncoder(w).Encode(l); err != nil {
			return err
		}
		return control.Flush()
	}
	if err := control.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for {
		select {
		case l := <-end:
			_ = write(l) // who has left needs no report
			return nil
		case <-tick.C:
			if write(api.SimulationLine{Progress: float64(part.Load()) / 1e6}) != nil {
				return nil
			}
		case <-ctx.Request().Context().Done():
			return nil
		}
	}
}

// play returns the last line of an answer.
func (a *API) play(ctx context.Context, s Simulation, progress func(float64)) (out api.SimulationLine) {
	defer func() {
		if p := recover(); p != nil {
			a.cfg.Log.Error("a simulation failed; listeners are served as before", "panic", p, "stack", string(debug.Stack()))
			out = api.SimulationLine{Error: "the simulation failed; the director's log says why"}
		}
	}()
	report, err := a.cfg.Simulate(ctx, s, progress)
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return api.SimulationLine{Error: "the simulation was cancelled"}
	case err != nil:
		return api.SimulationLine{Error: oneLine(err)}
	}
	b, err := json.Marshal(report)
	if err != nil {
		return api.SimulationLine{Error: oneLine(err)}
	}
	return api.SimulationLine{Progress: 1, Report: b}
}

func whatIfProblem(err error) error {
	if errors.Is(err, store.ErrNoSnapshot) {
		return problem(http.StatusServiceUnavailable, starting)
	}
	return problem(http.StatusUnprocessableEntity, oneLine(err))
}
