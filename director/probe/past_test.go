package probe

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// What came of the last probes is remembered, each with when it began and how long it
// took. Those with which something changed outlast the others, and no more than so many
// are kept.
func TestPast(t *testing.T) {
	inBubble(t, Config{Interval: 5 * time.Second}, func(t *testing.T, f *fleet) {
		f.play(urlOf("a"), after(30*time.Millisecond, good))
		f.SetNodes([]director.Node{node("a")}, nil)
		<-f.First()
		f.play(urlOf("a"), after(2*time.Millisecond, refuses))
		failed := time.Now()
		f.until(isDown)
		f.play(urlOf("a"), after(40*time.Millisecond, good))
		time.Sleep(10 * time.Minute)
		f.report("a")

		past := f.Past("a")
		if len(past) != mostPast {
			t.Fatalf("%d results are kept, want %d", len(past), mostPast)
		}
		if !slices.IsSortedFunc(past, func(a, b Past) int { return a.Taken.Compare(b.Taken) }) {
			t.Errorf("they are in disorder: %+v", past)
		}
		at := slices.IndexFunc(past, func(p Past) bool { return p.Failed })
		if at != 1 || past[0].Took != 30*time.Millisecond || past[0].Failed {
			t.Fatalf("the first that failed, and the one before it, are not kept: %+v", past)
		}
		if p := past[at]; p.Took != 2*time.Millisecond || p.URL != urlOf("a") || p.Taken.Before(failed) || p.Taken.Sub(failed) > 10*time.Second || !strings.Contains(p.Detail, "refused") {
			t.Errorf("%+v, want what failed first after %v", p, failed)
		}
		if p := past[mostPast-1]; p.Failed || p.Took != 40*time.Millisecond || time.Since(p.Taken) > 10*time.Second {
			t.Errorf("the newest is of %v ago: %+v", time.Since(p.Taken), p)
		}

		f.play(urlOf("a"), refuses)
		failed = time.Now()
		time.Sleep(10 * time.Minute)
		f.report("a")
		past = f.Past("a")
		for _, p := range past[mostPast-newestPast:] {
			if !p.Failed || time.Since(p.Taken) > 2*time.Minute {
				t.Errorf("of %v ago, among the newest: %+v", time.Since(p.Taken), p)
			}
		}
		if len(past) != mostPast || !slices.ContainsFunc(past, func(p Past) bool {
			return p.Failed && !p.Taken.Before(failed) && p.Taken.Sub(failed) < 10*time.Second
		}) {
			t.Errorf("after ten minutes nothing is left of when they began to fail: %+v", past)
		}

		for i := range 100 { // each is another than before
			f.play(urlOf("a"), func(c context.Context) (answer, error) { return answer{}, fmt.Errorf("reason %d", i) })
			time.Sleep(20 * time.Second)
		}
		if past = f.Past("a"); len(past) != mostPast {
			t.Errorf("%d results are kept, want %d", len(past), mostPast)
		}
		if f.Past("b") != nil {
			t.Error("a node that nobody knows has a past")
		}
	})
}
