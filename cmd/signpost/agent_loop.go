package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/signpost-fm/signpost/cmd/signpost/client"
	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/admin"
)

// minCallTimeout is how long a director may take to answer at least. Two that hang
// must not use up the 5 s after which a silent node is down.
const minCallTimeout = 1500 * time.Millisecond

// An agent keeps one node registered. It has one user at a time.
type agent struct {
	log       *slog.Logger
	interval  time.Duration
	spec      admin.NodeSpec
	prober    reporter
	registrar registrar
	kept      *instanceFile // nil: the next agent is another instance

	registered bool   // a director knows of us
	trouble    string // the last thing that went wrong, so that it is logged once
}

// reporter measures the node: a prober with that node alone.
type reporter interface {
	Run(ctx context.Context) error
	Reports() []director.Report
	First() <-chan struct{}
}

// stay reports until ctx is done. Nobody is told of a node that was not measured yet.
func (a *agent) stay(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-a.prober.First():
	}
	tick := time.NewTicker(a.interval)
	defer tick.Stop()
	for {
		a.report(ctx, false)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// emptyReports is how many reports in a row must say that nobody listens or is on
// the way: a director may not have heard yet that the node is drained.
const emptyReports = 3

// leave drains the node, waits until its listeners are gone or the time is up, and
// deregisters it.
func (a *agent) leave(ctx context.Context, timeout time.Duration) {
	if !a.registered {
		a.log.Info("stopped; the node was not registered")
		return
	}
	if a.kept != nil {
		if err := a.kept.clear(); err != nil {
			a.log.Error("the instance file cannot be emptied: remove it, or the next agent cannot register for a while", "err", err)
		}
	}
	wait, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	a.log.Info("draining: no new listeners; a second signal ends this at once", "timeout", timeout)
	tick := time.NewTicker(a.interval)
	defer tick.Stop()
	for empty := 0; empty < emptyReports; {
		seen, ok := a.report(wait, true)
		switch {
		case ok && seen.SafeToTerminate:
			empty++
		case ok:
			empty = 0
		case !a.registered:
			a.log.Warn("stopped: another agent holds the node's id")
			return
		}
		select {
		case <-wait.Done():
			a.log.Warn("the time to drain is up; the node is deregistered with listeners on it", "listeners", seen.Used)
			empty = emptyReports
		case <-tick.C:
		}
	}
	last, cancel := context.WithTimeout(ctx, time.Duration(len(a.registrar.URLs)+1)*a.registrar.Timeout)
	defer cancel()
	if err := a.registrar.deregister(last); err != nil {
		a.log.Warn("stopped, but no director could be told; the node is down for them in a few seconds, and forgotten later", "err", err)
		return
	}
	a.log.Info("stopped: the node is deregistered")
}

// report tells a director what the prober knows, and returns how the fleet sees
// the node.
func (a *agent) report(ctx context.Context, drained bool) (seen admin.Node, ok bool) {
	reports := a.prober.Reports()
	if len(reports) == 0 {
		return seen, false
	}
	body := admin.NewAnnouncement(a.registrar.instance, a.spec, reports[0], time.Now())
	body.Drained = drained
	seen, err := a.registrar.announce(ctx, body)
	switch {
	case err == nil:
		if !a.registered || a.trouble != "" {
			a.log.Info("the node is registered", "director", a.registrar.Current())
		}
		a.registered, a.trouble = true, ""
		return seen, true
	case ctx.Err() != nil:
		return seen, false
	}
	if p := client.RefusalOf(err); p != nil && p.HeldBy != nil {
		a.registered = false
	}
	if err.Error() != a.trouble {
		a.trouble = err.Error()
		a.log.Warn("the node is not registered, or its report did not arrive; it is tried again", "err", err)
	}
	return seen, false
}
