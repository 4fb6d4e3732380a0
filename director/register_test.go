package director

import (
	"strings"
	"testing"
)

func TestAdmits(t *testing.T) {
	t.Parallel()
	c := Config{MayRegister: []string{"fra1", "edge-*"}}
	for id, want := range map[NodeID]bool{"fra1": true, "fra": false, "fra11": false, "edge-": true, "edge-7": true, "edg": false, "edge-*": true, "": false} {
		if got := c.Admits(id); got != want {
			t.Errorf("%q: %v, want %v", id, got, want)
		}
	}
	if all := (Config{MayRegister: []string{"*"}}); !all.Admits("x") {
		t.Error("a star alone admits nobody")
	}
	if none := (Config{}); none.Admits("x") {
		t.Error("anybody may register where nobody may")
	}
}

// A row goes without the nodes that have yet to register; one without any has
// nobody, and does not become a row by distance.
func TestRowsOfNodesThatMayRegister(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	l.cfg.MayRegister = []string{"edge-*"}
	l.row("all", everyone, "edge-1", 1).Overflow = []RegionID{"spare"}
	l.row("spare", Match{}, "edge-2", 3, "a", 1)
	if got := decide(l.snapshot(), Listener{}, 2); got != "overflow a" {
		t.Errorf("nobody has registered: %s", got)
	}
	l.cfg.Regions[0].Overflow = nil
	if got := decide(l.snapshot(), Listener{}, 2); got != "nobody" {
		t.Errorf("nobody has registered, and there is no overflow: %s", got)
	}
	l.cfg.Nodes = append(l.cfg.Nodes, Node{ID: "edge-1", URLs: []string{"http://e.example"}})
	l.reports["edge-1"] = upReport("edge-1")
	if got := decide(l.snapshot(), Listener{}, 2); got != "placed edge-1" {
		t.Errorf("it has registered: %s", got)
	}
}

func TestFleetOfRegisteredNodesAlone(t *testing.T) {
	t.Parallel()
	l := newLab(t, 0)
	l.cfg.MayRegister = []string{"*"}
	s := l.snapshot()
	if got := decide(s, Listener{}, 1); got != "nobody" {
		t.Errorf("no node yet: %s", got)
	}
	if r := s.Reserve(nil); len(r.Nodes) != 0 {
		t.Errorf("reserve of no node: %+v", r)
	}
	l.cfg.Mounts = nil
	if got := decide(l.snapshot(), Listener{}, 1); got != "no_mount" {
		t.Errorf("no node and no mount yet: %s", got)
	}
}

func TestMistakesInRowsOfNodesThatMayRegister(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	l.cfg.MayRegister = []string{"edge-*", "ö", "a*b"}
	l.row("de", Match{Countries: []string{"DE"}}, "edge-1", -1, "egde-2", 1)
	l.row("fr", Match{Countries: []string{"FR"}}, "edge-1", 0)
	_, err := Compile(l.cfg)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		"may_register[1]: ", "may_register[2]: ", "regions[0].weights.edge-1: weight -1", `regions[0].weights.egde-2: no node has the id "egde-2"`,
		"regions[1].weights: every weight is 0",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in\n%v", want, err)
		}
	}
}
