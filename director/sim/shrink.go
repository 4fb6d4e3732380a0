package sim

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Shrink takes away from a scenario that breaks a promise what is not needed to break it:
// faults, directors, listeners, and time. It returns what is left and its history. tries
// bounds how many histories it plays. A scenario that breaks nothing is returned as it is.
func Shrink(ctx context.Context, s Scenario, tries int) (Scenario, *History, error) {
	best, err := Run(ctx, s, nil)
	if err != nil || len(best.Broken) == 0 {
		return s, best, err
	}
	promise := best.Broken[0].Invariant
	for again := true; again; {
		again = false
		for _, smaller := range smallerThan(s, best) {
			if tries--; tries < 0 || ctx.Err() != nil {
				return s, best, nil
			}
			h, err := Run(ctx, smaller, nil)
			if err == nil && slices.ContainsFunc(h.Broken, func(b Breach) bool { return b.Invariant == promise }) {
				s, best, again = smaller, h, true
				break
			}
		}
	}
	return s, best, nil
}

// smallerThan returns scenarios that lack one thing, those with the largest part gone
// first.
func smallerThan(s Scenario, h *History) (out []Scenario) {
	add := func(change func(*Scenario)) {
		c := s
		c.Faults, c.Directors = slices.Clone(s.Faults), slices.Clone(s.Directors)
		change(&c)
		out = append(out, c)
	}
	for i := range s.Faults {
		add(func(c *Scenario) { c.Faults = slices.Delete(c.Faults, i, i+1) })
	}
	if n := s.Crowd.Listeners; n > 10 {
		add(func(c *Scenario) { c.Crowd.Listeners = n / 2 })
	}
	if n := len(s.Directors); n > 1 && !slices.ContainsFunc(s.Faults, func(f Fault) bool { return f.Director == n-1 && f.Director > 0 }) {
		add(func(c *Scenario) { c.Directors = c.Directors[:n-1] })
	}
	if len(h.Broken) > 0 {
		if end := h.Broken[0].At + time.Second; end < s.For {
			add(func(c *Scenario) { c.For = end })
		}
	}
	if len(s.Crowd.Curve) > 0 {
		add(func(c *Scenario) { c.Crowd.Curve = nil })
	}
	for i, f := range s.Faults {
		if f.For > 2*time.Second {
			add(func(c *Scenario) { c.Faults[i].For = f.For / 2 })
		}
	}
	return out
}

// Story tells a history in a few lines: what was played, what happened, and which promises
// were broken.
func (h *History) Story() string {
	s := &h.Scenario
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %d directors, %d nodes, %d regions, %d listeners, %v; history %016x\n", s.Seed, len(s.Directors), len(s.Fleet.Nodes), len(s.Fleet.Regions), s.Crowd.Listeners, s.For, h.Hash)
	for _, r := range s.Fleet.Regions {
		fmt.Fprintf(&b, "  region %s:", r.ID)
		for _, w := range r.Row {
			if w.Given {
				fmt.Fprintf(&b, " %s %g", w.Node, w.Weight)
			} else {
				fmt.Fprintf(&b, " %s", w.Node)
			}
		}
		if len(r.Overflow) > 0 {
			fmt.Fprintf(&b, ", then %v", r.Overflow)
		}
		b.WriteByte('\n')
	}
	for _, n := range s.Fleet.Nodes {
		fmt.Fprintf(&b, "  node %s at %s: target %d, limit %d, pace %d\n", n.ID, n.Site, n.Target, n.Limit, n.MaxNewPerS)
	}
	notes := h.Notes
	const most = 40
	if len(notes) > most {
		fmt.Fprintf(&b, "  (the first %d of %d notes)\n", most, len(notes))
		notes = notes[:most]
	}
	for _, n := range notes {
		fmt.Fprintf(&b, "  %8s  %s\n", n.At.Round(time.Millisecond), n.Text)
	}
	for _, x := range h.Broken {
		fmt.Fprintf(&b, "  %8s  BROKEN: %s, %s: %s\n", x.At.Round(time.Millisecond), x.Invariant, x.About, x.Detail)
	}
	return b.String()
}
