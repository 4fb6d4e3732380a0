package admin

import (
	"net/url"

	"github.com/labstack/echo/v4"

	"github.com/signpost-fm/signpost/director"
)

// Mount is one mount of the fleet.
type Mount struct {
	Name  string `json:"name"`  // "/live.mp3"
	Title string `json:"title"` // as declared, or the station's name; empty: neither
	Type  string `json:"type"`  // media type; empty: not known
	Kbit  int    `json:"kbit,omitempty"`

	Listeners int               `json:"listeners"` // at all nodes that tell, relays included, and those whom directors carry
	Nodes     []director.NodeID `json:"nodes"`     // that carry it now
	Down      []director.NodeID `json:"down"`      // the others
	Playing   string            `json:"playing,omitempty"`
	URL       string            `json:"url,omitempty"` // where listeners hear it; empty: the file does not tell public URLs
}

// MountsAnswer is all mounts, by name or in the file's order.
type MountsAnswer struct {
	Mounts []Mount `json:"mounts"`
}

// Mounts returns all mounts.
func (a *API) Mounts() (MountsAnswer, error) {
	view, err := a.view()
	if err != nil {
		return MountsAnswer{}, err
	}
	nodes := make([]carrier, view.Nodes())
	for n := range nodes {
		nodes[n] = carrierOf(view.Node(n))
	}
	base := a.cfg.PublicURL()
	out := MountsAnswer{Mounts: make([]Mount, 0, len(view.Mounts()))}
	for i := range view.Mounts() {
		m := describeMount(&view.Mounts()[i], nodes)
		m.Listeners = max(0, m.Listeners+view.Uncounted(i))
		if base != "" {
			m.URL = base + (&url.URL{Path: m.Name}).EscapedPath()
		}
		out.Mounts = append(out.Mounts, m)
	}
	return out, nil
}

// describeMount sums what nodes say of a mount. What plays is told by the node
// where most listen.
func describeMount(m *director.Mount, nodes []carrier) Mount {
	out := Mount{Name: m.Name, Title: m.Title, Type: m.Type, Kbit: m.Kbit, Nodes: []director.NodeID{}, Down: []director.NodeID{}}
	most := -2
	name := ""
	for n := range nodes {
		told := nodes[n].carries(m)
		if told == nil {
			out.Down = append(out.Down, nodes[n].ID)
			continue
		}
		out.Nodes = append(out.Nodes, nodes[n].ID)
		out.Listeners += max(0, told.Listeners)
		if told.Listeners > most {
			most, out.Playing, name = told.Listeners, told.Title, told.Name
			if out.Type == "" {
				out.Type = told.Type
			}
		}
	}
	if out.Title == "" {
		out.Title = name
	}
	return out
}

func (a *API) getMounts(ctx echo.Context) error {
	out, err := a.Mounts()
	return answer(ctx, out, err)
}
