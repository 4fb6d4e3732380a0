package director

import (
	"strings"
	"time"
)

// A Verdict is what a listener gets who asks a node for a mount: Signpost judges each
// mount at each node in each scheme. Statistics may raise a doubt about a verdict; the
// response to a GET like a listener's decides.
//
// A [Report] has verdicts only where its list of mounts is not enough. A verdict with an
// empty Path applies to every mount, one with Scheme 0 to every scheme. Where several
// apply, the worst for listeners holds.
type Verdict struct {
	Path   string     `json:"path,omitempty"`   // on the node; empty: every mount
	Scheme Scheme     `json:"scheme,omitempty"` // 0: every scheme
	State  MountState `json:"state"`
	Cause  Cause      `json:"cause,omitempty"`
	Detail string     `json:"detail,omitempty"` // what was seen: "GET /live.mp3: 404 Not Found"
	Listed bool       `json:"listed,omitempty"` // the statistics say that it plays, but a listener gets something else
	Since  time.Time  `json:"since,omitzero"`   // when State last changed
	Taken  time.Time  `json:"taken,omitzero"`   // when this was last seen
	By     string     `json:"by,omitempty"`     // the director or agent that saw it
}

// String describes the verdict for operators: "source gone (GET /live.mp3: 404 Not Found)".
func (v *Verdict) String() string {
	words := string(v.Cause)
	if words == "" {
		words = v.State.Words()
	}
	if v.Detail != "" {
		words += " (" + v.Detail + ")"
	}
	return words
}

// MountState is what a listener gets who asks a node for a mount.
type MountState uint8

// The states of a mount at a node.
const (
	MountUnknown   MountState = iota // not seen yet
	MountPlays                       // a listener hears it, or a fallback in its place
	MountSilent                      // a listener hears nothing: refused, or nothing comes
	MountFull                        // it plays, but not for one listener more
	numMountStates = iota
)

var mountStateNames = [numMountStates]string{"unknown", "plays", "does_not_play", "full"}

// String returns the state's stable name, such as "does_not_play".
func (s MountState) String() string {
	if int(s) < len(mountStateNames) {
		return mountStateNames[s]
	}
	return mountStateNames[MountUnknown]
}

// Words returns the state for people: "does not play".
func (s MountState) Words() string { return strings.ReplaceAll(s.String(), "_", " ") }

// MarshalText makes a MountState its stable name in JSON and logs.
func (s MountState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote. A state that only another version knows is
// MountUnknown.
func (s *MountState) UnmarshalText(b []byte) error {
	*s = MountUnknown
	for i, name := range mountStateNames {
		if name == string(b) {
			*s = MountState(i)
		}
	}
	return nil
}

// A Cause is why a mount is in its state, in an operator's words. The words are the same
// in explain, API, log and pages.
type Cause string

// Why a mount does not play.
const (
	SourceGone     Cause = "source gone"         // it had a source here, and has none now
	NotThere       Cause = "not there"           // the server does not know it
	SourceHangs    Cause = "nothing comes in"    // it is listed, but no audio comes
	Refused        Cause = "refused"             // the server turns listeners away
	NotAudio       Cause = "a page, no audio"    // the response is a page for browsers
	Unreachable    Cause = "cannot be reached"   // no connection, or no answer
	BadCertificate Cause = "certificate refused" // players do not accept the TLS certificate
)

// How a mount plays, or why it is full.
const (
	PlaysFallback Cause = "plays without a source of its own" // a fallback, or a relay of one
	PlaysUnlisted Cause = "plays, though not listed"          // hidden, or a fallback without an entry
	PlaysOnDemand Cause = "relay on demand"                   // it starts when a listener asks
	AsksListeners Cause = "asks listeners who they are"       // 401: for those who have a password
	SeatsTaken    Cause = "its seats are taken"               // the server said so to a listener
)

// Network says whether the cause may be a fault of the network and not of the node.
func (c Cause) Network() bool { return c == Unreachable }

// verdict returns the verdict of a report that holds for a path in a scheme; with scheme
// 0, one for every scheme; nil: there is none. Of several, it returns the gravest.
func (r *Report) verdict(path string, scheme Scheme) (best *Verdict) {
	for i := range r.Verdicts {
		v := &r.Verdicts[i]
		if v.Path != "" && v.Path != path || v.Scheme != 0 && v.Scheme&scheme == 0 || v.State == MountUnknown {
			continue
		}
		if best == nil || graver[v.State] > graver[best.State] {
			best = v
		}
	}
	return best
}

// ofTheNode says whether a verdict tells no more than that the node is down. It is no
// verdict on the mount, which the node played and may play still: it can be the last known
// good.
func (r *Report) ofTheNode(v *Verdict) bool { return r.Health == Failed && v.Cause.Network() }

// graver orders states by how much they speak against sending a listener.
var graver = [numMountStates]uint8{MountUnknown: 0, MountPlays: 1, MountFull: 2, MountSilent: 3}

// Verdict returns what a listener gets of mount m at node n in one scheme. It does not
// consider whether the node is drained; a node that is down plays nothing.
func (s *Snapshot) Verdict(n, m int, scheme Scheme) Verdict {
	r, path := &s.nodes[n].report, s.nodePath(n, m)
	out := Verdict{Path: path, Scheme: scheme, By: r.By, Taken: r.Taken, Since: r.Since}
	v := r.verdict(path, scheme)
	switch {
	case r.Health == Failed:
		out.State, out.Cause, out.Detail = MountSilent, Unreachable, r.Detail
	case r.Health != Up:
		out.Since, out.Taken = time.Time{}, time.Time{}
	case v != nil && v.State != MountPlays:
		out.State, out.Cause, out.Detail, out.Since, out.Taken = v.State, v.Cause, v.Detail, v.Since, v.Taken
		if v.By != "" {
			out.By = v.By
		}
	default:
		switch is, _ := s.carry(n, m); is {
		case LacksMount:
			out.State, out.Cause, out.Since = MountSilent, NotThere, time.Time{} // the time is not known
		case NodeFull:
			out.State, out.Cause = MountFull, SeatsTaken
		default:
			out.State = MountPlays
			if v != nil && v.Path != "" {
				out.Cause, out.Detail, out.Since, out.Taken = v.Cause, v.Detail, v.Since, v.Taken
			}
			if m := r.mount(path); m != nil && v == nil && !m.Started.IsZero() {
				out.Since = m.Started
			}
		}
	}
	return out
}

// mount returns what a report says about a path; nil: nothing.
func (r *Report) mount(path string) *MountReport {
	for i := range r.Mounts {
		if r.Mounts[i].Path == path {
			return &r.Mounts[i]
		}
	}
	return nil
}

// bestVerdict returns the verdict of a mount at a node in the best of several schemes for
// listeners; HTTP among equals.
func (s *Snapshot) bestVerdict(n, m int, schemes Scheme) Verdict {
	if m < 0 {
		return Verdict{}
	}
	schemes &= s.nodes[n].schemes
	switch schemes {
	case AnyScheme:
		plain, secure := s.Verdict(n, m, HTTP), s.Verdict(n, m, HTTPS)
		if graver[secure.State] < graver[plain.State] {
			return secure
		}
		return plain
	case 0:
		return Verdict{}
	}
	return s.Verdict(n, m, schemes)
}
