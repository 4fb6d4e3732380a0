package service

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/signpost-fm/signpost/cmd/signpost/notify"
	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
)

// A maskedRow is of a region whose row was changed in the file while an operators' row is
// used in its place: whoever changed the file may wait for an effect in vain.
type maskedRow struct {
	by  store.Stamp       // of the operators' row
	was []director.Weight // the file's row when this was first seen
}

// maskedRows returns the rows that are masked once the file says now, where it said old
// before. Whoever made an operators' row knew the file's: a row that is as it was then is
// not among them, nor is one for which operators made another row since.
func maskedRows(before map[director.RegionID]maskedRow, old, now director.Config, o store.Overlay) map[director.RegionID]maskedRow {
	all := map[director.RegionID]maskedRow{}
	for _, r := range now.Regions {
		row, there := o.Rows[r.ID]
		if !there {
			continue
		}
		m, known := before[r.ID]
		if !known || !m.of(row) {
			m = maskedRow{by: row.Stamp}
			if i := slices.IndexFunc(old.Regions, func(was director.Region) bool { return was.ID == r.ID }); i >= 0 {
				m.was = old.Regions[i].Row
			}
		}
		if !slices.Equal(r.Row, m.was) {
			all[r.ID] = m
		}
	}
	return all
}

// of says whether it was this row of operators' that masked the file's.
func (m maskedRow) of(row store.Row) bool {
	return m.by.Revision == row.Revision && m.by.At.Equal(row.At)
}

// usedRows calls do for each operators' row that is used in place of the file's.
func (d *Service) usedRows(st store.Status, do func(director.RegionID, store.Row)) {
	o := d.syncer.Overlay()
	for _, r := range d.settings.Load().Fleet.Regions {
		entry := "rows/" + string(r.ID)
		row, there := o.Rows[r.ID]
		if !there || !slices.ContainsFunc(st.Effects, func(e store.Effect) bool { return e.Entry == entry && e.Kind == store.Masks }) {
			continue
		}
		if view := d.syncer.View(); view.Snapshot != nil {
			row.Stamp = o.Told(entry, row.Stamp, view.Snapshot.Built())
		}
		do(r.ID, row)
	}
}

func takeRowBack(id director.RegionID) string {
	return fmt.Sprintf("`signpost weights reset %s` takes the operators' weights back; `signpost history` has the change, which `signpost undo` takes back", id)
}

// maskedConditions returns what was changed in the file, and has no effect.
func (d *Service) maskedConditions(st store.Status) (all []notify.Condition) {
	masked := d.masked.Load()
	if masked == nil {
		return nil
	}
	d.usedRows(st, func(id director.RegionID, row store.Row) {
		if m, is := (*masked)[id]; !is || !m.of(row) {
			return
		}
		all = append(all, notify.Condition{
			Key:    "masked/" + string(id),
			Text:   fmt.Sprintf("the weights of region %s were changed in the file, without effect: those that %s set at %s are used", id, row.By, row.At.UTC().Format(time.RFC3339)),
			Remedy: takeRowBack(id), Over: fmt.Sprintf("the weights of region %s are no longer others than those in the file, or were set anew", id),
		})
	})
	return all
}

// sayUsedRows logs once, with the first snapshot, which operators' rows are used: the file
// may have been changed while no director ran.
func (d *Service) sayUsedRows(ctx context.Context) error {
	select {
	case <-d.syncer.Ready():
		d.usedRows(d.syncer.Status(), func(id director.RegionID, row store.Row) {
			d.log.Warn("operators' weights are used in place of the file's", "region", id, "by", row.By, "at", row.At.UTC().Format(time.RFC3339), "why", row.Why, "remedy", takeRowBack(id))
		})
	case <-ctx.Done():
	}
	<-ctx.Done()
	return nil
}
