package ring_test

import (
	"bytes"
	"fmt"
	"math"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signpost-fm/signpost/web/admin/ring"
)

var (
	begin = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	total = ring.Key{Kind: ring.Total}
)

func node(name string) ring.Key { return ring.Key{Kind: ring.Node, Name: name} }

// fill samples a value that rises by 1 with each sample.
func fill(r *ring.Ring, from time.Time, samples int, keys ...ring.Key) time.Time {
	for i := range samples {
		values := map[ring.Key]float64{}
		for _, k := range keys {
			values[k] = float64(i)
		}
		r.Sample(from, values)
		from = from.Add(ring.Interval)
	}
	return from
}

// last returns the last values of the one series of a plot, as text, gaps as "-".
func last(t *testing.T, p ring.Plot, n int) (out []string) {
	t.Helper()
	if len(p.Series) != 1 {
		t.Fatalf("%d series, want 1", len(p.Series))
	}
	for _, v := range p.Series[0].Values[len(p.Series[0].Values)-n:] {
		if math.IsNaN(float64(v)) {
			out = append(out, "-")
		} else {
			out = append(out, fmt.Sprint(v))
		}
	}
	return out
}

func TestWhatIsNotKnownIsAGap(t *testing.T) {
	t.Parallel()
	r := ring.New()
	end := fill(r, begin, 3, total)
	r.Sample(end, map[ring.Key]float64{total: math.NaN()})
	r.Sample(end.Add(ring.Interval), map[ring.Key]float64{node("other"): 1})
	r.Sample(end.Add(4*ring.Interval), map[ring.Key]float64{total: 7})
	got := last(t, r.Plot(ring.Total, ring.Hour, end.Add(5*ring.Interval)), 10)
	if diff := cmp.Diff([]string{"-", "0", "1", "2", "-", "-", "-", "-", "7", "-"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The longer spans have the mean of what was sampled in each of their steps.
func TestSpans(t *testing.T) {
	t.Parallel()
	r := ring.New()
	end := fill(r, begin, 12*60*6, total) // twelve hours, 0 to 4319
	now := end.Add(-ring.Interval)
	for span, want := range map[ring.Span]struct {
		length int
		last   []string
	}{
		ring.Hour: {360, []string{"4317", "4318", "4319"}},
		ring.Day:  {720, []string{"4289.5", "4301.5", "4313.5"}},
		ring.Week: {672, []string{"4094.5", "4184.5", "4274.5"}},
	} {
		p := r.Plot(ring.Total, span, now)
		if diff := cmp.Diff(want.last, last(t, p, 3)); diff != "" {
			t.Errorf("span %d (-want +got):\n%s", span, diff)
		}
		if n := len(p.Series[0].Values); n != want.length {
			t.Errorf("span %d: %d values, want %d", span, n, want.length)
		}
		if end := p.Start.Add(time.Duration(want.length) * p.Step); end.Before(now) || end.Sub(now) > p.Step {
			t.Errorf("span %d ends at %v, it is %v", span, end, now)
		}
	}
	if p := r.Plot(ring.Total, ring.Hour, now.Add(time.Hour)); len(p.Series) != 0 {
		t.Errorf("an hour later there is %v", p.Series)
	}
}

// Fewer points are means of what is known, up to the newest.
func TestThin(t *testing.T) {
	t.Parallel()
	r := ring.New()
	end := fill(r, begin, 10, total)
	r.Sample(end.Add(ring.Interval), map[ring.Key]float64{total: 30})
	p := r.Plot(ring.Total, ring.Hour, end.Add(ring.Interval))
	whole := p.Start.Add(360 * p.Step)
	p.Thin(100)
	if diff := cmp.Diff([]string{"-", "-", "1.5", "5.5", "15.666667"}, last(t, p, 5)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := p.Start.Add(time.Duration(len(p.Series[0].Values)) * p.Step); !got.Equal(whole) || len(p.Series[0].Values) != 90 {
		t.Errorf("%d values up to %v, want 90 up to %v", len(p.Series[0].Values), got, whole)
	}
}

// A clock that is set back takes back what it had sampled too early, and a clock that
// leaps leaves a gap.
func TestClocks(t *testing.T) {
	t.Parallel()
	r := ring.New()
	fill(r, begin, 5, total)
	back := begin.Add(2 * ring.Interval)
	r.Sample(back, map[ring.Key]float64{total: 50})
	got := last(t, r.Plot(ring.Total, ring.Hour, begin.Add(4*ring.Interval)), 5)
	if diff := cmp.Diff([]string{"0", "1", "50", "-", "-"}, got); diff != "" {
		t.Errorf("set back (-want +got):\n%s", diff)
	}
	far := begin.Add(3 * time.Hour)
	r.Sample(far, map[ring.Key]float64{total: 9})
	if got := last(t, r.Plot(ring.Total, ring.Hour, far), 360); got[359] != "9" || got[358] != "-" || got[0] != "-" {
		t.Errorf("after a leap: %v", got)
	}
	r.Sample(time.Unix(-5, 0), map[ring.Key]float64{total: 1})
	r.Sample(time.Unix(5, 0), map[ring.Key]float64{total: 1})
	r.Plot(ring.Total, ring.Week, time.Unix(0, 0))
}

// A Ring goes on after a restart where it was, with a gap for the time between.
func TestRestart(t *testing.T) {
	t.Parallel()
	r := ring.New()
	end := fill(r, begin, 500, total, node("fra1"), ring.Key{Kind: ring.Answer, Name: "redirect"})
	r.Sample(end, map[ring.Key]float64{total: 12.3})
	again, err := ring.Decode(r.Encode())
	if err != nil {
		t.Fatal(err)
	}
	for _, span := range []ring.Span{ring.Hour, ring.Day, ring.Week} {
		for _, kind := range []ring.Kind{ring.Total, ring.Node, ring.Answer, ring.Mount} {
			a, b := fmt.Sprint(r.Plot(kind, span, end)), fmt.Sprint(again.Plot(kind, span, end))
			if span == ring.Hour && a != b { // means have more decimals than are kept
				t.Errorf("%s: %s\nbefore: %s", kind, b, a)
			}
		}
	}
	later := end.Add(3 * ring.Interval)
	again.Sample(later, map[ring.Key]float64{total: 1})
	if diff := cmp.Diff([]string{"499", "12.3", "-", "-", "1"}, last(t, again.Plot(ring.Total, ring.Hour, later), 5)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSpoiled(t *testing.T) {
	t.Parallel()
	r := ring.New()
	fill(r, begin, 10, total)
	good := r.Encode()
	for _, b := range [][]byte{nil, good[:10], good[:len(good)-1], bytes.Replace(good, []byte("plots 1"), []byte("plots 2"), 1), append(bytes.Clone(good), 0)} {
		if _, err := ring.Decode(b); err == nil {
			t.Errorf("%q is taken", b)
		}
	}
}

// Names that come and go, as those of autoscaled nodes, do not add up; those that are
// there keep their places.
func TestSeriesAreBounded(t *testing.T) {
	t.Parallel()
	r := ring.New()
	at := begin
	for i := range ring.MaxSeries {
		r.Sample(at, map[ring.Key]float64{node(fmt.Sprint("old", i)): 1})
	}
	r.Sample(at, map[ring.Key]float64{node("new"): 1, node("old1"): 1})
	if r.Left() != 1 {
		t.Errorf("%d are left out, want 1", r.Left())
	}
	at = at.Add(time.Hour + ring.Interval)
	r.Sample(at, map[ring.Key]float64{node("old1"): 2})
	r.Sample(at, map[ring.Key]float64{node("new"): 3})
	p := r.Plot(ring.Node, ring.Day, at)
	if len(p.Series) != ring.MaxSeries || r.Left() != 0 {
		t.Errorf("%d series, %d left out", len(p.Series), r.Left())
	}
	if p := r.Plot(ring.Node, ring.Hour, at); len(p.Series) != 2 {
		t.Errorf("%d series in the last hour, want 2", len(p.Series))
	}
}

// crowd is 200 nodes, 30 regions and 20 mounts.
func crowd() (keys []ring.Key) {
	for _, k := range []struct {
		kind ring.Kind
		n    int
	}{{ring.Total, 1}, {ring.Node, 200}, {ring.Region, 30}, {ring.Mount, 20}, {ring.Answer, 8}} {
		for i := range k.n {
			keys = append(keys, ring.Key{Kind: k.kind, Name: fmt.Sprint(k.kind, i)})
		}
	}
	return keys
}

// A week of 200 nodes, 30 regions and 20 mounts takes at most 8 MB, and so does the most
// that there can be.
func TestMemory(t *testing.T) { // not parallel: it measures the heap
	for _, most := range []struct {
		what string
		keys []ring.Key
	}{{"a large fleet", crowd()}, {"all places", func() (all []ring.Key) {
		for i := range ring.MaxSeries {
			all = append(all, node(fmt.Sprint(i)))
		}
		return all
	}()}} {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		r := ring.New()
		fill(r, begin, 3, most.keys...)
		runtime.GC()
		runtime.ReadMemStats(&after)
		used := int64(after.HeapAlloc) - int64(before.HeapAlloc)
		t.Logf("%s: %.1f MB in memory", most.what, float64(used)/1e6)
		if used > 8e6 {
			t.Errorf("%s takes %d bytes, more than 8 MB", most.what, used)
		}
		runtime.KeepAlive(r)
	}
}

func BenchmarkSample(b *testing.B) {
	r, values, at := ring.New(), map[ring.Key]float64{}, begin
	for i, k := range crowd() {
		values[k] = float64(i)
	}
	for b.Loop() {
		at = at.Add(ring.Interval)
		r.Sample(at, values)
	}
}

func BenchmarkEncode(b *testing.B) {
	r := ring.New()
	fill(r, begin, 7*24*360, crowd()...)
	for b.Loop() {
		b.SetBytes(int64(len(r.Encode())))
	}
}

func FuzzDecode(f *testing.F) {
	r := ring.New()
	fill(r, begin, 20, total, node("fra1"))
	f.Add(r.Encode(), int64(0))
	f.Add([]byte("signpost plots 1\n"), int64(7))
	f.Fuzz(func(t *testing.T, b []byte, at int64) {
		r, err := ring.Decode(ring.Sealed(b))
		if err != nil {
			return
		}
		again, err := ring.Decode(r.Encode())
		if err != nil {
			t.Fatalf("what was read cannot be written and read again: %v", err)
		}
		again.Sample(time.Unix(at, 0), map[ring.Key]float64{total: 1})
		for _, span := range []ring.Span{ring.Hour, ring.Day, ring.Week} {
			again.Plot(ring.Total, span, time.Unix(at, 0))
		}
	})
}
