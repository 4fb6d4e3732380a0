package probe

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// TestSuspicion lets nodes fail together and apart.
func TestSuspicion(t *testing.T) {
	for name, c := range map[string]struct {
		nodes, dead int           // in all, and long dead before
		fail        int           // of the others
		apart       time.Duration // between one failure and the next
		want        bool
	}{
		"all of four":                    {4, 0, 4, 0, true},
		"three of five":                  {5, 0, 3, 0, true},
		"three of six are half":          {6, 0, 3, 0, false},
		"two of two are too few":         {2, 0, 2, 0, false},
		"three of nine, five long dead":  {9, 5, 3, 0, true},
		"one by one":                     {5, 0, 5, 6 * time.Second, false},
		"within a few seconds":           {5, 0, 3, time.Second, true},
		"all that are left, two of five": {5, 3, 2, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, Config{}, func(t *testing.T, f *fleet) {
				var nodes []director.Node
				for i := range c.nodes {
					nodes = append(nodes, node(fmt.Sprint(i)))
				}
				play := func(from, to int, plays func(context.Context) (answer, error)) {
					for i := from; i < to; i++ {
						f.play(urlOf(fmt.Sprint(i)), plays)
					}
				}
				f.SetNodes(nodes, nil)
				<-f.First()
				for i := range c.dead { // one by one, so that it is the nodes' fault
					play(i, i+1, refuses)
					time.Sleep(6 * time.Second)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				if got := f.Suspicion(); got != "" {
					t.Fatalf("too early: %s", got)
				}
				for i := range c.fail {
					play(c.dead+i, c.dead+i+1, refuses)
					time.Sleep(c.apart)
				}
				time.Sleep(6 * time.Second)
				synctest.Wait()
				if got := f.Suspicion(); (got != "") != c.want {
					t.Errorf("suspicion %q", got)
				}
				if !c.want {
					return
				}
				time.Sleep(time.Minute)
				if f.Suspicion() == "" {
					t.Error("it trusts itself although nothing has answered since")
				}
				play(c.dead, c.dead+c.fail-c.fail/2, good) // most of them
				time.Sleep(3 * time.Second)
				synctest.Wait()
				if got := f.Suspicion(); got != "" {
					t.Errorf("most answer again: %s", got)
				}
			})
		})
	}
}

// TestSuspicionEndsWithItsNodes: nodes that are no longer wanted hold nothing up.
func TestSuspicionEndsWithItsNodes(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, f *fleet) {
		for _, id := range []string{"a", "b", "c"} {
			f.play(urlOf(id), hangs)
		}
		f.SetNodes([]director.Node{node("a"), node("b"), node("c"), node("d")}, nil)
		<-f.First()
		if got, want := f.Suspicion(), "3 of 4 nodes began to fail within 5s"; got != want {
			t.Errorf("suspicion %q, want %q", got, want)
		}
		f.SetNodes([]director.Node{node("d")}, nil)
		if got := f.Suspicion(); got != "" {
			t.Errorf("suspicion %q without those nodes", got)
		}
	})
}
