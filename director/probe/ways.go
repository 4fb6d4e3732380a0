package probe

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/signpost-fm/signpost/director"
)

const (
	// wayEvery is how often each URL of a node that its probes do not use is tried as a
	// player would, each time with another mount. wayAgain is how soon a URL that fails
	// is tried again.
	wayEvery = 30 * time.Second
	wayAgain = 10 * time.Second
)

// way is one of a node's URLs, and what players get there.
type way struct {
	url     string
	scheme  director.Scheme
	due     time.Time // on the monotonic clock
	fails   int       // in a row
	verdict director.Verdict
	mounts  map[string]director.Verdict // of mounts that play at the node, but not here
	last    string                      // the mount that was tried last
	ends    time.Time                   // when its certificate expires; zero: not known
	unsure  string                      // a failure that is not held against it; empty: none
}

func waysOf(urls []string) []*way {
	var out []*way
	for _, u := range urls {
		scheme := director.HTTP
		if strings.HasPrefix(strings.ToLower(u), "https:") {
			scheme = director.HTTPS
		}
		out = append(out, &way{url: u, scheme: scheme, verdict: director.Verdict{Scheme: scheme}})
	}
	return out
}

// base returns the URL at which the node is probed: the internal one, else the http one,
// because it costs less, or another one when that has begun to fail.
func (s *state) base() string {
	if s.internal != "" {
		return s.internal
	}
	first := probeURL(s.urls)
	i := slices.IndexFunc(s.ways, func(w *way) bool { return w.url == first })
	other := slices.IndexFunc(s.ways, func(w *way) bool { return w.url != first })
	if other < 0 {
		return first
	}
	// While probes fail, the two URLs take turns: either may be the broken one.
	if broken := s.ways[i].fails > 0; broken != (s.failures%2 == 1) {
		return s.ways[other].url
	}
	return first
}

// hearBase records a probe's result for the URL that it used, if that is one of the ways.
func (s *state) hearBase(base string, err error, ends, now, taken time.Time) {
	for _, w := range s.ways {
		switch {
		case w.url != base:
			continue
		case !ends.IsZero():
			w.ends = ends
		}
		switch {
		case err == nil && w.verdict.State == director.MountSilent:
			w.fails = 0
			w.set(tried{state: director.MountPlays}, taken)
		case err == nil:
			w.fails = 0
		case len(s.ways) > 1 && s.internal == "":
			w.fails++
			w.due = now
		}
	}
}

// dueWay returns the URL to try at the same time as a probe at base; nil: none.
func (s *state) dueWay(base string, now time.Time) *way {
	if s.failing.IsZero() {
		for _, w := range s.ways {
			if w.url != base && !now.Before(w.due) {
				return w
			}
		}
	}
	return nil
}

// nextAt returns the mount to try at a way: in turn, among those that play.
func (s *state) nextAt(w *way) string {
	var paths []string
	for path, m := range s.known {
		if m.verdict.State == director.MountPlays {
			paths = append(paths, path)
		}
	}
	if len(paths) == 0 {
		return ""
	}
	slices.Sort(paths)
	if i := slices.IndexFunc(paths, func(p string) bool { return p > w.last }); i >= 0 {
		return paths[i]
	}
	return paths[0]
}

// tryWayIn requests a mount at one of the node's URLs. Without a mount it requests "/",
// and any response is good.
func (t target) tryWayIn(ctx context.Context, mount string) (out tried, ends time.Time) {
	t.ends = &ends
	if mount != "" {
		return t.tryIn(ctx, request{path: mount}), ends
	}
	resp, err := t.get(ctx, "/")
	if err != nil {
		return notReached(ctx, err), ends
	}
	_ = resp.Body.Close() // any response is enough
	return tried{state: director.MountPlays, detail: fmt.Sprintf("GET /: %s", clip(resp.Status))}, ends
}

// hearWay records what a player gets at a way.
func (s *state) hearWay(w *way, mount string, t tried, ends time.Time, c *Config, now, taken time.Time) {
	w.last = mount
	if t.own {
		return
	}
	if !ends.IsZero() {
		w.ends = ends
	}
	w.unsure = ""
	way := t.state == director.MountSilent && (t.cause == director.Unreachable || t.cause == director.BadCertificate ||
		t.cause == director.SourceHangs && mount == "")
	switch {
	case way && s.internal != "" && t.cause != director.BadCertificate:
		// Directors use the node's internal URL, perhaps because they cannot reach this
		// one.
		w.unsure, w.fails = t.detail, 0
		w.verdict.State = director.MountUnknown
	case way:
		w.fails++
		if w.fails >= c.Fall || w.verdict.State == director.MountUnknown || t.cause == director.BadCertificate {
			w.set(t, taken)
		}
	default:
		w.fails = 0
		w.set(tried{state: director.MountPlays}, taken)
		w.hearMount(mount, t, taken)
	}
	switch {
	case w.fails > 0 && w.verdict.State != director.MountSilent:
		w.due = now.Add(c.Recheck)
	case w.fails > 0:
		w.due = now.Add(wayAgain - c.Chance(wayAgain/10))
	default:
		w.due = now.Add(wayEvery - c.Chance(wayEvery/10))
	}
	if !w.ends.IsZero() {
		if left := w.ends.Sub(taken); left > 0 && left < w.due.Sub(now) {
			w.due = now.Add(left + time.Second)
		}
	}
}

func (w *way) set(t tried, taken time.Time) {
	v := &w.verdict
	if v.State != t.state {
		v.Since = taken
	}
	v.State, v.Cause, v.Detail, v.Taken = t.state, t.cause, t.detail, taken
}

// hearMount records a mount's verdict at this way, if it is silent here.
func (w *way) hearMount(mount string, t tried, taken time.Time) {
	if mount == "" || t.state != director.MountSilent {
		delete(w.mounts, mount)
		return
	}
	v, known := w.mounts[mount]
	if !known {
		v = director.Verdict{Path: mount, Scheme: w.scheme, State: t.state, Since: taken}
	}
	v.Cause, v.Detail, v.Taken = t.cause, t.detail, taken
	if w.mounts == nil {
		w.mounts = map[string]director.Verdict{}
	}
	w.mounts[mount] = v
}

// wayVerdicts returns the verdicts for the node's URLs that were tried.
func (s *state) wayVerdicts() (out []director.Verdict) {
	for _, w := range s.ways {
		if w.verdict.State != director.MountUnknown {
			out = append(out, w.verdict)
		}
		for path, v := range w.mounts {
			if m := s.known[path]; m != nil && m.verdict.State == director.MountPlays {
				out = append(out, v)
			}
		}
	}
	return out
}

// certificate returns the earliest expiry of the node's certificates; zero: none is known.
func (s *state) certificate() (ends time.Time) {
	for _, w := range s.ways {
		if !w.ends.IsZero() && (ends.IsZero() || w.ends.Before(ends)) {
			ends = w.ends
		}
	}
	return ends
}
