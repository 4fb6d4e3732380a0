package notify

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// certificateAgain is how often operators are warned that a certificate ends.
const certificateAgain = 24 * time.Hour

// hasRoom is the part of its limit below which a node that was full has room again: at
// the limit itself each listener who leaves would be an event.
const hasRoom = 0.95

// A Condition is something that an operator should know of as long as it lasts.
type Condition struct {
	Kind Kind   // of the event when it begins
	Key  string // unique among conditions, and the same as long as it lasts: "node_down/fra1"

	Node, Mount string // which it is about; empty: none
	Text        string // what is wrong, without its time
	Remedy      string // what to do about it
	Over        string // what is told when it ends; empty: nothing

	Since time.Time // zero: a [Watch] knows since when it has seen it

	// Degraded says that /readyz counts it, and Public is what it says there: nothing of
	// paths, persons and secrets. Empty: Text. What has a Public and is not Degraded is
	// among its reasons all the same.
	Degraded bool
	Public   string
	// Meant says that an operator may have wanted it, as of a drained node that is down:
	// it is told when it begins, and does not stand anywhere.
	Meant bool
}

// remedies are by what a listener gets of a mount.
var remedies = map[director.Cause]string{
	director.SourceGone:     "connect its source (encoder) again",
	director.SourceHangs:    "look at its source (encoder): it is connected, and sends nothing",
	director.Refused:        "look into the server's log: it turns listeners away",
	director.NotAudio:       "correct the node's URL or path: a page for browsers is answered there",
	director.Unreachable:    "make the URL that listeners get reach the server: its name, port and firewall",
	director.BadCertificate: "renew the certificate, with its whole chain: players refuse it",
}

// conditions returns what is wrong with nodes and mounts: nodes in their order, then
// mounts. wasFull says which nodes were full, as they stay so for a while.
func conditions(s *director.Snapshot, wasFull func(director.NodeID) bool) (all []Condition) {
	now, down := s.Built(), false
	for n := range s.Nodes() {
		st := s.Node(n)
		id := string(st.ID)
		if st.Report.Health == director.Failed {
			down = true
			all = append(all, Condition{
				Kind: NodeDown, Key: "node_down/" + id, Node: id, Text: fmt.Sprintf("node %s is down: %s", id, st.Report.Detail), Over: fmt.Sprintf("node %s is up", id),
				Remedy: "see that its server runs and can be reached; its listeners go elsewhere", Since: st.Report.Since, Meant: st.State == director.Drained,
			})
			continue
		}
		for _, l := range s.Lacks(n) {
			if l.Cause == director.NotThere || l.State == director.MountFull {
				continue // the mount may not be meant to be there, and one that is full is no fault
			}
			since := l.Since
			over := fmt.Sprintf("node %s no longer %s", id, l.String(now))
			l.Since = time.Time{}
			all = append(all, Condition{
				Kind: MountLost, Key: fmt.Sprintf("mount_lost/%s%s/%s", id, l.Mount, l.Scheme), Node: id, Mount: l.Mount, Text: fmt.Sprintf("node %s %s", id, l.String(now)), Over: over,
				Remedy: remedies[l.Cause], Since: since, Meant: st.State == director.Drained,
			})
		}
		if ends := st.Report.CertificateEnds; !ends.IsZero() && ends.Sub(now) < director.CertificateWarning {
			all = append(all, Condition{
				Kind: CertificateEnds, Key: "certificate/" + id, Node: id, Text: fmt.Sprintf("the certificate of node %s ends at %s", id, ends.UTC().Format(time.RFC3339)),
				Public: "a node's certificate ends at " + ends.UTC().Format(time.RFC3339),
				Remedy: "renew it before: players refuse one that has ended",
			})
		}
		full := st.Report.Full || st.EffectiveLimit > 0 && (st.Used >= st.EffectiveLimit || wasFull(st.ID) && float64(st.Used) >= hasRoom*float64(st.EffectiveLimit))
		if full && st.Plays {
			text := fmt.Sprintf("node %s is full: its server refuses listeners", id)
			if !st.Report.Full {
				text = fmt.Sprintf("node %s is full: its limit is %d listeners", id, st.EffectiveLimit)
			}
			all = append(all, Condition{
				Kind: NodeFull, Key: "node_full/" + id, Node: id, Text: text, Over: fmt.Sprintf("node %s has room again", id),
				Remedy: "raise its limit if it can hold more, or add a node; newcomers go elsewhere",
			})
		}
	}
	for _, off := range s.OffAir() {
		remedy := "connect its source (encoder) to a node; until then listeners are refused"
		if down {
			remedy = "connect its source (encoder) to a node, or start again what is down; until then listeners are sent to the last known good, or refused"
		}
		all = append(all, Condition{
			Kind: OffAir, Key: "off_air" + off.Mount, Mount: off.Mount, Text: off.String(), Over: off.Mount + " is on the air again", Since: off.Since, Degraded: true,
			Remedy: remedy,
		})
	}
	return all
}

