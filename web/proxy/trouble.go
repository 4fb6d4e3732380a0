package proxy

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// passedOver is how long a node that did not play is tried only after all others, so that
// not every listener waits for it to fail again.
const passedOver = 10 * time.Second

// remembered is how long it is remembered that a node did not play, if it is not asked
// again: the node may be gone for ever.
const remembered = 10 * time.Minute

// place is a mount at a node.
type place struct {
	mount string
	node  director.NodeID
}

// Trouble is what a node did instead of playing, the last time that it was asked.
type Trouble struct {
	Failure
	At time.Time // when it last did so
}

// evidence counts what the node did instead of playing, and reports it to Config.Evidence.
// It logs it unless the node did the same the last time.
func (s *source) evidence(f Failure) {
	if !s.ask.blames(f.Why) {
		return
	}
	f.Mount = s.mount.name
	p, at := s.p, place{f.Mount, f.Node}
	p.mu.Lock()
	p.forgetTroubles()
	p.whys[f.Why]++
	news := p.failing[at].Why != f.Why
	p.failing[at] = Trouble{f, time.Now()}
	p.mu.Unlock()
	if news {
		p.cfg.Log.Warn("a node does not play for inline listeners", "mount", at.mount, "node", f.Node, "why", string(f.Why), "detail", f.Detail)
	}
	if p.cfg.Evidence != nil {
		p.cfg.Evidence(f)
	}
}

// plays records that the node plays as it should.
func (s *source) plays() {
	p, at := s.p, place{s.mount.name, s.node}
	p.mu.Lock()
	before := p.failing[at].Why
	delete(p.failing, at)
	p.mu.Unlock()
	if before != "" {
		p.cfg.Log.Info("a node plays for inline listeners again", "mount", at.mount, "node", at.node, "before", string(before))
	}
}

// Failing returns, by name, the nodes that did not play a mount when they were last asked
// for it.
func (p *Proxy) Failing(mount string) []Trouble {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forgetTroubles()
	var all []Trouble
	for at, t := range p.failing {
		if at.mount == mount {
			all = append(all, t)
		}
	}
	slices.SortFunc(all, func(a, b Trouble) int { return strings.Compare(string(a.Node), string(b.Node)) })
	return all
}

// forgetTroubles drops troubles that are older than remembered. p.mu is held.
func (p *Proxy) forgetTroubles() {
	maps.DeleteFunc(p.failing, func(_ place, t Trouble) bool { return time.Since(t.At) > remembered })
}

// ordered returns the nodes for a listener; nodes that have just failed come last.
func (p *Proxy) ordered(req Request) []Upstream {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.failing) == 0 {
		return req.Upstreams
	}
	var fit, unfit []Upstream
	for _, u := range req.Upstreams {
		if t, ok := p.failing[place{req.Mount, u.Node}]; ok && time.Since(t.At) < passedOver {
			unfit = append(unfit, u)
		} else {
			fit = append(fit, u)
		}
	}
	return append(fit, unfit...)
}
