package probe

import (
	"strings"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// What came of the last probes is remembered, each with when it began and how long it
// took. What failed outlasts what went well, and no more than so many are kept.
func TestPast(t *testing.T) {
	inBubble(t, Config{Interval: 5 * time.Second}, func(t *testing.T, f *fleet) {
		f.play(urlOf("a"), after(30*time.Millisecond, good))
		f.SetNodes([]director.Node{node("a")}, nil)
		<-f.First()
		f.play(urlOf("a"), after(2*time.Millisecond, refuses))
		began := time.Now()
		f.until(isDown)
		f.play(urlOf("a"), after(40*time.Millisecond, good))
		time.Sleep(10 * time.Minute)
		f.report("a")

		past := f.Past("a")
		if len(past) != mostPast {
			t.Fatalf("%d results are kept, want %d", len(past), mostPast)
		}
		failed := 0
		for i, p := range past {
			took := 40 * time.Millisecond
			if p.Failed {
				failed++
				took = 2 * time.Millisecond
				if p.Taken.Before(began) || p.Taken.Sub(began) > time.Minute || !strings.Contains(p.Detail, "refused") {
					t.Errorf("%+v, want one of %v", p, began)
				}
			}
			if p.Took != took || p.URL != urlOf("a") {
				t.Errorf("%+v, want that it took %v", p, took)
			}
			if i > 0 && p.Taken.Before(past[i-1].Taken) {
				t.Errorf("%v comes after %v", p.Taken, past[i-1].Taken)
			}
		}
		if failed != 2 {
			t.Errorf("%d that failed are kept, want both", failed)
		}
		if newest := past[len(past)-1]; newest.Failed || time.Since(newest.Taken) > 10*time.Second {
			t.Errorf("the newest is of %v ago: %+v", time.Since(newest.Taken), newest)
		}

		f.play(urlOf("a"), refuses)
		time.Sleep(10 * time.Minute)
		f.report("a")
		past = f.Past("a")
		if len(past) != mostPast || !past[0].Failed || time.Since(past[0].Taken) > 5*time.Minute {
			t.Errorf("after many failures there are %d, and the oldest is of %v ago", len(past), time.Since(past[0].Taken))
		}
		if f.Past("b") != nil {
			t.Error("a node that nobody knows has a past")
		}
	})
}