// A Watch makes events from what begins and ends from one look to the next. At the first
// look it makes events of all that is wrong already. It is safe for concurrent use.
type Watch struct {
	director string

	mu     sync.Mutex
	first  map[string]time.Time // when a condition without a time of its own was first seen
	told   map[string]Condition
	warned map[string]time.Time // certificates
}

// NewWatch returns a Watch that has seen nothing.
func NewWatch(name string) *Watch {
	return &Watch{director: name, first: map[string]time.Time{}, told: map[string]Condition{}, warned: map[string]time.Time{}}
}

// Standing returns what is wrong with the nodes and mounts of a snapshot, and the others,
// all with their times. The snapshot may be nil: there is none yet.
func (w *Watch) Standing(now time.Time, s *director.Snapshot, others []Condition) []Condition {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.standing(now, s, others)
}

// standing is Standing with w.mu held.
func (w *Watch) standing(now time.Time, s *director.Snapshot, others []Condition) []Condition {
	all := slices.Clone(others)
	if s != nil {
		all = append(all, conditions(s, func(id director.NodeID) bool { _, was := w.told["node_full/"+string(id)]; return was })...)
	}
	seen := map[string]bool{}
	for i := range all {
		c := &all[i]
		seen[c.Key] = true
		if !c.Since.IsZero() {
			continue
		}
		if _, known := w.first[c.Key]; !known {
			w.first[c.Key] = now
		}
		c.Since = w.first[c.Key]
	}
	for key := range w.first {
		if !seen[key] {
			delete(w.first, key)
		}
	}
	return all
}

// See returns the events since the last look.
func (w *Watch) See(now time.Time, s *director.Snapshot, others []Condition) (events []Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	is := map[string]Condition{}
	for _, c := range w.standing(now, s, others) {
		is[c.Key] = c
		_, known := w.told[c.Key]
		if c.Kind == CertificateEnds {
			if known = now.Sub(w.warned[c.Key]) < certificateAgain; !known {
				w.warned[c.Key] = now
			}
		}
		if !known {
			events = append(events, Event{Kind: c.Kind, At: now, Director: w.director, Node: c.Node, Mount: c.Mount, Text: c.Text, Since: c.Since, Remedy: c.Remedy})
		}
	}
	over := make([]Event, 0, len(w.told))
	for key, c := range w.told {
		if _, still := is[key]; still || c.Over == "" || !w.ended(s, is, c) {
			continue
		}
		over = append(over, Event{Kind: c.Kind.over(), At: now, Director: w.director, Node: c.Node, Mount: c.Mount, Text: c.Over, Since: c.Since})
	}
	slices.SortFunc(over, func(a, b Event) int { return cmp.Compare(a.Text, b.Text) })
	w.told = is
	return append(events, over...)
}

// ended says whether a condition that is no longer there was mended: it was not, if the
// node is gone or down.
func (w *Watch) ended(s *director.Snapshot, is map[string]Condition, c Condition) bool {
	if c.Node == "" || s == nil {
		return true
	}
	_, there := s.FindNode(director.NodeID(c.Node))
	_, down := is["node_down/"+c.Node]
	return there && !down
}
