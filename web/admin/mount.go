package admin

import (
	"net/url"

	"github.com/labstack/echo/v4"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// Mounts returns all mounts.
func (a *API) Mounts() (api.MountsAnswer, error) {
	view, err := a.view()
	if err != nil {
		return api.MountsAnswer{}, err
	}
	nodes := make([]carrier, view.Nodes())
	for n := range nodes {
		nodes[n] = carrierOf(view.Node(n))
	}
	base := a.cfg.PublicURL()
	out := api.MountsAnswer{Mounts: make([]api.Mount, 0, len(view.Mounts()))}
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

// describeMount sums the nodes' reports of a mount. The title is that of the node with
// most listeners.
func describeMount(m *director.Mount, nodes []carrier) api.Mount {
	out := api.Mount{Name: m.Name, Title: m.Title, Type: m.Type, Kbit: m.Kbit, Nodes: []director.NodeID{}, Down: []director.NodeID{}}
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
		out.Counted = out.Counted || told.Listeners >= 0
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
