package admin

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
)

// Region is a region with its row of weights.
type Region struct {
	ID    director.RegionID `json:"id"`
	Match string            `json:"match"` // as "DE-BY AT AS3320"; empty: it only names nodes

	Row      []Weight  `json:"row"`                // in force; empty: by distance
	Declared []Weight  `json:"declared"`           // as the file has it
	ByLoad   bool      `json:"by_load"`            // the row in force only lists nodes: each takes by its free capacity
	Override *Override `json:"override,omitempty"` // who replaced the file's row; nil: nobody

	Overflow []director.RegionID `json:"overflow"` // whose rows come next
	Deny     []string            `json:"deny"`     // mounts that its listeners may not hear; "*": all

	Shares   []director.NodeShare `json:"shares"`     // where a listener who comes now is sent, the largest first
	SentPerS float64              `json:"sent_per_s"` // listeners that this director sends somewhere from it

	Version string `json:"version"` // of the row, for If-Match
}

// Weight is a node's weight in a row; 1 where the row only lists nodes.
type Weight struct {
	Node   director.NodeID `json:"node"`
	Weight float64         `json:"weight"`
}

// RegionsAnswer is all regions, in the file's order.
type RegionsAnswer struct {
	Revision store.Revision `json:"revision"` // of the overlay
	Regions  []Region       `json:"regions"`
}

// Regions returns all regions.
func (a *API) Regions() (RegionsAnswer, error) {
	view, err := a.view()
	if err != nil {
		return RegionsAnswer{}, err
	}
	declared, inForce := a.cfg.Syncer.Config()
	overlay := a.cfg.Syncer.Overlay()
	out := RegionsAnswer{Revision: overlay.Revision, Regions: make([]Region, 0, len(declared.Regions))}
	overlay = overlay.InForce(view.Built())
	shares := map[director.RegionID][]director.NodeShare{}
	for _, f := range view.Forecast(nil).Regions {
		shares[f.Region] = f.Shares
	}
	for i, r := range declared.Regions {
		row := r.Row
		if i < len(inForce.Regions) && inForce.Regions[i].ID == r.ID {
			row = inForce.Regions[i].Row
		}
		one := describeRegion(r, row, overlay)
		one.SentPerS = a.meter.from(r.ID)
		if s := shares[r.ID]; s != nil {
			one.Shares = s
		}
		out.Regions = append(out.Regions, one)
	}
	return out, nil
}

// Region returns one region.
func (a *API) Region(id director.RegionID) (Region, error) {
	all, err := a.Regions()
	if err != nil {
		return Region{}, err
	}
	for _, r := range all.Regions {
		if r.ID == id {
			return r, nil
		}
	}
	return Region{}, noRegion(id)
}

func noRegion(id director.RegionID) *Problem {
	return problem(http.StatusNotFound, fmt.Sprintf("no region has the id %.80q; GET /api/v1/regions lists them", id))
}

func describeRegion(r director.Region, row []director.Weight, overlay store.Overlay) Region {
	out := Region{
		ID: r.ID, Match: matchText(&r.Match), Row: weights(row), Declared: weights(r.Row),
		ByLoad: len(row) > 0 && !row[0].Given, Overflow: append([]director.RegionID{}, r.Overflow...),
		Deny: append([]string{}, r.Deny...), Shares: []director.NodeShare{}, Version: rowVersion(&r, overlay),
	}
	if e, ok := overlay.Rows[r.ID]; ok {
		out.Override = overrideOf(e.Stamp)
	}
	return out
}

// rowVersion is the version of a region's row: another row in the file is another one, too.
func rowVersion(declared *director.Region, inForce store.Overlay) string {
	var entry any
	if e, ok := inForce.Rows[declared.ID]; ok {
		entry = e
	}
	return version(declared.Row, entry)
}

func weights(row []director.Weight) []Weight {
	out := make([]Weight, 0, len(row))
	for _, w := range row {
		if !w.Given {
			w.Weight = 1
		}
		out = append(out, Weight{w.Node, w.Weight})
	}
	return out
}

// matchText writes a Match on one line. A continent is marked as one, for many
// have the letters of a country.
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
