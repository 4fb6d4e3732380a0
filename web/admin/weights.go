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
	if err := a.putRegions(ctx, e, map[director.RegionID]newRegion{id: {row: &newRow{row, match}}}); err != nil {
		return err
	}
	out, err := a.Region(id)
	return answerVersion(ctx, out, out.Version, err)
}

// putOverflow replaces the regions that a region overflows into.
func (a *API) putOverflow(ctx echo.Context) error {
	var e api.OverflowEdit
	if err := readRows(ctx, &e); err != nil {
		return err
	}
	if e.Overflow == nil {
		return problem(http.StatusUnprocessableEntity, "overflow: give the regions in order, as [\"europe\", \"world\"], or [] for none; DELETE goes back to the file's")
	}
	return a.putOrder(ctx, &e.Edit, e.Overflow)
}

// deleteOverflow goes back to the file's overflow.
func (a *API) deleteOverflow(ctx echo.Context) error {
	var e api.Edit
	if err := readEdit(ctx, &e); err != nil {
		return err
	}
	return a.putOrder(ctx, &e, nil)
}

func (a *API) putOrder(ctx echo.Context, e *api.Edit, order []director.RegionID) error {
	match, err := ifMatch(ctx, true)
	if err != nil {
		return err
	}
	id := director.RegionID(ctx.Param("id"))
	if err := a.putRegions(ctx, e, map[director.RegionID]newRegion{id: {overflow: &newOverflow{order, match}}}); err != nil {
		return err
	}
	out, err := a.Region(id)
	return answerVersion(ctx, out, out.OverflowVersion, err)
}

// putAllWeights replaces several rows and overflows at once, or none.
func (a *API) putAllWeights(ctx echo.Context) error {
	var e api.RowsEdit
	if err := readRows(ctx, &e); err != nil {
		return err
	}
	if len(e.Rows)+len(e.Overflows) == 0 {
		return problem(http.StatusUnprocessableEntity, "rows: give at least one region's row, or under overflows its overflow")
	}
	unseen := func(kind string, id director.RegionID) error {
		return problem(http.StatusPreconditionRequired, fmt.Sprintf("%s.%s.version: give the version that you have read, from GET /api/v1/regions", kind, clipName(id)))
	}
	all := make(map[director.RegionID]newRegion, len(e.Rows))
	for id, r := range e.Rows {
		if r.Version == "" {
			return unseen("rows", id)
		}
		all[id] = newRegion{row: &newRow{r.Weights, precondition{versions: []string{r.Version}}}}
	}
	for id, o := range e.Overflows {
		if o.Version == "" {
			return unseen("overflows", id)
		}
		one := all[id]
		one.overflow = &newOverflow{o.Overflow, precondition{versions: []string{o.Version}}}
		all[id] = one
	}
	if err := a.putRegions(ctx, &e.Edit, all); err != nil {
		return err
	}
	out, err := a.Regions()
	return answer(ctx, out, err)
}

// newRegion is what replaces a region's row and overflow; nil: nothing does.
type newRegion struct {
	row      *newRow
	overflow *newOverflow
}

// newRow replaces a row of the versions in ifMatch; nil weights: by the file's row.
type newRow struct {
	weights map[director.NodeID]float64
	ifMatch precondition
}

// newOverflow replaces an overflow of the versions in ifMatch; nil: by the file's.
type newOverflow struct {
	order   []director.RegionID
	ifMatch precondition
}

// putRegions replaces rows and overflows, all or none.
func (a *API) putRegions(ctx echo.Context, e *api.Edit, all map[director.RegionID]newRegion) error {
	declared, inForce := a.cfg.Syncer.Config()
	known := make(map[director.RegionID]*director.Region, len(declared.Regions))
	for i := range declared.Regions {
		known[declared.Regions[i].ID] = &declared.Regions[i]
	}
	order := slices.Sorted(maps.Keys(all))
	for _, id := range order {
		if known[id] == nil {
			return noRegion(id)
		}
		if r := all[id].row; r != nil {
			if err := checkRow(&inForce, id, r.weights); err != nil {
				return err
			}
		}
		if w := all[id].overflow; w != nil {
			if err := checkOrder(known, id, w.order); err != nil {
				return err
			}
		}
	}
	var at director.RegionID
	err := a.change(ctx, e, func(o *store.Overlay, now time.Time) error {
		before, inForce := o.Clone(), o.InForce(now)
		for _, id := range order {
			at = id
			if r := all[id].row; r != nil {
				if err := r.ifMatch.check("rows/"+string(id), rowVersion(known[id], inForce)); err != nil {
					return err
				}
				o.Rows = with(o.Rows, id, store.Row{Weights: r.weights}, r.weights != nil)
			}
			if w := all[id].overflow; w != nil {
				if err := w.ifMatch.check("overflows/"+string(id), overflowVersion(known[id], inForce)); err != nil {
					return err
				}
				o.Overflows = with(o.Overflows, id, store.Overflow{Regions: w.order}, w.order != nil)
			}
		}
		return a.checkOverflows(before, *o)
	})
	return a.orStale(ctx, err, func() (any, error) { return a.Region(at) })
}

// checkOverflows refuses overflows that would have no effect.
func (a *API) checkOverflows(before, after store.Overlay) error {
	if err := a.cfg.Syncer.CheckOverflows(before, after); err != nil {
		return problem(http.StatusUnprocessableEntity, oneLine(err))
	}
	return nil
}

// checkOrder says what is wrong with an order of overflow in itself.
func checkOrder(known map[director.RegionID]*director.Region, region director.RegionID, order []director.RegionID) error {
	ck := checker{}
	for i, id := range order {
		switch {
		case known[id] == nil:
			ck.fail("overflow of "+clipName(region), "no region has the id %.80q", id)
		case id == region:
			ck.fail("overflow of "+clipName(region), "a region does not overflow into itself; leave it out")
		case slices.Contains(order[:i], id):
			ck.fail("overflow of "+clipName(region), "%s is there twice", id)
		}
	}
	if err := ck.err(); err != nil {
		return problem(http.StatusUnprocessableEntity, err.Error())
	}
	return nil
}

// with sets or removes an entry.
func with[E any](all map[director.RegionID]E, id director.RegionID, e E, set bool) map[director.RegionID]E {
	if !set {
		delete(all, id)
		return all
	}
	if all == nil {
		all = map[director.RegionID]E{}
	}
	all[id] = e
	return all
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
