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
	nodes := make([]teller, view.Nodes())
	for n := range nodes {
		nodes[n] = tellerOf(view.Node(n))
	}
	sessions := sessionsBy(a.allSessions(), func(s *api.Sessions) string { return s.Mount })
	base := a.cfg.PublicURL()
	out := api.MountsAnswer{Mounts: make([]api.Mount, 0, len(view.Mounts()))}
	for i := range view.Mounts() {
		m := describeMount(view, i, nodes)
		m.Listeners = max(0, m.Listeners+view.Uncounted(i))
		m.Sessions = sessions[m.Name]
		if base != "" {
			m.URL = base + (&url.URL{Path: m.Name}).EscapedPath()
		}
		out.Mounts = append(out.Mounts, m)
	}
	return out, nil
}

// A teller is a node with its reported mounts by path: both may be thousands.
type teller struct {
	director.NodeState
	told map[string]*director.MountReport
}

func tellerOf(st director.NodeState) teller {
	t := teller{st, make(map[string]*director.MountReport, len(st.Report.Mounts))}
	for i := range st.Report.Mounts {
		told := &st.Report.Mounts[i]
		if t.told[told.Path] == nil {
			t.told[told.Path] = told
		}
	}
	return t
}

// tells returns what the node reports of a mount; nil: nothing.
func (t *teller) tells(mount string) *director.MountReport {
	if path, moved := t.Paths[mount]; moved {
		return t.told[path]
	}
	return t.told[mount]
}

// describeMount lists the nodes that play a mount and sums what they report of it. The
// title is that of the node with most listeners.
func describeMount(view director.View, i int, nodes []teller) api.Mount {
	m := view.Mount(i)
	out := api.Mount{Name: m.Name, Title: m.Title, Type: m.Type, Kbit: m.Kbit, Nodes: []director.NodeID{}, Down: []director.NodeID{}}
	most := -2
	name := ""
	for n := range nodes {
		if !carries(view, n, i) {
			out.Down = append(out.Down, view.NodeID(n))
			continue
		}
		out.Nodes = append(out.Nodes, view.NodeID(n))
		told := nodes[n].tells(m.Name)
		if told == nil {
			continue // it cannot list its mounts, or does not list this one
		}
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
