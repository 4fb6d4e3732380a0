package admin

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/web/admin/api"
)

const (
	// maxSubscribers bounds the connections that follow the events.
	maxSubscribers = 100
	// maxBehind is how many events a subscriber may be behind before it is cut off: it
	// connects again and gets everything anew.
	maxBehind = 16
	// mountsInterval is the shortest time between two events of mounts.
	mountsInterval = 2 * time.Second
)

// A subscriber follows the events of one director.
type subscriber struct {
	events chan []byte // encoded, shared with all others
	cut    chan struct{}
}

// A hub sends subscribers what has changed since the last event. Everything is encoded
// once for all of them, and none can hold it up. The zero value is ready, and safe for
// concurrent use.
type hub struct {
	mu     sync.Mutex
	all    map[*subscriber]struct{}
	closed bool

	// What was sent last.
	nodes      map[director.NodeID][]byte
	built      time.Time
	revision   store.Revision
	status     api.StatusAnswer
	mounts     api.MountsAnswer
	playing    string // the part of mounts that is worth an event
	mountsSent time.Time
}

// send sends an event to all, and cuts off those that do not keep up. h.mu is held.
func (h *hub) send(event []byte) {
	for s := range h.all {
		select {
		case s.events <- event:
		default:
			h.drop(s)
		}
	}
}

// drop ends a subscription. h.mu is held.
func (h *hub) drop(s *subscriber) {
	if _, there := h.all[s]; there {
		delete(h.all, s)
		close(s.cut)
	}
}

func (h *hub) leave(s *subscriber) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drop(s)
}

// close cuts off all, and lets nobody in any more.
func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for s := range h.all {
		h.drop(s)
	}
}

// join adds a subscriber, and returns the events that bring it up to date.
func (h *hub) join(a *API) (*subscriber, [][]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || len(h.all) >= maxSubscribers {
		return nil, nil, problem(http.StatusServiceUnavailable, "too many connections follow the events, or the director is stopping; try again soon")
	}
	if len(h.all) == 0 { // nothing was kept up to date meanwhile
		h.nodes, h.revision, h.playing = map[director.NodeID][]byte{}, 0, ""
		h.refreshNodes(a)
		h.refreshOverlay(a)
		h.refreshStatus(a)
		h.refreshMounts(a)
	}
	all := nodesEvent{Built: h.built, Nodes: []json.RawMessage{}}
	for _, n := range h.nodes {
		all.Nodes = append(all.Nodes, n)
	}
	first := [][]byte{event("nodes", all), event("status", h.status), event("mounts", h.mounts), event("overlay", h.lastChange(a))}
	s := &subscriber{make(chan []byte, maxBehind), make(chan struct{})}
	if h.all == nil {
		h.all = map[*subscriber]struct{}{}
	}
	h.all[s] = struct{}{}
	return s, first, nil
}

// nodesEvent is the nodes that changed.
type nodesEvent struct {
	Built time.Time         `json:"built"`
	Nodes []json.RawMessage `json:"nodes"`
	Gone  []director.NodeID `json:"gone,omitempty"` // removed ones
}

// refreshNodes returns the nodes that have changed since it was called last. h.mu is
// held.
func (h *hub) refreshNodes(a *API) (changed nodesEvent, some bool) {
	now, err := a.Nodes()
	if err != nil {
		return changed, false
	}
	h.built = now.Built
	changed = nodesEvent{Built: now.Built, Nodes: []json.RawMessage{}}
	there := make(map[director.NodeID]bool, len(now.Nodes))
	for _, n := range now.Nodes {
		there[n.ID] = true
		if n.Registered != nil {
			n.Registered.SilentMS = 0 // it changes each time
		}
		b := encode(n)
		if !bytes.Equal(b, h.nodes[n.ID]) {
			h.nodes[n.ID] = b
			changed.Nodes = append(changed.Nodes, b)
		}
	}
	for id := range h.nodes {
		if !there[id] {
			delete(h.nodes, id)
			changed.Gone = append(changed.Gone, id)
		}
	}
	return changed, len(changed.Nodes)+len(changed.Gone) > 0
}

// overlayEvent is the newest change of the overlay.
type overlayEvent struct {
	Revision store.Revision `json:"revision"`
	Last     *api.Change    `json:"last,omitempty"` // nil: nobody has changed anything yet
}

func (h *hub) lastChange(a *API) overlayEvent {
	o := a.cfg.Syncer.Overlay()
	out := overlayEvent{Revision: h.revision}
	if n := len(o.History); n > 0 {
		c := describeChange(o, o.History[n-1])
		out.Last = &c
	}
	return out
}

// refreshOverlay says whether the overlay has changed. h.mu is held.
func (h *hub) refreshOverlay(a *API) bool {
	was := h.revision
	h.revision = a.cfg.Syncer.Overlay().Revision
	return was != h.revision
}

// refreshStatus says whether the status has changed, its ages aside. h.mu is held.
func (h *hub) refreshStatus(a *API) bool {
	lasting := func(s api.StatusAnswer) string {
		s.UptimeS, s.SnapshotAgeMS, s.PictureAgeMS = 0, 0, 0
		s.Directors = slices.Clone(s.Directors)
		for i := range s.Directors {
			s.Directors[i].Seen = time.Time{}
		}
		return string(encode(s))
	}
	was := h.status
	h.status, _ = a.Status() // it never fails
	return lasting(was) != lasting(h.status)
}

// refreshMounts says whether titles or the mounts' nodes have changed. h.mu is held.
func (h *hub) refreshMounts(a *API) bool {
	now, err := a.Mounts()
	if err != nil {
		return false
	}
	var worth []any
	for _, m := range now.Mounts {
		worth = append(worth, m.Name, m.Title, m.Playing, m.Nodes)
	}
	was := h.playing
	h.mounts, h.playing = now, string(encode(worth))
	return was != h.playing
}

// encode writes JSON of values that always have it.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		return []byte("null")
	}
	return b
}

// event writes a server-sent event. JSON has no line breaks outside of strings,
// where they are escaped.
func event(name string, v any) []byte {
	return []byte("event: " + name + "\ndata: " + string(encode(v)) + "\n\n")
}
