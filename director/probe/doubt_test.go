package probe

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signpost-fm/signpost/director"
)

const crowd = "listeners of 7 networks came back from it, or get too little from it to play"

// TestDoubtHurries: a dead node is down with the first failed probe after a doubt.
func TestDoubtHurries(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  Config
		dies func(context.Context) (answer, error)
		in   time.Duration
	}{
		"refuses":         {Config{}, after(5*time.Millisecond, refuses), 20 * time.Millisecond},
		"hangs":           {Config{Interval: 5 * time.Second}, hangs, 2010 * time.Millisecond},
		"three to go":     {Config{Fall: 3}, refuses, 510 * time.Millisecond},
		"down with one":   {Config{Fall: 1}, refuses, 20 * time.Millisecond},
		"a long interval": {Config{Interval: time.Hour}, refuses, 20 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, c.cfg, func(t *testing.T, f *fleet) {
				f.SetNodes([]director.Node{node("a"), node("b")}, nil)
				<-f.First()
				synctest.Wait()
				select {
				case <-f.News():
				default:
					t.Error("that it is up is no news")
				}
				f.play(urlOf("a"), c.dies)
				time.Sleep(10 * time.Millisecond)
				f.Doubt("a", "", crowd)
				f.Doubt("a", "", crowd) // which does not count twice
				if took := f.until(isDown); took > c.in || took < c.in*9/10-20*time.Millisecond {
					t.Errorf("down after %v, want %v", took, c.in)
				}
				select {
				case <-f.News():
				default:
					t.Error("that it is down is no news")
				}
				if r := f.report("a"); !strings.Contains(r.Detail, "in a row, counting that "+crowd+")") {
					t.Errorf("detail %q", r.Detail)
				}
				if got := len(f.times(urlOf("b"))); got != 1 {
					t.Errorf("another node was asked %d times", got)
				}
			})
		})
	}
}

// TestDoubtAloneTakesNothingDown: however often a node is doubted, it stays up
// while it answers, and one failure later on is but one.
func TestDoubtAloneTakesNothingDown(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, f *fleet) {
		f.play(urlOf("a"), after(100*time.Millisecond, good))
		f.SetNodes([]director.Node{node("a")}, nil)
		<-f.First()
		for range 200 {
			f.Doubt("a", "", crowd)
			f.Doubt("unknown", "", crowd)
			time.Sleep(37 * time.Millisecond) // before, while and after it is asked
			if r := f.report("a"); !isUp(r) {
				t.Fatalf("it is down: %+v", r)
			}
		}
		time.Sleep(time.Second)
		f.play(urlOf("a"), refuses)
		f.until(func(r director.Report) bool { return strings.Contains(r.Detail, "in a row") })
		if r := f.report("a"); !isUp(r) || r.Detail != "refused (1 in a row)" {
			t.Errorf("after one failure: %+v", r)
		}
		if f.log.String() != "level=INFO msg=\"node is up\" node=a detail=fine was=unknown\n" {
			t.Errorf("log:\n%s", f.log)
		}
	})
}

// TestSlowNode: one that answers late, but in time, has the time for it while it is
// doubted and after a failed probe, too.
func TestSlowNode(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, f *fleet) {
		slow := after(1300*time.Millisecond, good)
		f.play(urlOf("a"), slow)
		f.SetNodes([]director.Node{node("a")}, nil)
		<-f.First()
		for range 30 {
			f.Doubt("a", "", crowd)
			time.Sleep(3 * time.Second) // it has answered by then
			if r := f.report("a"); !isUp(r) || r.Detail != "fine" {
				t.Fatalf("doubted: %+v", r)
			}
			f.play(urlOf("a"), refuses)
			f.until(func(r director.Report) bool { return strings.Contains(r.Detail, "in a row") })
			f.play(urlOf("a"), slow)
			f.until(func(r director.Report) bool { return r.Detail == "fine" || !isUp(r) })
			if r := f.report("a"); !isUp(r) {
				t.Fatalf("after one failure: %+v", r)
			}
		}
		// When it is quick again, so is what finds it dead.
		f.play(urlOf("a"), good)
		time.Sleep(20 * time.Second)
		f.play(urlOf("a"), hangs)
		if took := f.until(isDown); took > f.cfg.Detection() {
			t.Errorf("down after %v", took)
		}
	})
}

// TestDoubtDuringProbe: an answer that was on its way before the doubt does not
// refute it.
func TestDoubtDuringProbe(t *testing.T) {
	inBubble(t, Config{Interval: 5 * time.Second}, func(t *testing.T, f *fleet) {
		f.play(urlOf("a"), after(300*time.Millisecond, good))
		f.SetNodes([]director.Node{node("a")}, nil)
		<-f.First()
		for len(f.times(urlOf("a"))) < 2 {
			time.Sleep(10 * time.Millisecond)
		}
		f.play(urlOf("a"), refuses)
		f.Doubt("a", "", crowd)
		if took := f.until(isDown); took > 310*time.Millisecond {
			t.Errorf("down after %v, want at once after the answer", took)
		}
	})
}

// TestDoubtLeavesTheDeadAlone: a node that is down is asked as before, and takes as
// many good answers to come back.
func TestDoubtLeavesTheDeadAlone(t *testing.T) {
	inBubble(t, Config{Rise: 3}, func(t *testing.T, f *fleet) {
		f.play(urlOf("a"), refuses)
		f.SetNodes([]director.Node{node("a")}, nil)
		f.until(isDown)
		time.Sleep(time.Minute)
		asked := len(f.times(urlOf("a")))
		for range 100 {
			f.Doubt("a", "", crowd)
			time.Sleep(10 * time.Millisecond)
		}
		if got := len(f.times(urlOf("a"))) - asked; got > 1 {
			t.Errorf("it was asked %d times in a second", got)
		}
		f.play(urlOf("a"), good)
		f.until(func(r director.Report) bool { return strings.Contains(r.Detail, "1 in a row") })
		f.Doubt("a", "", crowd)
		if took := f.until(isUp); took > 1100*time.Millisecond {
			t.Errorf("up again after %v", took)
		}
	})
}
