package storetest

import (
	"cmp"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
)

// registration returns a registration with nearly every field set, as an instance's call
// at the given second leaves it.
func registration(node director.NodeID, instance string, second int) store.Registration {
	at := day.Add(time.Duration(second) * time.Second)
	return store.Registration{
		Node: node, URLs: []string{"http://ü.example:8000", "https://ü.example"}, Site: "fra",
		Place:  director.Place{Continent: director.Code{'E', 'U'}, Country: director.Code{'D', 'E'}, Point: director.CityPoint, Lat: 50.1, Lon: 8.7},
		Target: 100, Limit: 150, MaxNewPerS: 50, Pace: director.PaceHold,
		Instance: instance, Token: "agents", Since: day, Seen: at, By: "x", Drained: day.Add(time.Millisecond), Returned: day.Add(time.Microsecond),
		Report: director.Report{
			Node: node, By: "agent " + instance, Taken: at, Health: director.Up, Since: day, Listeners: second, Kbit: 1.5,
			Mounts: []director.MountReport{{Path: "/ü.mp3", Listeners: second, Peak: 7, Title: "<b>\x00", Started: day}},
		},
	}
}

// testRegistrations tests that all directors see what agents reported to any of them,
// as each one received it, and that it expires with that director's reports.
func testRegistrations(t *testing.T, b *backend) {
	first, second := b.open(t), b.open(t)
	x, y := offer("x"), offer("y")
	gone := registration("n3", "three", 9)
	gone.Gone = day
	x.Registrations = []store.Registration{registration("n1", "one", 1), registration("n2", "two", 5), gone}
	y.Registrations = []store.Registration{registration("n1", "one", 2), registration("n2", "another", 4)}
	look := func(why string, p store.Picture, want ...store.Registration) {
		t.Helper()
		sorted := cmpopts.SortSlices(func(a, b store.Registration) int {
			return cmp.Or(strings.Compare(a.Instance, b.Instance), a.Seen.Compare(b.Seen))
		})
		if diff := gocmp.Diff(want, p.Registrations, same, sorted); diff != "" {
			t.Errorf("%s (-want +got):\n%s", why, diff)
		}
	}
	all := slices.Concat(x.Registrations, y.Registrations)
	look("alone", take(t, first, x), x.Registrations...)
	look("together", take(t, second, y), all...)
	look("together, at the other", take(t, first, x), all...)
	look("repeated", take(t, second, y), all...)

	moved := x.Registrations[1]
	moved.Seen = moved.Seen.Add(time.Second)
	moved.Report.Mounts = []director.MountReport{{Path: "/live.mp3", Title: "another song"}}
	x.Registrations = []store.Registration{moved}
	look("an offer replaces the one before", take(t, first, x), moved, y.Registrations[0], y.Registrations[1])
	look("seen by the other", take(t, second, y), moved, y.Registrations[0], y.Registrations[1])

	b.Advance(store.ReportLife - time.Second)
	look("of a dead director", take(t, first, x), moved, y.Registrations[0], y.Registrations[1])
	b.Advance(2 * time.Second)
	look("of a director that is past its life", take(t, first, x), moved)
}
