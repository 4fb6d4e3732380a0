package probe

import (
	"context"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// hearOut requests the node's mounts that are in doubt or due for listening, as a
// listener would, one after another, until none is due. At most one GET per node is under
// way.
func (p *Prober) hearOut(ctx context.Context, s *state) {
	for {
		t, r, ok := p.nextTry(s)
		if !ok {
			return
		}
		started := time.Now()
		got := p.try(ctx, t, r)
		got.took = time.Since(started)
		p.mu.Lock()
		var news []event
		if ctx.Err() == nil {
			news = p.endTry(s, r, got, time.Now(), p.cfg.Now())
		} else {
			p.abandonTry(s)
		}
		p.signal()
		p.mu.Unlock()
		p.tell(ctx, news)
		select {
		case <-time.After(tryPause):
		case <-ctx.Done():
			return
		}
	}
}

// nextTry returns the GET that is due next at a node, if one may begin now.
func (p *Prober) nextTry(s *state) (t target, r request, ok bool) {
	p.mu.Lock()
	r, ok = p.beginTry(s, time.Now())
	p.mu.Unlock()
	if !ok {
		return target{}, request{}, false
	}
	return p.target(s, p.cfg.Timeout), r, true
}

// tell logs events.
func (p *Prober) tell(ctx context.Context, news []event) {
	for _, e := range news {
		p.cfg.Log.LogAttrs(ctx, e.level, e.msg, e.attrs...)
	}
}

// Share passes on the verdicts that other directors got at a node by GETs of their own,
// with times by Config.Now's clock. second says that one of them goes first: this
// Prober then requests the node's mounts only if that one does not. So a mount in doubt
// is requested once, and not by each director.
func (p *Prober) Share(id director.NodeID, second bool, others []director.Verdict) {
	p.mu.Lock()
	news := p.share(id, second, others, time.Now(), p.cfg.Now())
	p.signal()
	p.mu.Unlock()
	p.tell(context.Background(), news)
}

// Pending says whether a GET is still under way or to be made, so that the reports may
// soon change.
func (p *Prober) Pending() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.states {
		if s.report.Health != director.Up {
			continue
		}
		for _, m := range s.known {
			if s.trying || !m.wanted.IsZero() && m.asked[m.word].IsZero() {
				return true
			}
		}
	}
	return false
}
