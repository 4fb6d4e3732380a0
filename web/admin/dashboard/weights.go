package dashboard

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// weightsPage is the page with the matrix of regions and nodes.
type weightsPage struct {
	Nodes []api.Node
	Rows  []matrixRow
}

type matrixRow struct {
	api.Region
	Cells []cell // by node
}

// A cell is a node in a region's row. The zero cell means that it is not in the row.
type cell struct {
	In            bool
	Weight, Share string
	Heat          int // 0..5, by the share
}

// Width returns the matrix's width in CSS pixels, so that a browser need not measure
// every cell after each keystroke.
func (p weightsPage) Width() int { return 218 + 66*len(p.Nodes) }

func (d *dashboard) weights(*http.Request) (any, error) {
	nodes, err := d.api.Nodes()
	if err != nil {
		return nil, err
	}
	regions, err := d.api.Regions()
	if err != nil {
		return nil, err
	}
	p := weightsPage{Nodes: nodes.Nodes}
	// Nodes of one site stand together.
	slices.SortFunc(p.Nodes, func(a, b api.Node) int { return cmp.Or(cmp.Compare(a.Site, b.Site), cmp.Compare(a.ID, b.ID)) })
	column := make(map[director.NodeID]int, len(p.Nodes))
	for i := range p.Nodes {
		column[p.Nodes[i].ID] = i
	}
	for _, r := range regions.Regions {
		row := matrixRow{r, make([]cell, len(p.Nodes))}
		for _, w := range r.Row {
			if i, there := column[w.Node]; there {
				row.Cells[i] = cell{In: true, Weight: number(w.Weight), Share: "0"}
			}
		}
		for _, s := range r.Shares {
			if i, there := column[s.Node]; there && row.Cells[i].In {
				row.Cells[i].Share, row.Cells[i].Heat = percent(s.Share), heat(s.Share)
			}
		}
		p.Rows = append(p.Rows, row)
	}
	return p, nil
}

// Overflows writes the regions that it overflows into: "europe, then world".
func (r matrixRow) Overflows() string { return overflowText(r.Overflow) }

// Order and FileOrder are the overflow in use and in the file, as ids with spaces between.
func (r matrixRow) Order() string     { return joinedBy(r.Overflow, " ") }
func (r matrixRow) FileOrder() string { return joinedBy(r.DeclaredOverflow, " ") }

func overflowText(order []director.RegionID) string {
	return cmp.Or(joinedBy(order, ", then "), "none")
}

func joinedBy(order []director.RegionID, between string) string {
	words := make([]string, len(order))
	for i, id := range order {
		words[i] = string(id)
	}
	return strings.Join(words, between)
}

// Entries returns the row as "ams1:1 fra1:3". It includes nodes that are absent and so have
// no column: they are saved, too.
func (r matrixRow) Entries() string {
	var b strings.Builder
	for i, w := range r.Row {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(string(w.Node) + ":" + number(w.Weight))
	}
	return b.String()
}

// heat returns the step of colour, 0..5, of a share.
func heat(share float64) int {
	for i, above := range []float64{.6, .35, .2, .08, 0} {
		if share > above {
			return 5 - i
		}
	}
	return 0
}

// Places returns what a region matches, in words.
func (r matrixRow) Places() string {
	if r.Match == "" {
		return "nobody's own: others overflow into it"
	}
	return strings.ReplaceAll(r.Match, "continent:", "")
}
