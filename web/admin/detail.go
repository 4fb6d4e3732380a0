package admin

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// NodeDetail returns all that is known of one node.
func (a *API) NodeDetail(id director.NodeID) (api.NodeDetail, error) {
	node, err := a.Node(id, a.cfg.SafeBelow())
	out := api.NodeDetail{Node: node, Verdicts: []api.NodeMount{}, Sightings: []api.Sighting{}, Probes: []api.Probe{}}
	if err != nil {
		return out, err
	}
	for _, r := range a.cfg.Syncer.Sightings(id) {
		one := api.Sighting{By: r.By, Health: r.Health, Since: r.Since, Taken: r.Taken, Detail: r.Detail}
		if r.Listeners >= 0 {
			one.Listeners = new(r.Listeners)
		}
		out.Sightings = append(out.Sightings, one)
	}
	out.Probes = append(out.Probes, a.cfg.Probes(id)...)
	slices.SortFunc(out.Sightings, func(a, b api.Sighting) int { return cmp.Compare(a.By, b.By) })
	for _, r := range a.cfg.Syncer.Registrations() {
		if r.Node == id && node.Registered != nil {
			out.Announced = announced(&r.Registration)
		}
	}
	view := a.cfg.Syncer.View()
	n, ok := view.FindNode(id)
	if !ok {
		return out, nil // it is in the next snapshot
	}
	st := view.Node(n)
	out.InternalURL, out.MaxNewPerS, out.Relays = st.InternalURL, st.MaxNewPerS, st.Relays
	out.Taken, out.Returned = st.Report.Taken, st.Report.Returned
	t := tellerOf(st)
	for m := range view.Mounts() {
		for _, scheme := range []director.Scheme{director.HTTP, director.HTTPS} {
			if base, path := view.URL(n, m, scheme); base != "" {
				out.Verdicts = append(out.Verdicts, mountAt(view.Snapshot, &t, n, m, scheme, base+path))
			}
		}
	}
	return out, nil
}

// announced is what a registration was made from, as [registration] reads it.
func announced(r *store.Registration) *api.NodeSpec {
	return &api.NodeSpec{
		URLs: r.URLs, InternalURL: r.InternalURL, Site: r.Site, Place: placeOf(r.Place), Target: r.Target, Limit: r.Limit,
		MaxNewPerS: r.MaxNewPerS, Pace: r.Pace, Addresses: r.Addrs,
	}
}

func mountAt(s *director.Snapshot, t *teller, n, m int, scheme director.Scheme, url string) api.NodeMount {
	mount := s.Mount(m)
	v := s.Verdict(n, m, scheme)
	out := api.NodeMount{
		Mount: mount.Name, Scheme: scheme.String(), URL: url,
		State: v.State, Cause: v.Cause, Detail: v.Detail, Since: v.Since, By: v.By,
	}
	if told := t.tells(mount.Name); told != nil {
		out.Playing, out.Limit = told.Title, told.Limit
		if told.Listeners >= 0 && t.Report.Health == director.Up { // a node that is down keeps what it told last
			out.Listeners = new(told.Listeners)
		}
	}
	return out
}

func (a *API) getNodeDetail(ctx echo.Context) error {
	out, err := a.NodeDetail(director.NodeID(ctx.Param("id")))
	return answerVersion(ctx, out, out.Version, err)
}

// placeOf returns a place with coordinates; nil: it has none.
func placeOf(p director.Place) *api.Place {
	if p.Point == director.NoPoint {
		return nil
	}
	out := &api.Place{Lat: p.Lat, Lon: p.Lon, CountryCentre: p.Point != director.CityPoint}
	if p.Country != (director.Code{}) {
		out.Country = string(p.Country[:])
	}
	return out
}

// centre returns the middle of the countries and continents that a region matches; nil: it
// matches none, as one of networks does. The mean of the directions from the earth's
// middle is right across the date line, too.
func (a *API) centre(m *director.Match) *api.Place {
	if a.cfg.Complete == nil {
		return nil
	}
	var x, y, z float64
	add := func(p director.Place) {
		if p = a.cfg.Complete(p); p.Point != director.NoPoint {
			lat, lon := float64(p.Lat)*math.Pi/180, float64(p.Lon)*math.Pi/180
			x, y, z = x+math.Cos(lat)*math.Cos(lon), y+math.Cos(lat)*math.Sin(lon), z+math.Sin(lat)
		}
	}
	for _, code := range slices.Concat(m.Countries, m.Subdivisions) {
		country, _, _ := strings.Cut(code, "-")
		if len(country) == len(director.Code{}) {
			add(director.Place{Country: director.Code([]byte(country))})
		}
	}
	for _, code := range m.Continents {
		if len(code) == len(director.Code{}) {
			add(director.Place{Continent: director.Code([]byte(code))})
		}
	}
	if math.Sqrt(x*x+y*y+z*z) < .01 { // nothing, or all around
		return nil
	}
	return &api.Place{Lat: float32(math.Atan2(z, math.Hypot(x, y)) * 180 / math.Pi), Lon: float32(math.Atan2(y, x) * 180 / math.Pi), CountryCentre: true}
}
