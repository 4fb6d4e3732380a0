// Package agent keeps one streaming server registered at all directors: it measures the
// server, reports to each director, and drains the node before it deregisters it.
package agent

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/signpost-fm/signpost/cmd/signpost/client"
	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/probe"
	"github.com/signpost-fm/signpost/director/wording"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// minCallTimeout is the least time that a director has to answer. All are called at
// once, and one that hangs must not use up the 5 s after which a silent node is down.
const minCallTimeout = 1500 * time.Millisecond

// Config describes the node and its directors.
type Config struct {
	ID        string
	Spec      api.NodeSpec // sent to the directors
	Directors []string     // base URLs of all: they may not tell each other
	Token     string       // of role agent; empty: none

	Status string // base URL of the streaming server's statistics
	Kind   string // of server, one of [probe.Kinds]
	// Credentials are those of the server's statistics; nil: none.
	Credentials func(director.NodeID) (user, password string, ok bool)

	Interval time.Duration // between reports; above 0
	Sample   time.Duration // how often each mount is listened to; 0: never
	// InstanceFile hands the registration to the next agent. Empty: that one registers anew.
	InstanceFile string
	Log          *slog.Logger
}

// An Agent keeps one node registered. It is not safe for concurrent use.
type Agent struct {
	log       *slog.Logger
	interval  time.Duration
	pause     time.Duration // identifyPause, or less in tests
	spec      api.NodeSpec
	status    string // base URL of the server's statistics; empty: whose they are is not checked
	prober    prober
	registrar registrar
	instance  *instanceFile // nil: the next agent is another instance

	registered bool   // at one director at least
	lastError  string // so that each error is logged once
	own        string // the server that was found to be the node's own; empty: none yet
}

// A prober measures the node.
type prober interface {
	Run(ctx context.Context) error
	Reports() []director.Report
	First() <-chan struct{}
}

// New returns an agent. The error is about the instance file.
func New(c Config) (*Agent, error) {
	a := &Agent{log: c.Log, interval: c.Interval, pause: identifyPause, spec: c.Spec, status: c.Status, registrar: registrar{id: c.ID, identity: newIdentity()}}
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
	// An agent that takes over a registration counts as registered: if it is stopped
	// before its first report, it drains the node all the same.
	var err error
	a.instance, a.registrar.identity, a.registered, err = openInstance(c.InstanceFile)
	return a, err
}

// Instance is the name of this run of the agent at the directors.
func (a *Agent) Instance() string { return a.registrar.instance }

// Probe measures the node in the background until end is called.
func (a *Agent) Probe() (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = a.prober.Run(ctx) // it ends with its context, without an error
	}()
	return func() { cancel(); <-ended }
}

// Stay reports until ctx is done. The first report waits for the first measurement. It
// ends with an error if the agent does not measure its own node.
func (a *Agent) Stay(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-a.prober.First():
	}
	tick := time.NewTicker(a.interval)
	defer tick.Stop()
	for {
		if _, _, err := a.report(ctx, false); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// emptyReports is how many answers in a row must say that nobody listens or is en route:
// a director may not know yet that the node is drained.
const emptyReports = 3

// Leave drains the node, waits for its listeners to leave or for the timeout, and then
// deregisters it.
func (a *Agent) Leave(ctx context.Context, timeout time.Duration) {
	if !a.registered {
		a.log.Info("stopped; the node was not registered")
		return
	}
	a.endInstance()
	wait, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	a.log.Info("draining: no new listeners; a second signal ends this at once", "timeout", timeout)
	tick := time.NewTicker(a.interval)
	defer tick.Stop()
	for empty := 0; empty < emptyReports; {
		seen, ok, err := a.report(wait, true)
		switch {
		case err != nil:
			empty = 0
			a.log.Error("the node is drained, but not known to be empty", "err", err)
		case ok && seen.SafeToTerminate:
			empty++
		case ok:
			empty = 0
		case !a.registered:
			a.log.Warn("stopped: another agent holds the node's id, or the node was removed")
			return
		}
		select {
		case <-wait.Done():
			a.log.Warn("the drain timeout is over; the node is deregistered with listeners on it", "listeners", seen.Used)
			empty = emptyReports
		case <-tick.C:
		}
	}
	if err := a.registrar.deregister(ctx); err != nil {
		a.log.Warn("stopped, but no director could be reached; the node is down for them in a few seconds, and forgotten later", "err", err)
		return
	}
	a.log.Info("stopped: the node is deregistered")
}

// report sends the newest measurement to the directors, and returns the node as the
// fleet sees it: safe to terminate only if all directors that answer say so. It sends
// nothing if what is measured is not the node, which is the error.
func (a *Agent) report(ctx context.Context, drained bool) (fleet api.Node, ok bool, err error) {
	reports := a.prober.Reports()
	if len(reports) == 0 {
		return fleet, false, nil
	}
	if server := cmp.Or(reports[0].Server, "unnamed"); a.status != "" && reports[0].Health == director.Up && a.own != server {
		if err := a.checkOwn(ctx); err != nil {
			return fleet, false, err
		}
		a.own = server
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
	return fleet, len(seen) > 0, nil
}

// note updates the agent's state after a report, and logs changes.
func (a *Agent) note(ctx context.Context, accepted int, errs []error) {
	was := a.registered
	switch {
	case accepted > 0:
		a.registered = true
	case slices.ContainsFunc(errs, removed):
		if was {
			a.endInstance()
		}
		a.registered = false
	case slices.ContainsFunc(errs, heldByAnother):
		a.registered = false
	}
	text := ""
	if err := errors.Join(errs...); err != nil {
		if ctx.Err() != nil {
			return // we cancelled the call
		}
		text = wording.Text(err)
	}
	if accepted > 0 && (!was || a.lastError != "" && text == "") {
		a.log.Info("the node is registered", "directors", accepted)
	}
	if text != "" && text != a.lastError {
		what := "the node is not registered, or its report did not arrive; the next report tries again"
		if accepted > 0 {
			what = "a report did not reach all directors; the others learn of it if they share a store"
		}
		a.log.Warn(what, "err", text)
	}
	a.lastError = text
}

// endInstance makes the next agent a new instance: this one does not come back.
func (a *Agent) endInstance() {
	if a.instance == nil {
		return
	}
	if err := a.instance.clear(); err != nil {
		a.log.Error("the instance file cannot be emptied: remove it, or the next agent cannot register", "err", err)
	}
}

// removed says that a director refuses this agent for good, because its node was removed.
func removed(err error) bool {
	p := client.RefusalOf(err)
	return p != nil && p.Status == http.StatusNotFound
}

func heldByAnother(err error) bool {
	p := client.RefusalOf(err)
	return p != nil && p.HeldBy != nil
}
