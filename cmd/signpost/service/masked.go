package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"github.com/signpost-fm/signpost/cmd/signpost/config"
	"github.com/signpost-fm/signpost/cmd/signpost/notify"
	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/store/redisstore"
)

// A used entry is an operators' row or overflow of a region that the file declares, too.
type used struct {
	entry  string // of the overlay: "rows/de"
	region director.RegionID
	what   string // weights or overflow
	file   string // what the file says, to be compared
	by     store.Stamp
}

// operatorsEntries returns them for the regions of c, in order.
func operatorsEntries(c director.Config, o store.Overlay) (all []used) {
	for _, r := range c.Regions {
		if row, there := o.Rows[r.ID]; there {
			all = append(all, used{"rows/" + string(r.ID), r.ID, "weights", fmt.Sprint(r.Row), row.Stamp})
		}
		if w, there := o.Overflows[r.ID]; there {
			all = append(all, used{"overflows/" + string(r.ID), r.ID, "overflow", fmt.Sprint(r.Overflow), w.Stamp})
		}
	}
	return all
}

// A maskedRow is a row or overflow that was changed in the file while an operators' one is
// used in its place: whoever changed the file may wait for an effect in vain.
type maskedRow struct {
	by  store.Stamp // of the operators'
	was string      // what the file said when this was first seen
}

// maskedRows returns what is masked, by entry, once the file says now, where it said old
// before. Whoever made an operators' row knew the file's: a row that is as it was then is
// not among them, nor is one for which operators made another row since.
func maskedRows(before map[string]maskedRow, old, now director.Config, o store.Overlay) map[string]maskedRow {
	all, was := map[string]maskedRow{}, operatorsEntries(old, o)
	for _, u := range operatorsEntries(now, o) {
		m, known := before[u.entry]
		if !known || !m.of(u) {
			m = maskedRow{by: u.by}
			if i := slices.IndexFunc(was, func(w used) bool { return w.entry == u.entry }); i >= 0 {
				m.was = was[i].file
			}
		}
		if u.file != m.was {
			all[u.entry] = m
		}
	}
	return all
}

// of says whether it was this entry of operators' that masked the file's.
func (m maskedRow) of(u used) bool {
	return m.by.Revision == u.by.Revision && m.by.At.Equal(u.by.At)
}

// usedEntries returns what is used in place of the file's.
func (d *Service) usedEntries(st store.Status) []used {
	o := d.syncer.Overlay()
	all := slices.DeleteFunc(operatorsEntries(d.settings.Load().Fleet, o), func(u used) bool {
		return !slices.ContainsFunc(st.Effects, func(e store.Effect) bool { return e.Entry == u.entry && e.Kind == store.Masks })
	})
	if view := d.syncer.View(); view.Snapshot != nil {
		for i := range all {
			all[i].by = o.Told(all[i].entry, all[i].by, view.Snapshot.Built())
		}
	}
	return all
}

// takeBack says how to take it back.
func (u used) takeBack() string {
	return fmt.Sprintf("`signpost %s reset %s` takes the operators' %s back; `signpost history` has the change, which `signpost undo` takes back", u.what, u.region, u.what)
}

// maskedConditions returns what was changed in the file, and has no effect.
func (d *Service) maskedConditions(st store.Status) (all []notify.Condition) {
	masked := d.masked.Load()
	if masked == nil {
		return nil
	}
	for _, u := range d.usedEntries(st) {
		if m, is := (*masked)[u.entry]; !is || !m.of(u) {
			continue
		}
		all = append(all, notify.Condition{
			Key:    "masked/" + u.entry,
			Text:   fmt.Sprintf("the %s of region %s in the file changed, without effect: what %s set at %s is used", u.what, u.region, u.by.By, u.by.At.UTC().Format(time.RFC3339)),
			Remedy: u.takeBack(), Over: fmt.Sprintf("the %s of region %s in the file and in use: the same again, or set anew", u.what, u.region),
		})
	}
	return all
}

// sayUsedRows logs once, with the first snapshot, which operators' rows and overflows are
// used: the file may have been changed while no director ran.
func (d *Service) sayUsedRows(ctx context.Context) error {
	select {
	case <-d.syncer.Ready():
		for _, u := range d.usedEntries(d.syncer.Status()) {
			d.log.Warn("what operators set is used in place of the file's", "what", u.what, "region", u.region, "by", u.by.By, "at", u.by.At.UTC().Format(time.RFC3339), "why", u.by.Why, "remedy", u.takeBack())
		}
	case <-ctx.Done():
	}
	<-ctx.Done()
	return nil
}

// Replaced says of each row and overflow of a file that operators' changes replace now,
// so that the file has no effect there. It reads the file of changes in state_dir, or with
// ask, if it is configured, Redis. It changes nothing.
func Replaced(ctx context.Context, s *config.Settings, ask bool) (all []string, err error) {
	var o store.Overlay
	switch {
	case ask && s.Store.Redis != nil:
		c := *s.Store.Redis
		c.Log = slog.New(slog.DiscardHandler) // the error says it
		shared, err := redisstore.Open(c)
		if err != nil {
			return nil, err
		}
		o, err = shared.Overlay(ctx)
		if err = errors.Join(err, shared.Close()); err != nil {
			return nil, err
		}
	case s.StateDir != "":
		if o, err = store.ReadOverlay(filepath.Join(s.StateDir, "overlay.json")); err != nil {
			return nil, err
		}
	}
	_, effects := store.Apply(s.Fleet, o, time.Now())
	for _, u := range operatorsEntries(s.Fleet, o) {
		if !slices.ContainsFunc(effects, func(e store.Effect) bool { return e.Entry == u.entry && e.Kind == store.Masks }) {
			continue
		}
		why := ""
		if u.by.Why != "" {
			why = ": " + u.by.Why
		}
		all = append(all, fmt.Sprintf("the %s of region %s in the file: no effect now, for what %s set at %s is used (%s%s); %s", u.what, u.region, u.by.By, u.by.At.UTC().Format(time.RFC3339), untilText(u.by.Until), why, u.takeBack()))
	}
	return all, nil
}

func untilText(t time.Time) string {
	if t.IsZero() {
		return "until it is taken back"
	}
	return "until " + t.UTC().Format(time.RFC3339)
}
