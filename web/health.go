package web

import (
	"context"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/signpost-fm/signpost/web/lane"
)

// Readiness is the state of the rest of the program.
type Readiness struct {
	Degraded bool   // it answers, but something is wrong
	Reason   string // what is wrong
	Waits    string // why listeners should not come yet, although they would be answered; empty: they may
	// SnapshotAge is the age of the snapshot in force. The time in the snapshot itself is
	// by another clock.
	SnapshotAge time.Duration
}

type readyAnswer struct {
	Ready        bool     `json:"ready"`
	Degraded     bool     `json:"degraded"`
	Reason       string   `json:"reason,omitempty"`
	SnapshotAgeS *float64 `json:"snapshot_age_s,omitempty"` // seconds; nil: there is none
}

// healthz says that the process answers requests.
func (s *Server) healthz(c echo.Context) error {
	h := c.Response().Header()
	h["Cache-Control"] = noStore
	return c.String(http.StatusOK, "ok\n")
}

// readyz says whether listeners should be sent to this director.
func (s *Server) readyz(c echo.Context) error {
	a := readyAnswer{Ready: true}
	var r Readiness
	if s.cfg.Ready != nil {
		r = s.cfg.Ready()
		a.Degraded, a.Reason = r.Degraded, r.Reason
	}
	if s.cfg.View().Snapshot == nil {
		a.Ready, a.Reason = false, "no snapshot yet"
	} else {
		a.SnapshotAgeS = new(r.SnapshotAge.Seconds())
	}
	if a.Ready && r.Waits != "" {
		a.Ready, a.Reason = false, r.Waits
	}
	if s.draining.Load() {
		a.Ready, a.Reason = false, "draining"
	}
	code := http.StatusOK
	if !a.Ready {
		code = http.StatusServiceUnavailable
	}
	h := c.Response().Header()
	h["Cache-Control"] = noStore
	return c.JSON(code, a)
}

// maxChallenges bounds the requests for challenges that are answered at one time: an
// authority asks from a few places at once, and each may cost a look into the store.
const maxChallenges = 16

// challenge answers a certificate authority. Package quick hands the request on, for it may
// take a moment.
func (s *Server) challenge(c echo.Context) error {
	if p, ok := c.Response().Writer.(lane.Passer); ok {
		p.PassOn(nil)
		return nil
	}
	defer s.challenges.Add(-1)
	if s.challenges.Add(1) > maxChallenges {
		return c.NoContent(http.StatusServiceUnavailable)
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), readHeaderTimeout)
	defer cancel()
	s.cfg.Challenge.ServeHTTP(c.Response(), c.Request().WithContext(ctx))
	return nil
}
