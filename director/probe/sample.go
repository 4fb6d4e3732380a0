package probe

import (
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"time"
)

const (
	// sampleTime is how long a mount is listened to.
	sampleTime = 4 * time.Second
	// burstTime is how long what comes may be from before: servers begin with what
	// they sent last, 64 KB with Icecast, as fast as the listener takes it.
	burstTime = 2 * time.Second
	// sampleAgain is how soon a mount is listened to again that was silent.
	sampleAgain = 5 * time.Second
	// sampleSilent is from one sample to the next while some mount is silent.
	sampleSilent = 15 * time.Second
	// silences is how many samples in a row must be silent.
	silences = 2
	// maxSamples is how many samples are taken at once, over all nodes.
	maxSamples = 8
)

// samples is what listening to a node's mounts told. One at a time is listened to,
// in turn.
type samples struct {
	due    time.Time // on the monotonic clock; zero: not yet planned
	taking bool
	last   string         // the mount that was listened to
	still  map[string]int // silent samples in a row, by mount
}

// silent lists those of the mounts that nothing came from lately, and forgets
// about others.
func (s *samples) silent(mounts []string) (silent []string) {
	maps.DeleteFunc(s.still, func(m string, _ int) bool { return !slices.Contains(mounts, m) })
	for _, m := range mounts {
		if s.still[m] >= silences {
			silent = append(silent, m)
		}
	}
	return silent
}

// next returns the mount that is to be listened to now; empty: none. Each has its
// turn once in every.
func (s *samples) next(mounts []string, every time.Duration, now time.Time) string {
	if len(mounts) == 0 {
		return ""
	}
	if s.due.IsZero() {
		s.due = now.Add(rand.N(every)) // spread over directors and nodes
	}
	if s.taking || now.Before(s.due) {
		return ""
	}
	slices.Sort(mounts)
	next := mounts[0]
	if n := s.still[s.last]; n > 0 && n < silences && slices.Contains(mounts, s.last) {
		next = s.last // to be sure
	} else if i := slices.IndexFunc(mounts, func(m string) bool { return m > s.last }); i >= 0 {
		next = mounts[i]
	}
	s.taking, s.last = true, next
	s.due = now.Add(max(every/time.Duration(len(mounts)), sampleTime+time.Second))
	return next
}

// heard takes in what a sample told.
func (s *samples) heard(what hears, now time.Time) {
	s.taking = false
	switch what {
	case audio:
		delete(s.still, s.last)
	case silence:
		if s.still == nil {
			s.still = map[string]int{}
		}
		s.still[s.last]++
	}
	switch n := s.still[s.last]; {
	case n > 0 && n < silences:
		s.due = now.Add(sampleAgain)
	case len(s.still) > 0 && s.due.After(now.Add(sampleSilent)):
		s.due = now.Add(sampleSilent)
	}
}

// sample listens to a mount of a node, if it is time to.
func (p *Prober) sample(ctx context.Context, s *state, untold []string) {
	if p.cfg.Sample <= 0 {
		return
	}
	p.mu.Lock()
	wanted := slices.DeleteFunc(slices.Clone(untold), func(m string) bool { return len(s.mounts) > 0 && !slices.Contains(s.mounts, m) })
	path := ""
	if p.sampling < maxSamples && !s.removed {
		path = s.samples.next(wanted, p.cfg.Sample, time.Now())
	}
	if path != "" {
		p.sampling++
	}
	p.mu.Unlock()
	if path == "" {
		return
	}
	what, err := p.listen(ctx, p.target(s, sampleTime), path)
	if err != nil {
		what = nothing // its probes will tell, and better
	}
	p.mu.Lock()
	p.sampling--
	s.samples.heard(what, time.Now())
	p.mu.Unlock()
}

// escaped is a mount's path as it stands in a request.
func escaped(path string) string { return (&url.URL{Path: path}).EscapedPath() }

// hears is what a sample told.
type hears int

const (
	nothing hears = iota // it could not be taken
	silence              // what was kept from before, at most
	audio
)

// listen takes a listener's seat for sampleTime.
func listen(ctx context.Context, t target, path string) (hears, error) {
	ctx, cancel := context.WithTimeout(ctx, sampleTime+t.timeout)
	defer cancel()
	t.agent = cmp.Or(t.agent, "signpost-probe (listens for some seconds)")
	resp, err := t.get(ctx, escaped(path))
	if err != nil {
		return nothing, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nothing, statusError(path, resp)
	}
	begun := time.Now()
	ctx, done := context.WithTimeout(ctx, sampleTime)
	defer done()
	defer context.AfterFunc(ctx, func() { resp.Body.Close() })()
	buf := make([]byte, 16<<10)
	for {
		n, err := resp.Body.Read(buf)
		switch {
		case n > 0 && time.Since(begun) > burstTime:
			return audio, nil
		case err == nil:
		case ctx.Err() != nil:
			return silence, nil
		case errors.Is(err, io.EOF):
			return nothing, io.ErrUnexpectedEOF
		default:
			return nothing, err
		}
	}
}
