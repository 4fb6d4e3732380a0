package client

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// WeightsCmd shows and changes rows of weights.
type WeightsCmd struct {
	Get   weightsGetCmd   `cmd:"" default:"withargs" help:"Show the rows of weights."`
	Set   weightsSetCmd   `cmd:"" help:"Give a region another row of weights, and show what becomes of it."`
	Reset weightsResetCmd `cmd:"" help:"Give a region the file's row again."`
}

type weightsGetCmd struct {
	Region string `arg:"" optional:"" completion:"regions" help:"Show only this one, node by node."`
	Query
}

// Run prints them.
func (c *weightsGetCmd) Run(ctx context.Context, t *Terminal) error {
	s, err := c.Open(t)
	if err != nil {
		return err
	}
	if c.Region != "" {
		var r api.Region
		answer, err := s.Get(ctx, regionPath(c.Region), &r)
		switch {
		case err != nil:
			return s.whichRegion(ctx, err, c.Region)
		case c.JSON:
			return t.JSON(answer.Body)
		}
		printRegion(t, r)
		return nil
	}
	var a api.RegionsAnswer
	answer, err := s.Get(ctx, "/api/v1/regions", &a)
	switch {
	case err != nil:
		return err
	case c.JSON:
		return t.JSON(answer.Body)
	}
	printRegions(t, a.Regions)
	return nil
}

func printRegions(t *Terminal, regions []api.Region) {
	out := newTable("REGION", "MATCH", "WEIGHTS", "OVERFLOW", "CHANGED")
	for _, r := range regions {
		changed := ""
		if r.Override != nil {
			changed = byWhom(t, r.Override)
		}
		if r.OverflowOverride != nil {
			changed = strings.TrimPrefix(changed+"; overflow "+byWhom(t, r.OverflowOverride), "; ")
		}
		out.add(r.ID, clip(r.Match, 24), rowText(r.Row, r.ByLoad), join(r.Overflow), changed)
	}
	out.print(t)
}

// clip shortens a long text, which --json has in full.
func clip(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-2]) + ".."
	}
	return s
}

func join[T ~string](all []T) string {
	words := make([]string, len(all))
	for i, one := range all {
		words[i] = string(one)
	}
	return strings.Join(words, " ")
}

// rowText writes a row in the form of weights set.
func rowText(row []api.Weight, byLoad bool) string {
	if len(row) == 0 {
		return "by distance"
	}
	words := make([]string, len(row))
	for i, w := range row {
		words[i] = string(w.Node)
		if !byLoad {
			words[i] += "=" + strconv.FormatFloat(w.Weight, 'g', -1, 64)
		}
	}
	if byLoad {
		words = append(words, "by load")
	}
	return strings.Join(words, " ")
}

func printRegion(t *Terminal, r api.Region) {
	t.say("%s matches %s; overflow: %s", r.ID, cmp.Or(r.Match, "nobody by itself"), overflowText(r.Overflow))
	if r.Override != nil {
		t.say("changed %s ago %s", t.ago(r.Override.At), byWhom(t, r.Override))
	}
	if r.OverflowOverride != nil {
		t.say("overflow changed %s ago %s; in the file: %s", t.ago(r.OverflowOverride.At), byWhom(t, r.OverflowOverride), overflowText(r.DeclaredOverflow))
	}
	declared := map[director.NodeID]string{}
	for _, w := range r.Declared {
		declared[w.Node] = fmt.Sprint(w.Weight)
	}
	share := map[director.NodeID]string{}
	for _, n := range r.Shares {
		share[n.Node] = percent(n.Share)
	}
	out := newTable("NODE", ">WEIGHT", ">IN THE FILE", ">SHARE NOW")
	for _, w := range r.Row {
		out.add(w.Node, w.Weight, cmp.Or(declared[w.Node], "-"), cmp.Or(share[w.Node], "-"))
		delete(declared, w.Node)
	}
	for _, w := range r.Declared {
		if _, left := declared[w.Node]; left {
			out.add(w.Node, "-", declared[w.Node], "-")
		}
	}
	out.print(t)
}

// An Assignment is a node's weight on the command line.
type Assignment struct {
	Node   director.NodeID
	Weight float64
}

// UnmarshalText reads "fra1=3".
func (a *Assignment) UnmarshalText(b []byte) error {
	node, weight, ok := strings.Cut(string(b), "=")
	w, err := strconv.ParseFloat(weight, 64)
	if !ok || node == "" || err != nil || w < 0 || math.IsInf(w, 0) || math.IsNaN(w) {
		return fmt.Errorf("%q: write NODE=WEIGHT with a weight of 0 or more, as in fra1=3", b)
	}
	*a = Assignment{director.NodeID(node), w}
	return nil
}

func rowOf(all []Assignment) (map[director.NodeID]float64, error) {
	row := map[director.NodeID]float64{}
	for _, a := range all {
		if _, twice := row[a.Node]; twice {
			return nil, fmt.Errorf("%s is given two weights; give it one", a.Node)
		}
		row[a.Node] = a.Weight
	}
	return row, nil
}

