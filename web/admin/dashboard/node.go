package dashboard

import (
	"net/http"
	"slices"
	"strings"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// nodePage is all that is known of one node.
type nodePage struct {
	api.NodeDetail
	Words   words
	History []change // of this node
	From    []from   // which regions list it
}

// from is a region whose row lists the node.
type from struct {
	Region  string
	Weight  string
	Percent string // of the region's newcomers
}

func (d *dashboard) node(r *http.Request) (any, error) {
	id := director.NodeID(r.PathValue("id"))
	detail, err := d.api.NodeDetail(id)
	if err != nil {
		return nil, err
	}
	p := nodePage{NodeDetail: detail, Words: wording(detail.Node)}
	regions, err := d.api.Regions()
	if err != nil {
		return nil, err
	}
	for _, one := range regions.Regions {
		for _, w := range one.Row {
			if w.Node != id {
				continue
			}
			f := from{Region: string(one.ID), Weight: number(w.Weight), Percent: "0"}
			if one.ByLoad {
				f.Weight = "by load"
			}
			for _, s := range one.Shares {
				if s.Node == id {
					f.Percent = percent(s.Share)
				}
			}
			p.From = append(p.From, f)
		}
	}
	h, err := d.api.History()
	if err != nil {
		return nil, err
	}
	for _, c := range h.Changes {
		if slices.ContainsFunc(c.Entries, func(e api.EntryChange) bool { return concerns(e, id) }) {
			p.History = append(p.History, describeChange(c))
		}
	}
	return p, nil
}

// concerns says whether a changed entry is of a node, or a row with it.
func concerns(e api.EntryChange, id director.NodeID) bool {
	quoted := `"` + string(id) + `":`
	return e.Entry == "nodes/"+string(id) || strings.HasPrefix(e.Entry, "rows/") && (strings.Contains(string(e.Before), quoted) || strings.Contains(string(e.After), quoted))
}

// SeveralURLs says whether probes were at more than one of the node's URLs.
func (p nodePage) SeveralURLs() bool {
	return slices.ContainsFunc(p.Probes, func(one api.Probe) bool { return one.URL != p.Probes[0].URL })
}

// Mbit is the limit and target in Mbit/s; empty: there is none.
func (p nodePage) Mbit() string {
	var parts []string
	if p.MbitTarget > 0 {
		parts = append(parts, "target "+number(p.MbitTarget))
	}
	if p.MbitLimit > 0 {
		parts = append(parts, "limit "+number(p.MbitLimit))
	}
	return strings.Join(parts, ", ")
}
