package notify

import (
	"fmt"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// certificateWarning is how long before the end of a certificate operators are told, and
// certificateAgain is how often.
const (
	certificateWarning = 14 * 24 * time.Hour
	certificateAgain   = 24 * time.Hour
)

// A Watch makes events from the differences between successive snapshots. From the first
// one it makes events of what is wrong at the start.
type Watch struct {
	director string
	offAir   map[string]bool
	lacks    map[string]lack // by node, mount and scheme
	down     map[director.NodeID]bool
	warned   map[director.NodeID]time.Time
}

type lack struct {
	node        director.NodeID
	mount, text string
}

// NewWatch returns a Watch that has seen no snapshot.
func NewWatch(name string) *Watch {
	return &Watch{director: name, offAir: map[string]bool{}, lacks: map[string]lack{}, down: map[director.NodeID]bool{}, warned: map[director.NodeID]time.Time{}}
}

// See returns the events since the previous snapshot.
func (w *Watch) See(s *director.Snapshot) (events []Event) {
	now := s.Built()
	tell := func(k Kind, node director.NodeID, mount, text string) {
		events = append(events, Event{k, now, w.director, string(node), mount, text})
	}
	down, lacks := map[director.NodeID]bool{}, map[string]lack{}
	for n := range s.Nodes() {
		st := s.Node(n)
		id := st.ID
		if st.Report.Health == director.Failed {
			if down[id] = true; !w.down[id] {
				tell(NodeDown, id, "", fmt.Sprintf("node %s is down: %s", id, st.Report.Detail))
			}
			continue
		}
		for _, l := range s.Lacks(n) {
			if l.Cause == director.NotThere || l.State == director.MountFull {
				continue // the mount may not be meant to be there, and a full node is no fault
			}
			key := fmt.Sprint(id, " ", l.Mount, " ", l.Scheme)
			lacks[key] = lack{id, l.Mount, l.String(now)}
			if _, known := w.lacks[key]; !known {
				tell(MountLost, id, l.Mount, fmt.Sprintf("node %s %s", id, l.String(now)))
			}
		}
		if ends := st.Report.CertificateEnds; !ends.IsZero() && ends.Sub(now) < certificateWarning && now.Sub(w.warned[id]) >= certificateAgain {
			w.warned[id] = now
			tell(CertificateEnds, id, "", fmt.Sprintf("the certificate of node %s ends at %s", id, ends.UTC().Format(time.RFC3339)))
		}
	}
	for key, l := range w.lacks {
		if _, still := lacks[key]; !still && !down[l.node] {
			tell(MountBack, l.node, l.mount, fmt.Sprintf("node %s no longer %s", l.node, l.text))
		}
	}
	for id := range w.down {
		if _, there := s.FindNode(id); there && !down[id] {
			tell(NodeUp, id, "", fmt.Sprintf("node %s is up", id))
		}
	}
	offAir := map[string]bool{}
	for _, off := range s.OffAir() {
		if offAir[off.Mount] = true; !w.offAir[off.Mount] {
			tell(OffAir, "", off.Mount, off.String())
		}
	}
	for mount := range w.offAir {
		if !offAir[mount] {
			tell(OnAir, "", mount, mount+" is on the air again")
		}
	}
	w.down, w.lacks, w.offAir = down, lacks, offAir
	return events
}
