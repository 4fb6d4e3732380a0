package admin

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// Regions returns all regions. The row and the version of each are of one moment: who
// sends back the version has seen the row.
func (a *API) Regions() (api.RegionsAnswer, error) {
	view, err := a.view()
	if err != nil {
		return api.RegionsAnswer{}, err
	}
	inForce, from := a.cfg.Syncer.InForce()
	declared, overlay := from.Declared, from.Overlay.InForce(from.At)
	out := api.RegionsAnswer{Revision: from.Overlay.Revision, Regions: make([]api.Region, 0, len(declared.Regions))}
	shares, demand := map[director.RegionID][]director.NodeShare{}, view.Demand(a.cfg.Mix).Regions()
	for _, f := range view.Forecast(nil).Regions {
		shares[f.Region] = f.Shares
	}
	for i, r := range declared.Regions {
		used := r
		if i < len(inForce.Regions) && inForce.Regions[i].ID == r.ID {
			used = inForce.Regions[i]
		}
		one := describeRegion(r, used, overlay, from.At)
		one.SentPerS, one.Listeners, one.Centre = a.meter.from(r.ID), demand[r.ID], a.centre(&r.Match)
		if s := shares[r.ID]; s != nil {
			one.Shares = s
		}
		out.Regions = append(out.Regions, one)
	}
	return out, nil
}

// Region returns one region.
func (a *API) Region(id director.RegionID) (api.Region, error) {
	all, err := a.Regions()
	if err != nil {
		return api.Region{}, err
	}
	for _, r := range all.Regions {
		if r.ID == id {
			return r, nil
		}
	}
	return api.Region{}, noRegion(id)
}

func noRegion(id director.RegionID) *api.Problem {
	return problem(http.StatusNotFound, fmt.Sprintf("no region has the id %.80q; GET /api/v1/regions lists them", id))
}

// describeRegion describes a region as the file has it (r), and as it is used.
func describeRegion(r, used director.Region, overlay store.Overlay, now time.Time) api.Region {
	out := api.Region{
		ID: r.ID, Match: matchText(&r.Match), Row: weights(used.Row), Declared: weights(r.Row),
		ByLoad:   len(used.Row) > 0 && !used.Row[0].Given,
		Overflow: append([]director.RegionID{}, used.Overflow...), DeclaredOverflow: append([]director.RegionID{}, r.Overflow...),
		Deny: append([]string{}, r.Deny...), Shares: []director.NodeShare{},
		Version: rowVersion(&r, overlay), OverflowVersion: overflowVersion(&r, overlay),
	}
	if e, ok := overlay.Rows[r.ID]; ok {
		out.Override = overrideOf(overlay, "rows/"+string(r.ID), e.Stamp, now)
	}
	if e, ok := overlay.Overflows[r.ID]; ok {
		out.OverflowOverride = overrideOf(overlay, "overflows/"+string(r.ID), e.Stamp, now)
	}
	return out
}

// overflowVersion is the version of a region's overflow. It changes with the file's, too.
func overflowVersion(declared *director.Region, inForce store.Overlay) string {
	var entry any
	if e, ok := inForce.Overflows[declared.ID]; ok {
		entry = e
	}
	return version("overflow", declared.Overflow, entry)
}

// rowVersion is the version of a region's row. It changes with the file's row, too.
func rowVersion(declared *director.Region, inForce store.Overlay) string {
	var entry any
	if e, ok := inForce.Rows[declared.ID]; ok {
		entry = e
	}
	return version(declared.Row, entry)
}

func weights(row []director.Weight) []api.Weight {
	out := make([]api.Weight, 0, len(row))
	for _, w := range row {
		if !w.Given {
			w.Weight = 1
		}
		out = append(out, api.Weight{Node: w.Node, Weight: w.Weight})
	}
	return out
}

// matchText writes a Match on one line. Continents are marked, for some have the
// letters of a country.
func matchText(m *director.Match) string {
	var parts []string
	for _, c := range m.CIDRs {
		parts = append(parts, c.String())
	}
	for _, n := range m.ASNs {
		parts = append(parts, fmt.Sprintf("AS%d", n))
	}
	parts = append(parts, m.Subdivisions...)
	parts = append(parts, m.Countries...)
	for _, c := range m.Continents {
		parts = append(parts, "continent:"+c)
	}
	if m.Default {
		parts = append(parts, "default")
	}
	return strings.Join(parts, " ")
}

func (a *API) getRegions(ctx echo.Context) error {
	out, err := a.Regions()
	return answer(ctx, out, err)
}

func (a *API) getRegion(ctx echo.Context) error {
	out, err := a.Region(director.RegionID(ctx.Param("id")))
	return answerVersion(ctx, out, out.Version, err)
}
