package probe

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// flow is what is known of the bytes that come in from a mount's source.
type flow struct {
	bytes   int64
	changed time.Time     // when they were last seen to have become others
	usual   time.Duration // from one change to the next, on average; 0: not known yet
	changes int           // that were seen
	steady  int           // of them, since the server last stood still itself
	rate    rate
}

const (
	// enoughChanges is how many changes must have been seen before a lack of them
	// says anything. Icecast 2.4 and 2.5 bring the number up to date every 5 s.
	enoughChanges = 4
	// patient is how many times as long as usual a change is waited for.
	patient = 1.3
)

// note takes in the number that was told, and says whether it stands still.
func (f *flow) note(bytes int64, now time.Time) (still bool) {
	if bytes != f.bytes { // or fewer, when another source has come
		if f.steady > 1 { // the first is when it was seen first, some time after it happened
			gap := now.Sub(f.changed)
			if f.usual == 0 {
				f.usual = gap
			}
			f.usual += (gap - f.usual) / 4
		}
		f.bytes, f.changed = bytes, now
		f.changes++
		f.steady++
		return false
	}
	return f.changes >= enoughChanges && now.Sub(f.changed) > time.Duration(patient*float64(f.usual))
}

// pause says that the server stood still itself, or told nothing: it gets time, and
// what comes then says nothing about its usual pace.
func (f *flow) pause(bytes int64, now time.Time) {
	f.changed, f.steady = now, 0
	f.rate.pause(bytes, now)
}

// follow takes the mounts out of an answer from whose source nothing comes any
// more, or nothing of use: see [rate]. The former is known within one or two of the
// server's refreshes. They would be listed, and answer 200, until the server gives
// the source up: Icecast after its source-timeout, where the source is a relay
// perhaps never.
func (s *state) follow(a *answer) {
	now := time.Now()
	flows := make(map[string]*flow, len(a.read))
	var still, odd []string
	useless := "" // or " of use", where something comes in
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
		switch {
		case f.note(bytes, now):
			still = append(still, path)
		case told != "" && constant && f.rate.implausible():
			still = append(still, path)
			odd = append(odd, told)
			useless = " of use"
		case told != "":
			odd = append(odd, told)
		}
	}
	s.flows = flows
	if len(odd) > 0 {
		slices.Sort(odd)
		a.detail += "; " + strings.Join(odd[:min(len(odd), 3)], ", ")
	}
	still = append(still, s.samples.silent(a.untold)...)
	if len(still) == 0 {
		return
	}
	slices.Sort(still)
	a.mounts = slices.DeleteFunc(slices.Clone(a.mounts), func(m director.MountReport) bool { return slices.Contains(still, m.Path) })
	news := fmt.Sprintf("nothing%s comes in for %s, so it is taken as gone", useless, strings.Join(still[:min(len(still), 5)], ", "))
	if more := len(still) - 5; more > 0 {
		news = fmt.Sprintf("nothing%s comes in for %s and %d more mounts, so they are taken as gone", useless, strings.Join(still[:5], ", "), more)
	}
	a.detail += "; " + news
	if a.warning != "" {
		news = a.warning + "; " + news
	}
	a.warning = news
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