type weightsSetCmd struct {
	Region  string       `arg:"" completion:"regions" help:"The region."`
	Weights []Assignment `arg:"" name:"node=weight" completion:"weights" help:"The whole row: a node that is not named gets none of the region's listeners."`
	Preview bool         `help:"Only show what would become of it."`
	IfMatch string       `name:"if-match" placeholder:"VERSION" help:"Set it only if the region still has this version, as weights get --json shows it."`
	Reason
	Term
	Query
}

// Run shows the present listeners before and after, and sets the row.
func (c *weightsSetCmd) Run(ctx context.Context, t *Terminal) error {
	row, err := rowOf(c.Weights)
	if err != nil {
		return err
	}
	e, err := editOf(c.Reason, c.Term)
	if err != nil {
		return err
	}
	r := rowEdit(c.Query, c.Region, row, c.Preview)
	r.version = c.IfMatch
	r.call = Call{Method: http.MethodPut, Body: api.RowEdit{Edit: e, Weights: row}}
	return r.run(ctx, t)
}

type weightsResetCmd struct{ regionReset }

// Run shows the present listeners before and after, and takes the row back.
func (c *weightsResetCmd) Run(ctx context.Context, t *Terminal) error {
	return c.run(ctx, t, rowEdit(c.Query, c.Region, nil, c.Preview))
}

// A regionReset gives a region the file's row, or the file's overflow, again.
type regionReset struct {
	Region  string `arg:"" completion:"regions" help:"The region."`
	Preview bool   `help:"Only show what would become of it."`
	Reason
	Query
}

func (c *regionReset) run(ctx context.Context, t *Terminal, e regionEdit) error {
	e.call = Call{Method: http.MethodDelete, Body: api.Edit{Why: c.Why}}
	return e.run(ctx, t)
}

// rowEdit replaces a region's row; nil: by the file's.
func rowEdit(q Query, region string, row map[director.NodeID]float64, preview bool) regionEdit {
	return regionEdit{
		Query: q, region: region, preview: preview, part: "weights",
		question: api.WhatIfQuestion{Rows: map[director.RegionID]map[director.NodeID]float64{director.RegionID(region): row}},
		of:       func(r *api.Region) (string, *api.Override) { return r.Version, r.Override },
		text:     func(r *api.Region) string { return rowText(r.Row, r.ByLoad) },
		back:     "has the file's row again:",
		now:      "is now",
	}
}

// A regionEdit replaces a region's row, or its overflow.
type regionEdit struct {
	Query
	region   string
	part     string // of the region's path
	question api.WhatIfQuestion
	preview  bool
	version  string // empty: the newest
	call     Call

	of        func(*api.Region) (version string, made *api.Override)
	text      func(*api.Region) string // what it is
	back, now string                   // what to say before that, if the file's holds again, and if not
}

func (e *regionEdit) run(ctx context.Context, t *Terminal) error {
	s, err := e.Open(t)
	if err != nil {
		return err
	}
	var seen api.Region
	if _, err := s.Get(ctx, regionPath(e.region), &seen); err != nil {
		return s.whichRegion(ctx, err, e.region)
	}
	var f forecasts
	answer, err := f.ask(ctx, s, e.question)
	if err != nil {
		return err
	}
	if e.preview {
		if e.JSON {
			return t.JSON(answer.Body)
		}
		f.print(t, e.region)
		return nil
	}
	version, _ := e.of(&seen)
	e.call.Path, e.call.IfMatch = regionPath(e.region)+"/"+e.part, cmp.Or(e.version, version)
	var r api.Region
	answer, err = s.Do(ctx, e.call, &r)
	switch {
	case err != nil:
		return e.stale(t, err)
	case e.JSON:
		return t.JSON(answer.Body)
	}
	f.print(t, e.region)
	said := e.now
	if _, made := e.of(&r); made == nil {
		said = e.back
	}
	t.say("%s %s %s", r.ID, said, e.text(&r))
	t.changed(answer)
	return nil
}

// stale returns an error that says who was faster, and what it is now.
func (e *regionEdit) stale(t *Terminal, err error) error {
	refusal := RefusalOf(err)
	if refusal == nil || refusal.Status != http.StatusPreconditionFailed {
		return err
	}
	var now api.Region
	if json.Unmarshal(refusal.Now, &now) != nil || now.ID == "" {
		return err
	}
	who := "somebody took the change of " + e.region + " back"
	if _, o := e.of(&now); o != nil {
		who = fmt.Sprintf("%s changed %s %s ago", o.By, e.region, t.ago(o.At))
		if o.Why != "" {
			who += " (" + o.Why + ")"
		}
	}
	return errors.New(clean(fmt.Sprintf("nothing was set: %s; it is now %s. Look at it, and set it again", who, e.text(&now))))
}
