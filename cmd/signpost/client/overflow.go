package client

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// OverflowCmd shows and changes where regions overflow.
type OverflowCmd struct {
	Get   overflowGetCmd   `cmd:"" default:"withargs" help:"Show which regions' rows are used when a region's own has no room."`
	Set   overflowSetCmd   `cmd:"" help:"Give a region another order of overflow, and show what becomes of it."`
	Reset overflowResetCmd `cmd:"" help:"Give a region the file's overflow again."`
}

type overflowGetCmd struct {
	Query
}

// Run prints them.
func (c *overflowGetCmd) Run(ctx context.Context, t *Terminal) error {
	s, err := c.Open(t)
	if err != nil {
		return err
	}
	var a api.RegionsAnswer
	answer, err := s.Get(ctx, "/api/v1/regions", &a)
	switch {
	case err != nil:
		return err
	case c.JSON:
		return t.JSON(answer.Body)
	}
	out := newTable("REGION", "OVERFLOW", "IN THE FILE", "CHANGED")
	for _, r := range a.Regions {
		file, changed := "", ""
		if r.OverflowOverride != nil {
			file, changed = overflowText(r.DeclaredOverflow), byWhom(t, r.OverflowOverride)
		}
		out.add(r.ID, overflowText(r.Overflow), file, changed)
	}
	out.print(t)
	return nil
}

// overflowText writes an order of overflow: "europe, then world".
func overflowText(order []director.RegionID) string {
	words := make([]string, len(order))
	for i, id := range order {
		words[i] = string(id)
	}
	return cmp.Or(strings.Join(words, ", then "), "none")
}

type overflowSetCmd struct {
	Region  string              `arg:"" completion:"regions" help:"The region."`
	Order   []director.RegionID `arg:"" optional:"" name:"next" completion:"regions" help:"The regions whose rows come next, in order."`
	None    bool                `help:"Listeners for whom the region's own row has no room are turned away."`
	Preview bool                `help:"Only show what would become of it."`
	IfMatch string              `name:"if-match" placeholder:"VERSION" help:"Set it only if the overflow still has this version, as weights get --json shows it (overflow_version)."`
	Reason
	Term
	Query
}

// Run shows the present listeners before and after, and sets the overflow.
func (c *overflowSetCmd) Run(ctx context.Context, t *Terminal) error {
	if c.None == (len(c.Order) > 0) {
		return errors.New("name the regions whose rows come next, in order, or give --none")
	}
	e, err := editOf(c.Reason, c.Term)
	if err != nil {
		return err
	}
	order := append([]director.RegionID{}, c.Order...)
	r := overflowEdit(c.Query, c.Region, order, c.Preview)
	r.version = c.IfMatch
	r.call = Call{Method: http.MethodPut, Body: api.OverflowEdit{Edit: e, Overflow: order}}
	return r.run(ctx, t)
}

type overflowResetCmd struct{ regionReset }

// Run shows the present listeners before and after, and takes the overflow back.
func (c *overflowResetCmd) Run(ctx context.Context, t *Terminal) error {
	return c.run(ctx, t, overflowEdit(c.Query, c.Region, nil, c.Preview))
}

// overflowEdit replaces a region's overflow; nil: by the file's.
func overflowEdit(q Query, region string, order []director.RegionID, preview bool) regionEdit {
	return regionEdit{
		Query: q, region: region, preview: preview, part: "overflow",
		question: api.WhatIfQuestion{Overflows: map[director.RegionID][]director.RegionID{director.RegionID(region): order}},
		of:       func(r *api.Region) (string, *api.Override) { return r.OverflowVersion, r.OverflowOverride },
		text:     func(r *api.Region) string { return overflowText(r.Overflow) },
		back:     "has the file's overflow again:",
		now:      "now overflows into:",
	}
}
