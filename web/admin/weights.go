package admin

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/web/admin/api"
)

const (
	maxWeight = 1e9
	maxRow    = 2000 // nodes
)

// putWeights replaces a region's row.
func (a *API) putWeights(ctx echo.Context) error {
	var e api.RowEdit
	if err := readRows(ctx, &e); err != nil {
		return err
	}
	if e.Weights == nil {
		return problem(http.StatusUnprocessableEntity, "weights: give a weight for each node, as {\"fra1\": 3}; DELETE goes back to the file's row")
	}
	return a.putRow(ctx, &e.Edit, e.Weights)
}

// deleteWeights goes back to the file's row.
func (a *API) deleteWeights(ctx echo.Context) error {
	var e api.Edit
	if err := readEdit(ctx, &e); err != nil {
		return err
	}
	return a.putRow(ctx, &e, nil)
}

func (a *API) putRow(ctx echo.Context, e *api.Edit, row map[director.NodeID]float64) error {
	match, err := ifMatch(ctx, true)
	if err != nil {
		return err
	}
	id := director.RegionID(ctx.Param("id"))
	err = a.putRows(ctx, e, map[director.RegionID]newRow{id: {row, match}})
	if err != nil {
		return err
	}
	out, err := a.Region(id)
	return answerVersion(ctx, out, out.Version, err)
}

// putAllWeights replaces several rows at once, or none.
func (a *API) putAllWeights(ctx echo.Context) error {
	var e api.RowsEdit
	if err := readRows(ctx, &e); err != nil {
		return err
	}
	if len(e.Rows) == 0 {
		return problem(http.StatusUnprocessableEntity, "rows: give at least one region's row")
	}
	rows := make(map[director.RegionID]newRow, len(e.Rows))
	for id, r := range e.Rows {
		if r.Version == "" {
			return problem(http.StatusPreconditionRequired, fmt.Sprintf("rows.%s.version: give the version of the row that you have read, from GET /api/v1/regions", id))
		}
		rows[id] = newRow{r.Weights, precondition{versions: []string{r.Version}}}
	}
	if err := a.putRows(ctx, &e.Edit, rows); err != nil {
		return err
	}
	out, err := a.Regions()
	return answer(ctx, out, err)
}

// newRow replaces a row of the versions in ifMatch; nil weights: by the file's row.
type newRow struct {
	weights map[director.NodeID]float64
	ifMatch precondition
}

// putRows replaces rows, all or none.
func (a *API) putRows(ctx echo.Context, e *api.Edit, rows map[director.RegionID]newRow) error {
	declared, inForce := a.cfg.Syncer.Config()
	known := make(map[director.RegionID]*director.Region, len(declared.Regions))
	for i := range declared.Regions {
		known[declared.Regions[i].ID] = &declared.Regions[i]
	}
	order := slices.Sorted(maps.Keys(rows))
	for _, id := range order {
		if known[id] == nil {
			return noRegion(id)
		}
		if err := checkRow(&inForce, id, rows[id].weights); err != nil {
			return err
		}
	}
	var at director.RegionID
	err := a.change(ctx, e, func(o *store.Overlay, now time.Time) error {
		inForce := o.InForce(now)
		if o.Rows == nil {
			o.Rows = map[director.RegionID]store.Row{}
		}
		for _, id := range order {
			at = id
			if err := rows[id].ifMatch.check("rows/"+string(id), rowVersion(known[id], inForce)); err != nil {
				return err
			}
			if w := rows[id].weights; w != nil {
				o.Rows[id] = store.Row{Weights: w}
			} else {
				delete(o.Rows, id)
			}
		}
		return nil
	})
	return a.orStale(ctx, err, func() (any, error) { return a.Region(at) })
}

// checkRow says what is wrong with a row. It may name nodes that have yet to register.
func checkRow(c *director.Config, region director.RegionID, row map[director.NodeID]float64) error {
	if row == nil {
		return nil
	}
	ck := checker{}
	if len(row) > maxRow {
		ck.fail("weights", "%d are more than the %d nodes of a row", len(row), maxRow)
	}
	sum := 0.0
	for _, id := range slices.Sorted(maps.Keys(row)) {
		w := row[id]
		if w < 0 || w > maxWeight {
			ck.fail("weights."+clipName(id), "%g: it must be 0 to %g; 0 sends nobody", w, float64(maxWeight))
		}
		sum += w
		there := slices.ContainsFunc(c.Nodes, func(n director.Node) bool { return n.ID == id })
		if !there && !c.Admits(id) {
			ck.fail("weights."+clipName(id), "no node has this id")
		}
	}
	if sum == 0 {
		ck.fail("weights", "no weight is above 0, so that the listeners of %s would have nowhere to go; drain the nodes instead", region)
	}
	if err := ck.err(); err != nil {
		return problem(http.StatusUnprocessableEntity, err.Error())
	}
	return nil
}

// clipName shortens what was given for a name, for an error.
func clipName[S ~string](s S) string { return fmt.Sprintf("%.80s", s) }
