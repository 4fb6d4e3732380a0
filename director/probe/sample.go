package probe

import (
	"slices"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// samples schedules listening to a node's mounts whose statistics do not tell whether
// anything comes in: one at a time, in turn.
type samples struct {
	due  time.Time // on the monotonic clock; zero: not yet planned
	last string    // the mount that was listened to
}

// next returns the mount to listen to now; empty: none. Each mount has its turn once
// in Config.Sample, or less often if there are too many for that.
func (s *samples) next(mounts []string, c *Config, now time.Time) string {
	if len(mounts) == 0 {
		return ""
	}
	if s.due.IsZero() {
		s.due = now.Add(c.Chance(c.Sample)) // spreads directors and nodes
	}
	if now.Before(s.due) {
		return ""
	}
	slices.Sort(mounts)
	next := mounts[0]
	if i := slices.IndexFunc(mounts, func(m string) bool { return m > s.last }); i >= 0 {
		next = mounts[i]
	}
	s.last = next
	s.due = now.Add(max(c.Sample/time.Duration(len(mounts)), burstTime+samplePatience))
	return next
}

// dueSample returns the request to listen to a mount; ok is false if none is due.
func (s *state) dueSample(c *Config, now time.Time) (r request, ok bool) {
	if c.Sample <= 0 {
		return request{}, false
	}
	var untold []string
	for _, path := range s.untold {
		if m := s.known[path]; m != nil && m.word == playing && m.verdict.State == director.MountPlays {
			untold = append(untold, path)
		}
	}
	path := s.samples.next(untold, c, now)
	return request{path: path, word: playing, patience: samplePatience}, path != ""
}
