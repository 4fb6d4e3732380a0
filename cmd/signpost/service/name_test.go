package service

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/store"
)

// TestName: a director's name is the same in each run, and its id is not.
func TestName(t *testing.T) {
	t.Parallel()
	ids := map[string]bool{}
	for range 2 {
		d := startService(t, t.TempDir(), "listen: {http: '127.0.0.1:0'}\nadmin: {listen: ''}\nstore: {name: studio_1}\nnodes: [{id: one, urls: '%s', kind: http}]\n", Options{})
		if self := d.syncer.Status().Director; self.Name != "studio_1" || !strings.HasPrefix(self.ID, "studio_1-") {
			t.Errorf("%+v", self)
		}
		ids[d.id] = true
	}
	if len(ids) != 2 {
		t.Errorf("two runs have the ids %v", ids)
	}
}

// TestNamesakes: two directors that go on beside each other under one name are told of; one
// that takes another's place is not.
func TestNamesakes(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	self := store.Director{ID: "a-1", Name: "a", Started: now.Add(-time.Hour), Seen: now}
	other := func(change func(*store.Director)) store.Director {
		d := self
		d.ID = "a-2"
		if change != nil {
			change(&d)
		}
		return d
	}
	for what, c := range map[string]struct {
		self, other store.Director
		told        bool
	}{
		"of one name":        {self, other(nil), true},
		"itself":             {self, self, false},
		"of another name":    {self, other(func(d *store.Director) { d.Name = "b" }), false},
		"an older version":   {self, other(func(d *store.Director) { d.Name, d.Started = "", time.Time{} }), false},
		"it leaves":          {self, other(func(d *store.Director) { d.Leaving = true }), false},
		"we leave":           {other(func(d *store.Director) { d.Leaving = true }), self, false},
		"it has just begun":  {self, other(func(d *store.Director) { d.Started = now.Add(-sharedName + time.Second) }), false},
		"we have just begun": {other(func(d *store.Director) { d.Started = now.Add(-sharedName + time.Second) }), self, false},
	} {
		got := namesakes(c.self, []store.Director{c.self, c.other})
		var want []string
		if c.told {
			want = []string{c.other.ID}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
}
