package director

import (
	"strings"
	"time"
)

// A Verdict is what a listener hears who asks a node for a mount: the unit of truth
// of Signpost is a mount at a node in a scheme. Statistics may raise a doubt about it;
// what a GET like a listener's gets decides.
//
// A [Report] has verdicts only where its list of mounts does not say it all. One with
// an empty Path is about every mount, one with Scheme 0 about every scheme. Where
// several apply, the one against listeners holds.
type Verdict struct {
	Path   string     `json:"path,omitempty"`   // on the node; empty: every mount
	Scheme Scheme     `json:"scheme,omitempty"` // 0: every scheme
	State  MountState `json:"state"`
	Cause  Cause      `json:"cause,omitempty"`
	Detail string     `json:"detail,omitempty"` // what was seen: "GET /live.mp3: 404 Not Found"
	Listed bool       `json:"listed,omitempty"` // the statistics say that it plays; a listener gets something else
	Since  time.Time  `json:"since,omitzero"`   // when State last changed
	Taken  time.Time  `json:"taken,omitzero"`   // when it was last seen to be so
	By     string     `json:"by,omitempty"`     // the director or agent that saw it
}

// String says it for operators: "source gone (GET /live.mp3: 404 Not Found)".
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
	MountUnknown   MountState = iota // nobody has seen it yet
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

// UnmarshalText reads what MarshalText wrote; the name of another version's state is
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

// MountStates lists every state, for metrics that name them all.
func MountStates() []MountState {
	all := make([]MountState, numMountStates)
	for i := range all {
		all[i] = MountState(i)
	}
	return all
}

// A Cause is why a mount is in its state, in an operator's words. They are the same
// in explain, API, log and pages.
type Cause string

// Why a mount does not play.
const (
	SourceGone     Cause = "source gone"         // it had a source here, and has none
	NotThere       Cause = "not there"           // the server does not know it
	SourceHangs    Cause = "nothing comes in"    // it is listed, and no audio comes
	Refused        Cause = "refused"             // the server turns listeners away
	NotAudio       Cause = "a page, no audio"    // it answers, with a page for browsers
	Unreachable    Cause = "cannot be reached"   // no connection, or no answer
	BadCertificate Cause = "certificate refused" // players do not accept the TLS certificate
)

// What a mount that plays is, or why it is full.
const (
	PlaysFallback Cause = "plays without a source of its own" // a fallback, or a relay of one
	PlaysUnlisted Cause = "plays, though not listed"          // hidden, or a fallback without an entry
	PlaysOnDemand Cause = "relay on demand"                   // it comes when a listener asks
	AsksListeners Cause = "asks listeners who they are"       // 401: for those who have a password
	SeatsTaken    Cause = "its seats are taken"               // the server said so to a listener
)

// Network says that whoever saw it may have seen the network's fault and not the node's.
func (c Cause) Network() bool { return c == Unreachable }

// verdict returns the one of a report's verdicts that holds for a path in a scheme, or
// with scheme 0 in every scheme; nil: there is none. Of several, the gravest.
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

// graver orders states by how much they speak against sending a listener.
var graver = [numMountStates]uint8{MountUnknown: 0, MountPlays: 1, MountFull: 2, MountSilent: 3}

// Verdict returns what a listener hears of mount m at node n in one scheme, whatever
// becomes of the node as a whole: one that is down plays nothing.
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
			out.State, out.Cause, out.Since = MountSilent, NotThere, time.Time{} // nobody has seen when
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

// mount returns what a report tells of a path; nil: nothing.
func (r *Report) mount(path string) *MountReport {
	for i := range r.Mounts {
		if r.Mounts[i].Path == path {
			return &r.Mounts[i]
		}
	}
	return nil
}

// bestVerdict is a mount's verdict at a node in that of several schemes in which
// listeners are served best: HTTP comes first among equals.
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
