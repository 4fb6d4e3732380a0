package probe

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/wording"
)

const (
	// enoughGaps is how many gaps must be seen before a mount's rhythm is known.
	// Icecast 2.4 and 2.5 update the byte count every 5 s.
	enoughGaps = 3
	// maxGaps is how many gaps are remembered: with Icecast, 80 s.
	maxGaps = 16
	// A change is overdue after unknownGap while a mount's rhythm is not known: a source
	// may hang soon after a director has started, or have hung before. It is more than
	// twice Icecast's 5 s, and only raises a doubt, as any change that is overdue.
	unknownGap = 12 * time.Second
	// A change is overdue after patient times the average gap, and beyond times the
	// longest remembered one.
	patient, beyond = 1.3, 1.1
)

// rhythm holds the gaps between changes of a mount's byte count. It is known once
// enoughGaps are seen. The zero value is ready to use.
type rhythm struct {
	gaps [maxGaps]time.Duration
	seen int // ever
}

func (r *rhythm) note(gap time.Duration) {
	r.gaps[r.seen%maxGaps] = gap
	r.seen++
}

// overdue returns how long after a change the next one is overdue.
func (r *rhythm) overdue() time.Duration {
	if r.seen < enoughGaps {
		return unknownGap
	}
	sum, longest, n := time.Duration(0), time.Duration(0), min(r.seen, maxGaps)
	for _, g := range r.gaps[:n] {
		sum += g
		longest = max(longest, g)
	}
	return max(time.Duration(patient*float64(sum)/float64(n)), time.Duration(beyond*float64(longest)))
}

// flow tracks the bytes that come in from a mount's source.
type flow struct {
	bytes   int64
	changed time.Time // when a change of bytes was last seen; zero: never yet
	// exact says that the change happened at changed. A count that is seen for the first
	// time, or again after a pause, may have changed long before.
	exact  bool
	spared time.Time // the stream was fine at least until then without a change; zero: never
	rhythm rhythm
	rate   rate
}

// note records a reported byte count and says whether it stands still.
func (f *flow) note(bytes int64, now time.Time) (still bool) {
	if bytes != f.bytes || f.changed.IsZero() { // it is lower when another source has connected
		if f.exact {
			f.rhythm.note(now.Sub(f.changed))
		}
		f.exact = !f.changed.IsZero()
		f.bytes, f.changed = bytes, now
		return false
	}
	return now.After(f.overdueAt())
}

// overdueAt returns when the next change is overdue.
func (f *flow) overdueAt() time.Time { return later(f.changed, f.spared).Add(f.rhythm.overdue()) }

// pause records that the server itself stood still or reported nothing. The mount gets
// more time, and the gap up to the next change does not count for its rhythm.
func (f *flow) pause(bytes int64, now time.Time) {
	f.spared, f.exact = now, false
	f.rate.pause(bytes, now)
}

// spare records that audio was heard while the byte count stood still. Such a gap is
// part of the mount's rhythm, and is recorded with the next change.
func (f *flow) spare(now time.Time) { f.spared = now }

// follow records each mount's byte count and returns the mounts whose source sends
// nothing any more, or nothing of use: see [rate]. The server would list such a mount,
// and answer 200, until it gives the source up: Icecast does so after its
// source-timeout, and perhaps never if the source is a relay.
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

// beforeOverdue returns due, or the time just after the node's first mount becomes
// overdue, if that is sooner. So a source that hangs is found before the next regular
// probe.
func (s *state) beforeOverdue(now, due time.Time) time.Time {
	for _, f := range s.flows {
		if at := f.overdueAt(); at.After(now) && at.Before(due) {
			due = at.Add(time.Millisecond)
		}
	}
	return due
}

// stillness is the doubt that nothing comes in for a mount, or nothing of use.
type stillness struct {
	kbit float64 // the expected rate, where bytes come in at another one; else 0
}

// bitrate returns a mount's expected rate in kbit/s, as its source reports it or as it
// is declared (0: not known), and whether its format can have a constant bitrate.
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

// silences tells operators for which mounts nothing comes in.
func silences(paths []string) string {
	if len(paths) == 0 {
		return ""
	}
	slices.Sort(paths)
	if more := len(paths) - 5; more > 0 {
		return fmt.Sprintf("nothing comes in for %s and %s, so they are taken as gone", strings.Join(paths[:5], ", "), wording.Count(more, "other mount"))
	}
	return fmt.Sprintf("nothing comes in for %s, so it is taken as gone", strings.Join(paths, ", "))
}
