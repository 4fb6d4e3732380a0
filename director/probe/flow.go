package probe

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/signpost-fm/signpost/director"
)

const (
	// enoughGaps is how many gaps must have been seen before a mount has a rhythm of
	// its own. Icecast 2.4 and 2.5 bring the number up to date every 5 s.
	enoughGaps = 3
	// maxGaps is how many are remembered: with Icecast, 80 s.
	maxGaps = 16
	// patient and beyond are how many times as long as on average, and as ever of late,
	// a change is waited for.
	patient, beyond = 1.3, 1.1
)

// rhythm is how regularly a mount's bytes have come in: the times between two changes
// of their number, of which the first few say nothing yet. Its zero value knows nothing.
type rhythm struct {
	gaps [maxGaps]time.Duration
	seen int // ever
}

func (r *rhythm) note(gap time.Duration) {
	r.gaps[r.seen%maxGaps] = gap
	r.seen++
}

// overdue returns how long after a change the next one is overdue; known is false
// while the mount has not shown a rhythm.
func (r *rhythm) overdue() (after time.Duration, known bool) {
	if r.seen < enoughGaps {
		return 0, false
	}
	sum, longest, n := time.Duration(0), time.Duration(0), min(r.seen, maxGaps)
	for _, g := range r.gaps[:n] {
		sum += g
		longest = max(longest, g)
	}
	return max(time.Duration(patient*float64(sum)/float64(n)), time.Duration(beyond*float64(longest))), true
}

// flow is what is known of the bytes that come in from a mount's source.
type flow struct {
	bytes   int64
	changed time.Time // when they were last seen to have become others; zero: never yet
	// exact says that changed is when it happened. When a number is seen first, or again
	// after a pause, it may have changed long before.
	exact  bool
	spared time.Time // until then at least, all was well without a change; zero: never
	rhythm rhythm
	rate   rate
}

// note takes in the number that was told, and says whether it stands still.
func (f *flow) note(bytes int64, now time.Time) (still bool) {
	if bytes != f.bytes { // or fewer, when another source has come
		if f.exact {
			f.rhythm.note(now.Sub(f.changed))
		}
		f.exact = !f.changed.IsZero()
		f.bytes, f.changed = bytes, now
		return false
	}
	at, known := f.overdueAt()
	return known && now.After(at)
}

// overdueAt returns when the next change is overdue, where that is known.
func (f *flow) overdueAt() (at time.Time, known bool) {
	after, known := f.rhythm.overdue()
	if !known || f.changed.IsZero() {
		return time.Time{}, false
	}
	return later(f.changed, f.spared).Add(after), true
}

// pause says that the server stood still itself, or told nothing: it gets time, and
// how long the next change takes says nothing of the mount's rhythm.
func (f *flow) pause(bytes int64, now time.Time) {
	f.spared, f.exact = now, false
	f.rate.pause(bytes, now)
}

// spare says that audio was heard though the number stood still: such a gap is part of
// the mount's rhythm, which the next change will show.
func (f *flow) spare(now time.Time) { f.spared = now }

// follow takes in how many bytes have come in for each mount, and returns those from
// whose source nothing comes any more, or nothing of use: see [rate]. They would be
// listed, and answer 200, until the server gives the source up: Icecast after its
// source-timeout, where the source is a relay perhaps never.
func (s *state) follow(a *answer, now time.Time) (still map[string]stillness) {
	flows := make(map[string]*flow, len(a.read))
	var odd []string
	for path, bytes := range a.read {
		f := s.flows[path]
		if f == nil {
			f = new(flow)
		}
		flows[path] = f
		if s.failures > 0 || s.report.Full {
			f.pause(bytes, now)
		}
		kbit, constant := s.bitrate(a, path)
		if bytes != f.bytes {
			f.rate.note(bytes, now, kbit)
		}
		told := f.rate.describe(path, kbit)
		useless := told != "" && constant && f.rate.implausible()
		if f.note(bytes, now) || useless {
			if still == nil {
				still = map[string]stillness{}
			}
			still[path] = stillness{}
			if useless {
				still[path] = stillness{kbit}
			}
		}
		if told != "" {
			odd = append(odd, told)
		}
	}
	s.flows = flows
	if len(odd) > 0 {
		slices.Sort(odd)
		a.detail += "; " + strings.Join(odd[:min(len(odd), 3)], ", ")
	}
	return still
}

// beforeOverdue returns due, or when the first of the node's mounts is overdue if that
// is sooner: so a source that hangs is found without waiting for the next turn.
func (s *state) beforeOverdue(now, due time.Time) time.Time {
	for _, f := range s.flows {
		if at, known := f.overdueAt(); known && at.After(now) && at.Before(due) {
			due = at.Add(time.Millisecond)
		}
	}
	return due
}

// stillness is a doubt whether anything comes in for a mount.
type stillness struct {
	kbit float64 // what should, where something does, but not at that rate; else 0
}

// bitrate is what a mount should have in kbit/s, by its source's own word or as
// declared (0: not known), and whether it is of a kind that can have a constant one.
func (s *state) bitrate(a *answer, path string) (kbit float64, constant bool) {
	i := slices.IndexFunc(a.mounts, func(m director.MountReport) bool { return m.Path == path })
	if i < 0 {
		return 0, false
	}
	if kbit = a.told[path]; kbit == 0 {
		kbit = float64(s.declared[path])
	}
	return kbit, a.mounts[i].Type == "audio/mpeg"
}

// silences says for an operator for which mounts nothing comes in.
func silences(paths []string) string {
	if len(paths) == 0 {
		return ""
	}
	slices.Sort(paths)
	if more := len(paths) - 5; more > 0 {
		return fmt.Sprintf("nothing comes in for %s and %d more mounts, so they are taken as gone", strings.Join(paths[:5], ", "), more)
	}
	return fmt.Sprintf("nothing comes in for %s, so it is taken as gone", strings.Join(paths, ", "))
}
