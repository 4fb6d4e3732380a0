// Package agent keeps the streaming server beside it registered at all directors: it
// measures it, reports, and drains the node before it lets it go.
package agent

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/signpost-fm/signpost/cmd/signpost/client"
	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/probe"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// minCallTimeout is how long a director may take to answer at least. One that hangs
// must not use up the 5 s after which a node is down that is silent to the others.
const minCallTimeout = 1500 * time.Millisecond

// Config is what an Agent needs to know.
type Config struct {
	ID        string
	Spec      api.NodeSpec // what directors are told of the node
	Directors []string     // base URLs; each is told, for they may not hear it from each other
	Token     string       // to register with; empty: none

	Status string // base URL at which the streaming server is asked
	Kind   string // of the server, one of [probe.Kinds]
	// Credentials are for the server's statistics; nil: there are none.
	Credentials func(director.NodeID) (user, password string, ok bool)

	Interval time.Duration // from one report to the next, above 0
	Sample   time.Duration // from one time that a mount is listened to to the next; 0: never
	// InstanceFile leaves the registration to the next agent. Empty: that one registers anew.
	InstanceFile string
	Log          *slog.Logger
}

// An Agent keeps one node registered. It has one user at a time.
type Agent struct {
	log       *slog.Logger
	interval  time.Duration
	spec      api.NodeSpec
	prober    prober
	registrar registrar
	kept      *instanceFile // nil: the next agent is another instance

	registered bool   // directors know of us
	trouble    string // the last thing that went wrong, so that it is logged once
}

// A prober with the one node measures it.
type prober interface {
	Run(ctx context.Context) error
	Reports() []director.Report
	First() <-chan struct{}
}

// New makes an agent. An error is about the instance file.
func New(c Config) (*Agent, error) {
	a := &Agent{log: c.Log, interval: c.Interval, spec: c.Spec, registrar: registrar{id: c.ID, instance: newInstance()}}
	for _, u := range c.Directors {
		a.registrar.directors = append(a.registrar.directors, client.Directors{URLs: []string{u}, Token: c.Token, Timeout: max(c.Interval, minCallTimeout)})
	}
	p := probe.New(probe.Config{
		Interval: c.Interval, Timeout: max(c.Interval, time.Second), Recheck: c.Interval / 2, Sample: c.Sample, Log: c.Log,
		Kind:        func(director.NodeID) string { return c.Kind },
		Credentials: c.Credentials,
	})
	p.SetNodes([]director.Node{{ID: director.NodeID(c.ID), URLs: []string{c.Status}}}, nil)
	a.prober = p
	if c.InstanceFile == "" {
		return a, nil
	}
	// Whoever goes on with a registration drains the node when told to stop, even
	// before its first report.
	var err error
	a.kept, a.registrar.instance, a.registered, err = openInstance(c.InstanceFile)
	return a, err
}

// Instance names this agent to the directors.
func (a *Agent) Instance() string { return a.registrar.instance }

// Probe measures the node in the background until end is called.
func (a *Agent) Probe() (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = a.prober.Run(ctx) // it ends with its context, and has nothing to tell
	}()
	return func() { cancel(); <-ended }
}

// Stay reports until ctx is done. Nobody is told of a node that was not measured yet.
func (a *Agent) Stay(ctx context.Context) {
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

// Leave drains the node, waits until its listeners are gone or the time is up, and
// deregisters it.
func (a *Agent) Leave(ctx context.Context, timeout time.Duration) {
	if !a.registered {
		a.log.Info("stopped; the node was not registered")
		return
	}
	a.part()
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
			a.log.Warn("stopped: another agent holds the node's id, or the node was taken out")
			return
		}
		select {
		case <-wait.Done():
			a.log.Warn("the time to drain is up; the node is deregistered with listeners on it", "listeners", seen.Used)
			empty = emptyReports
		case <-tick.C:
		}
	}
	if err := a.registrar.deregister(ctx); err != nil {
		a.log.Warn("stopped, but no director could be told; the node is down for them in a few seconds, and forgotten later", "err", err)
		return
	}
	a.log.Info("stopped: the node is deregistered")
}

// report tells the directors what the prober knows, and returns how the fleet sees
// the node: it is safe to terminate once all say so who answer.
func (a *Agent) report(ctx context.Context, drained bool) (fleet api.Node, ok bool) {
	reports := a.prober.Reports()
	if len(reports) == 0 {
		return fleet, false
	}
	body := api.NewAnnouncement(a.registrar.instance, a.spec, reports[0], time.Now())
	body.Drained = drained
	seen, errs := a.registrar.announce(ctx, body)
	for i, n := range seen {
		safe := n.SafeToTerminate && (i == 0 || fleet.SafeToTerminate)
		if i == 0 || n.Used > fleet.Used {
			fleet = n
		}
		fleet.SafeToTerminate = safe
	}
	a.note(ctx, len(seen), errs)
	return fleet, len(seen) > 0
}

// note keeps in mind how a report went, and logs what is news in that.
func (a *Agent) note(ctx context.Context, heard int, errs []error) {
	was := a.registered
	switch {
	case heard > 0:
		a.registered = true
	case slices.ContainsFunc(errs, takenOut):
		if was {
			a.part()
		}
		a.registered = false
	case slices.ContainsFunc(errs, heldByAnother):
		a.registered = false
	}
	trouble := ""
	if err := errors.Join(errs...); err != nil {
		if ctx.Err() != nil {
			return // it is our own doing
		}
		trouble = err.Error()
	}
	if heard > 0 && (!was || a.trouble != "" && trouble == "") {
		a.log.Info("the node is registered", "directors", heard)
	}
	if trouble != "" && trouble != a.trouble {
		what := "the node is not registered, or its report did not arrive; it is tried again"
		if heard > 0 {
			what = "a report did not reach all directors; the others hear of it where they share a store"
		}
		a.log.Warn(what, "err", trouble)
	}
	a.trouble = trouble
}

// part makes the next agent another one than this, which is not to come back.
func (a *Agent) part() {
	if a.kept == nil {
		return
	}
	if err := a.kept.clear(); err != nil {
		a.log.Error("the instance file cannot be emptied: remove it, or the next agent cannot register", "err", err)
	}
}

// takenOut says that a director refuses this agent for good, for its node is out.
func takenOut(err error) bool {
	p := client.RefusalOf(err)
	return p != nil && p.Status == http.StatusNotFound
}

func heldByAnother(err error) bool {
	p := client.RefusalOf(err)
	return p != nil && p.HeldBy != nil
}
