package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/signpost-fm/signpost/director"
)

func directors(sites ...string) []Director {
	var out []Director
	for i, site := range sites {
		out = append(out, Director{ID: fmt.Sprintf("director-%d", i), Site: site})
	}
	return out
}

func TestProbersOf(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		sites []string
		two   bool // there are two
		apart bool // they stand at different sites
	}{
		{"nobody", nil, false, false},
		{"alone", []string{"x"}, false, false},
		{"two", []string{"x", "y"}, true, true},
		{"two at one site", []string{"x", "x"}, true, false},
		{"sites that nobody told", []string{"", "", ""}, true, false},
		{"one elsewhere", []string{"x", "x", "x", "y"}, true, true},
		{"many", []string{"x", "y", "z", "x", "y", "z"}, true, true},
	} {
		live := directors(tc.sites...)
		work := map[string]int{}
		for i := range 1000 {
			p := probersOf(director.NodeID(fmt.Sprint("node-", i)), live)
			site := map[string]string{}
			for _, d := range live {
				site[d.ID] = d.Site
			}
			work[p.first]++
			work[p.second]++
			if (p.first != "") != (len(live) > 0) || (p.second != "") != tc.two || tc.two && p.first == p.second {
				t.Fatalf("%s: %+v", tc.name, p)
			}
			if tc.two && (site[p.first] != site[p.second]) != tc.apart {
				t.Fatalf("%s: %+v are at %s and %s", tc.name, p, site[p.first], site[p.second])
			}
		}
		for _, d := range live {
			// The only one elsewhere is one of every pair; the others share the rest.
			if mean := 2000 / max(len(live), 2); tc.name != "one elsewhere" && (work[d.ID] < mean*8/10 || work[d.ID] > mean*12/10) {
				t.Errorf("%s: %s probes %d nodes, want about %d", tc.name, d.ID, work[d.ID], mean)
			}
		}
	}
}

// TestOnlyWhatMustMoves adds and removes directors at random.
func TestOnlyWhatMustMoves(t *testing.T) {
	t.Parallel()
	dice := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		fleet := directors(make([]string, 2+dice.IntN(6))...)
		for i := range fleet {
			fleet[i].ID += fmt.Sprint("-", dice.Uint32())
			fleet[i].Site = []string{"", "x", "y"}[dice.IntN(3)]
		}
		i := dice.IntN(len(fleet))
		with, without, who := fleet, slices.Delete(slices.Clone(fleet), i, i+1), fleet[i].ID
		for n := range 100 {
			node := director.NodeID(fmt.Sprint("node-", n))
			a, b := probersOf(node, with), probersOf(node, without)
			if !a.has(who) {
				if a != b {
					t.Fatalf("%s is in neither %+v nor %+v, which differ for it\n%+v", who, a, b, fleet)
				}
				continue
			}
			stays := a.first
			if stays == who {
				stays = a.second
			}
			if !b.has(stays) {
				t.Fatalf("without %s, %+v becomes %+v: %s need not go\n%+v", who, a, b, stays, fleet)
			}
		}
		shuffled := slices.Clone(fleet)
		dice.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if a, b := probersOf("node", fleet), probersOf("node", shuffled); a != b {
			t.Fatalf("%+v becomes %+v by order", a, b)
		}
	}
}
