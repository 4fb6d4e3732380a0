package store

import (
	"context"
	"slices"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// lapseAuthor makes the changes that take out what has lapsed.
const lapseAuthor = "signpost"

// lapse takes out of the overlay what operators made of registered nodes that have
// left, for the next machine with that id is another one. It follows an exchange
// that began at that time: others must know that a node has left before they learn
// that it is no longer drained. What cannot be taken out now is after another one.
func (l *loop) lapse(ctx context.Context, began time.Time) {
	lapsed := l.lapsed(began)
	if len(lapsed) == 0 || !l.lapsing.CompareAndSwap(false, true) {
		return
	}
	go func() {
		defer l.lapsing.Store(false)
		ctx, cancel := context.WithTimeout(ctx, l.cfg.Timeout)
		defer cancel()
		_, _ = l.Change(ctx, Author{By: lapseAuthor, Why: "the node has left"}, func(o *Overlay) error {
			for id, s := range lapsed {
				if e := o.Nodes[id]; e.Revision == s.Revision && e.At.Equal(s.At) {
					delete(o.Nodes, id)
				}
			}
			return nil
		})
	}()
}

// A departure is when a registered node left.
type departure struct {
	at       time.Time // by our clock
	revision Revision  // of the overlay that was known then: its entries were made before, whatever clock stamped them
}

// lapsed returns the stamps of those entries of the overlay whose node has
// deregistered here since they were made, or is one that registers and has been
// unknown for as long as a silent one is remembered.
func (l *loop) lapsed(began time.Time) map[director.NodeID]Stamp {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, lapsed, absent := l.cfg.Now(), map[director.NodeID]Stamp{}, map[director.NodeID]time.Time{}
	for id, e := range l.overlay.Nodes {
		left, has := l.left[id]
		switch {
		case slices.ContainsFunc(l.declared.config.Nodes, func(n director.Node) bool { return n.ID == id }):
		case has && left.at.Before(began) && (e.Revision <= left.revision || !e.At.After(left.at.Add(l.offset))):
			lapsed[id] = e.Stamp
		case l.registry.knows(id) || !l.declared.config.Admits(id):
		default:
			absent[id] = now
			if since, ok := l.absent[id]; ok {
				absent[id] = since
			}
			if now.Sub(absent[id]) >= l.cfg.ForgetAfter {
				lapsed[id] = e.Stamp
			}
		}
	}
	l.absent = absent
	for id, left := range l.left {
		if _, again := lapsed[id]; !again && left.at.Before(began) {
			delete(l.left, id)
		}
	}
	return lapsed
}

// forgotten notes that a node has been silent for so long that it was forgotten.
// Others, who may have heard of it, have a moment to say so.
func (l *loop) forgotten(id director.NodeID) {
	l.absent[id] = l.cfg.Now().Add(l.cfg.DownAfter - l.cfg.ForgetAfter)
}
