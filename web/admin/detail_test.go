package admin

import (
	"math"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// silent plays /live.mp3 and has lost the source of /news.mp3.
type silent struct{ prober }

func (silent) Changes(uint64) ([]director.Report, bool, uint64) {
	lost := director.Verdict{Path: "/news.mp3", State: director.MountSilent, Cause: "source gone", Detail: "GET /news.mp3: 404 Not Found", Since: day, By: "d1"}
	return []director.Report{{
		Node: "fra1", Taken: time.Now(), Since: day, Health: director.Up, Listeners: 7, Server: "Icecast 2.4.4",
		Mounts: []director.MountReport{{Path: "/live.mp3", Listeners: 7, Title: "A song", Limit: 50}}, Verdicts: []director.Verdict{lost},
	}}, true, 0
}

// All that is known of a node stands in one answer: each mount in each of its schemes,
// how each director sees it, and what its listeners take, where the server does not tell.
func TestNodeDetail(t *testing.T) {
	t.Parallel()
	r := fleetProbedBy(t, silent{newProber()}, director.Config{
		Nodes: []director.Node{{
			ID: "fra1", URLs: []string{"http://fra1.example:8000", "https://fra1.example"}, MaxNewPerS: 50,
			Place: director.Place{Country: director.Code{'D', 'E'}, Point: director.CityPoint, Lat: 50.1, Lon: 8.7},
		}},
		Mounts: []director.Mount{{Name: "/live.mp3", Kbit: 128}, {Name: "/news.mp3", Kbit: 64}},
	}, Config{Probes: func(id director.NodeID) []api.Probe {
		return []api.Probe{{At: day, TookMS: 4, Detail: "a probe of " + string(id)}}
	}})
	d, err := r.h.NodeDetail("fra1")
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Verdicts) != 4 || d.MaxNewPerS != 50 || !d.Counted || d.Kbit != 0 || d.KbitReckoned != 7*128 || d.Place == nil || d.Place.Lat != 50.1 || d.Taken.IsZero() {
		t.Errorf("%+v", d)
	}
	live, news := d.Verdicts[0], d.Verdicts[2]
	if live.URL != "http://fra1.example:8000/live.mp3" || live.State != director.MountPlays || *live.Listeners != 7 || live.Playing != "A song" || live.Limit != 50 {
		t.Errorf("%+v", live)
	}
	if news.Mount != "/news.mp3" || news.State != director.MountSilent || news.Cause != "source gone" || news.Listeners != nil || !news.Since.Equal(day) {
		t.Errorf("%+v", news)
	}
	if len(d.Sightings) != 1 || d.Sightings[0].Health != director.Up || *d.Sightings[0].Listeners != 7 || d.Sightings[0].By == "" {
		t.Errorf("%+v", d.Sightings)
	}
	if len(d.Probes) != 1 || d.Probes[0].Detail != "a probe of fra1" {
		t.Errorf("%+v", d.Probes)
	}
}

// A region is where its countries and continents are; one of networks is nowhere.
func TestCentre(t *testing.T) {
	t.Parallel()
	places := map[string][2]float32{"DE": {51, 10}, "FR": {47, 2}, "FJ": {-18, 178}, "WS": {-14, -172}, "EU": {54, 20}}
	a := &API{cfg: Config{Complete: func(p director.Place) director.Place {
		at := places[string(p.Country[:])]
		if p.Continent != (director.Code{}) {
			at = places[string(p.Continent[:])]
		}
		p.Point, p.Lat, p.Lon = director.CountryCentre, at[0], at[1]
		return p
	}}}
	for _, c := range []struct {
		m        director.Match
		lat, lon float64
	}{
		{director.Match{Countries: []string{"DE", "FR"}}, 49, 6},
		{director.Match{Subdivisions: []string{"DE-BY"}}, 51, 10},
		{director.Match{Countries: []string{"FJ", "WS"}}, -16, -177}, // across the date line
		{director.Match{Continents: []string{"EU"}}, 54, 20},
	} {
		got := a.centre(&c.m)
		if got == nil || math.Abs(float64(got.Lat)-c.lat) > 1 || math.Abs(float64(got.Lon)-c.lon) > 1 {
			t.Errorf("%+v: %+v, want %v %v", c.m, got, c.lat, c.lon)
		}
	}
	if got := a.centre(&director.Match{ASNs: []uint32{3320}, Default: true}); got != (*api.Place)(nil) {
		t.Errorf("networks are at %+v", got)
	}
}
