package dashboard

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/admin/api"
)

func (d *dashboard) mounts(*http.Request) (any, error) {
	all, err := d.api.Mounts()
	if err != nil {
		return nil, err
	}
	nodes, err := d.api.Nodes()
	if err != nil {
		return nil, err
	}
	lines := make([]mountLine, 0, len(all.Mounts))
	for _, m := range all.Mounts {
		lines = append(lines, describeMount(m, nodes.Nodes))
	}
	return lines, nil
}

// mountPage is one mount, and what each node says of it.
type mountPage struct {
	mountLine
	At []mountAt
}

type mountAt struct {
	Node  api.Node
	Plays bool
	Why   string // it does not play
}

func (d *dashboard) mount(r *http.Request) (any, error) {
	name := "/" + strings.TrimPrefix(r.PathValue("name"), "/")
	all, err := d.api.Mounts()
	if err != nil {
		return nil, err
	}
	nodes, err := d.api.Nodes()
	if err != nil {
		return nil, err
	}
	for _, m := range all.Mounts {
		if m.Name == name {
			return newMountPage(m, nodes.Nodes), nil
		}
	}
	return nil, &api.Problem{Status: http.StatusNotFound, Detail: fmt.Sprintf("There is no mount %.80q.", name)}
}

func newMountPage(m api.Mount, nodes []api.Node) mountPage {
	p := mountPage{mountLine: describeMount(m, nodes)}
	plays := map[director.NodeID]bool{}
	for _, id := range m.Nodes {
		plays[id] = true
	}
	for _, n := range nodes {
		at := mountAt{Node: n, Plays: plays[n.ID]}
		if !at.Plays {
			at.Why = whyNot(&n, m.Name)
		}
		p.At = append(p.At, at)
	}
	return p
}

// whyNot says why a node does not play a mount.
func whyNot(n *api.Node, mount string) string {
	for _, l := range n.Lacks {
		if l.Mount == mount || l.Mount == "" {
			return l.Text
		}
	}
	w := wording(*n)
	if n.State == director.Fit && !n.Drained {
		return "it does not tell"
	}
	if ago := ago(w.Since, time.Now()); ago != "" {
		return w.Word + " for " + ago
	}
	return w.Word
}
