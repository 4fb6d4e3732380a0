package director

import (
	"fmt"
	"time"
)

// A Lack is a mount or a scheme that a node which is up does not play, or does not play
// for one listener more.
type Lack struct {
	Mount string // its public name; empty: every mount
	Verdict
}

// String returns the wording that operators read everywhere:
// "lacks /live.mp3 since 20:04: source gone".
// Times are in UTC, with the date if it is not today.
func (l *Lack) String(now time.Time) string {
	what := "lacks " + l.Mount
	switch {
	case l.Mount == "":
		what = "no " + l.Scheme.String()
	case l.State == MountFull:
		what = l.Mount + " is full"
	}
	if l.Mount != "" && l.Scheme != 0 {
		what += " by " + l.Scheme.String()
	}
	if !l.Since.IsZero() {
		layout := "15:04"
		if now.UTC().YearDay() != l.Since.UTC().YearDay() || now.Sub(l.Since) > 24*time.Hour {
			layout = "2006-01-02 15:04"
		}
		what += " since " + l.Since.UTC().Format(layout)
	}
	if l.Cause != "" {
		what += ": " + string(l.Cause)
	}
	return what
}

// Lacks lists what node n does not play though it is up: first the schemes that fail,
// then the mounts in the order of [Snapshot.Mounts]. It is for operators, and is not
// called per request.
func (s *Snapshot) Lacks(n int) (all []Lack) {
	st := s.nodes[n]
	if st.report.Health != Up {
		return nil
	}
	whole := Scheme(0) // schemes that fail as a whole
	for _, v := range st.report.Verdicts {
		if v.Path == "" && v.State == MountSilent && v.Scheme&st.schemes != 0 {
			whole |= v.Scheme
			all = append(all, Lack{Verdict: v})
		}
	}
	for m := range s.mounts {
		left := st.schemes &^ whole
		if c := s.carriesAt(m, n); c.is == Fit && c.schemes&left == left {
			continue // most mounts end here: looking each up in the node's report would take long
		}
		var first Verdict
		for _, scheme := range [...]Scheme{HTTP, HTTPS} {
			if left&scheme == 0 {
				continue
			}
			switch v := s.Verdict(n, m, scheme); {
			case v.State != MountSilent && v.State != MountFull:
			case first.State == v.State && first.Cause == v.Cause:
				all[len(all)-1].Scheme |= scheme
			default:
				first = v
				all = append(all, Lack{s.mounts[m].Name, v})
			}
		}
		if i := len(all) - 1; first.State != MountUnknown && all[i].Scheme == left {
			all[i].Scheme = 0
		}
	}
	return all
}

// OffAir is a declared mount that no node plays.
type OffAir struct {
	Mount string
	Since time.Time // when the last one stopped; zero: not known
}

// String returns the wording that operators read everywhere.
func (o *OffAir) String() string { return fmt.Sprintf("%s is off the air", o.Mount) }

// OffAir lists the declared mounts that no node plays in any scheme. As long as the
// health of some node is unknown, and the node is not drained, the list is empty.
func (s *Snapshot) OffAir() (all []OffAir) {
	if len(s.fleet.mounts) == 0 || len(s.nodes) == 0 {
		return nil
	}
	for n := range s.nodes {
		if s.nodes[n].report.Health == HealthUnknown && s.nodes[n].health != Drained {
			return nil
		}
	}
	for m := range s.mounts {
		off := OffAir{Mount: s.mounts[m].Name}
		plays := false
		for n := range s.nodes {
			c, r := s.carriesAt(m, n), &s.nodes[n].report
			if plays = r.Health == Up && c.is != LacksMount && c.schemes != 0; plays {
				break
			}
			if since := s.bestVerdict(n, m, AnyScheme).Since; since.After(off.Since) {
				off.Since = since
			}
		}
		if !plays {
			all = append(all, off)
		}
	}
	return all
}

// MountState returns what a listener who may use either scheme gets of mount m at node n.
func (s *Snapshot) MountState(n, m int) MountState {
	c, health := s.carriesAt(m, n), s.nodes[n].report.Health
	switch {
	case health == HealthUnknown:
		return MountUnknown
	case health == Failed, c.is == LacksMount, c.schemes == 0:
		return MountSilent
	case c.is == NodeFull:
		return MountFull
	}
	return MountPlays
}
