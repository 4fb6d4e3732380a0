package store

import (
	"context"
	"slices"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// lapseAuthor is the author of the changes that remove lapsed entries.
const lapseAuthor = "signpost"

// lapse removes from the overlay the operators' settings of registered nodes that
// have left, since the next machine with that id is a different one. It runs after
// an exchange, which started at began: others must know that a node has left before
// they learn that it is no longer drained. An entry that cannot be removed now is
// removed after a later exchange.
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
	revision Revision  // of the overlay known then: its entries are older, whatever clock stamped them
}

// lapsed returns the stamps of the entries whose node has left, by node: it
// deregistered here after the entry was made, or its id is one that may register
// and has been unknown for ForgetAfter, as long as a silent node is remembered.
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

// forgotten notes that a node was forgotten because of its silence. Its entry lapses
// DownAfter later, so that directors that still hear the node can say so.
func (l *loop) forgotten(id director.NodeID) {
	l.absent[id] = l.cfg.Now().Add(l.cfg.DownAfter - l.cfg.ForgetAfter)
}
