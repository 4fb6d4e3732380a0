package director

import (
	"testing"
	"time"
)

// TestLacks: operators read of a mount that a node does not play, and of a scheme that fails.
func TestLacks(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	l.cfg.Nodes[0].URLs = append(l.cfg.Nodes[0].URLs, "https://a.example")
	since := eight
	l.now = eight.Add(time.Hour)
	l.report("a", func(r *Report) {
		r.Mounts = r.Mounts[1:]
		r.Verdicts = []Verdict{{Path: "/live.mp3", State: MountSilent, Cause: SourceGone, Since: since}}
	})
	want := func(s *Snapshot, lines ...string) {
		t.Helper()
		var got []string
		for _, k := range s.Lacks(0) {
			got = append(got, k.String(l.now))
		}
		if len(got) != len(lines) {
			t.Fatalf("%q, want %q", got, lines)
		}
		for i := range lines {
			if got[i] != lines[i] {
				t.Errorf("%q, want %q", got[i], lines[i])
			}
		}
	}
	s := l.snapshot()
	want(s, "lacks /live.mp3 since 20:04: source gone")
	if off := s.OffAir(); len(off) != 0 {
		t.Errorf("off the air: %v, while b plays it", off)
	}
	l.report("b", func(r *Report) { r.Health = Failed })
	s = l.snapshot()
	if off := s.OffAir(); len(off) != 1 || off[0].String() != "/live.mp3 is off the air" || !off[0].Since.Equal(since) {
		t.Errorf("off the air: %v", off)
	}
	if got := [2]MountState{s.MountState(0, 0), s.MountState(0, 1)}; got != [2]MountState{MountSilent, MountPlays} {
		t.Errorf("states %v", got)
	}
	l.report("a", func(r *Report) {
		r.Verdicts = append(r.Verdicts, Verdict{Scheme: HTTPS, State: MountSilent, Cause: BadCertificate, Since: since.Add(-48 * time.Hour)},
			Verdict{Path: "/jazz.mp3", State: MountFull, Cause: SeatsTaken, Since: since})
	})
	want(l.snapshot(), "no https since 2026-11-28 20:04: certificate refused", "lacks /live.mp3 since 20:04: source gone", "/jazz.mp3 is full since 20:04: its seats are taken")
	l.report("a", func(r *Report) {
		r.Verdicts = []Verdict{{Path: "/jazz.mp3", Scheme: HTTPS, State: MountSilent, Cause: NotThere}}
	})
	want(l.snapshot(), "lacks /live.mp3: not there", "lacks /jazz.mp3 by https: not there")
	l.report("b", func(r *Report) { r.Health = HealthUnknown })
	if off := l.snapshot().OffAir(); len(off) != 0 {
		t.Errorf("off the air: %v, though nobody knows what b plays", off)
	}
}
