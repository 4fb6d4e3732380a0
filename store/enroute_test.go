package store

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signpost-fm/signpost/director"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestEnRoute(t *testing.T) {
	t.Parallel()
	const never = -time.Hour * 24 * 365
	// Times are relative to the begin of the bucket, which ends at 250 ms.
	for _, tc := range []struct {
		name       string
		taken, now time.Duration
		want       bool
	}{
		{"no report, at once", never, 0, true},
		{"no report, just within 15 s", never, 15*time.Second + 249*time.Millisecond, true},
		{"no report, after 15 s", never, 15*time.Second + 250*time.Millisecond, false},
		{"a report older than the bucket", -time.Second, time.Second, true},
		{"a report within the bucket", 100 * time.Millisecond, time.Second, true},
		{"a report before it has settled", 3*time.Second + 249*time.Millisecond, 4 * time.Second, true},
		{"a report when it has settled", 3*time.Second + 250*time.Millisecond, 4 * time.Second, false},
		{"an old report keeps nothing beyond 15 s", -time.Second, 16 * time.Second, false},
		{"a report from the future counts as of now, too early", time.Hour, time.Second, true},
		{"a report from the future counts as of now, settled", time.Hour, 4 * time.Second, false},
		{"the clock went back a little", never, -2 * time.Second, true},
		{"the clock went back a lot", never, -time.Hour, false},
		{"both the report and the bucket are from before the clock went back", 10 * time.Second, -time.Second, true},
	} {
		if got := enRoute(noon, noon.Add(tc.taken), noon.Add(tc.now), 3*time.Second); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
	if !enRoute(noon, time.Time{}, noon, 0) {
		t.Error("the zero Time released a bucket: it is no report")
	}
	if enRoute(time.Time{}, time.Time{}, noon, 0) {
		t.Error("a bucket without a time is waited for")
	}
}

func TestRecent(t *testing.T) {
	t.Parallel()
	for now, want := range map[time.Duration]bool{
		0:                       true,
		1249 * time.Millisecond: true,
		1250 * time.Millisecond: false,
		-time.Second:            true,
		-time.Hour:              false,
	} {
		if got := recent(-now); got != want {
			t.Errorf("after %v: %v, want %v", now, got, want)
		}
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	now := noon
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	reports := map[director.NodeID]director.Report{
		"fresh":  {Taken: now, Listeners: 100},
		"stale":  {Taken: ago(10 * time.Second), Listeners: 100},
		"silent": {Taken: now, Listeners: -1},
		"full":   {Taken: now, Listeners: 100, Full: true},
	}
	l := newLoad(now, 3*time.Second, func(id director.NodeID) director.Report { return reports[id] })
	for node := range reports {
		l.add([]Count{{Node: node, At: ago(500 * time.Millisecond), N: 1}})
		l.add([]Count{{Node: node, At: ago(5 * time.Second), N: 10, Estimated: 4}})
		l.add([]Count{{Node: node, At: ago(14 * time.Second), N: 100}})
		l.add([]Count{{Node: node, At: ago(20 * time.Second), N: 1000}})
		for _, rubbish := range []int{0, -1, -1 << 62, maxCount + 1, 1 << 62} {
			l.add([]Count{{Node: node, At: ago(500 * time.Millisecond), N: rubbish}})
		}
	}
	l.add([]Count{{Node: "unknown", At: ago(5 * time.Second), N: 7}})
	var in director.Input
	l.input(&in)
	want := map[director.NodeID]int{"fresh": 1, "stale": 11, "silent": 111, "full": 111, "unknown": 7}
	if diff := cmp.Diff(want, in.EnRoute); diff != "" {
		t.Errorf("en route (-want +got):\n%s", diff)
	}
	want = map[director.NodeID]int{"stale": 4, "silent": 4, "full": 4}
	if diff := cmp.Diff(want, in.Estimated); diff != "" {
		t.Errorf("estimated (-want +got):\n%s", diff)
	}
	want = map[director.NodeID]int{"fresh": 1, "stale": 1, "silent": 1, "full": 1}
	if diff := cmp.Diff(want, in.Recent); diff != "" {
		t.Errorf("recent (-want +got):\n%s", diff)
	}
}

func TestNextOffset(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name                   string
		known, rtt, ahead, was time.Duration // ahead: what the store read, less the middle of the exchange
	}{
		{"the same clock", 0, time.Microsecond, 0, 0},
		{"within the error of a slow exchange", 0, 200 * time.Millisecond, 90 * time.Millisecond, 0},
		{"ten minutes ahead", 0, 2 * time.Millisecond, 10 * time.Minute, 10 * time.Minute},
		{"ten minutes behind", 0, 2 * time.Millisecond, -10 * time.Minute, -10 * time.Minute},
		{"as before, give or take", 10 * time.Minute, 2 * time.Millisecond, 10*time.Minute + time.Millisecond, 10 * time.Minute},
		{"it stepped back", 10 * time.Minute, 2 * time.Millisecond, 0, 0},
	} {
		at := noon.Add(tc.rtt/2 + tc.ahead)
		if got := nextOffset(tc.known, noon, noon.Add(tc.rtt), at); got != tc.was {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.was)
		}
	}
}
