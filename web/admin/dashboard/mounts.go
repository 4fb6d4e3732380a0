package dashboard

import (
	"fmt"
	"net/http"
	"slices"
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

// mountAt is what a listener gets at one node.
type mountAt struct {
	Node   api.Node
	Level  string // good; warn, if somebody should look; dim
	Word   string // plays
	Detail string
	// Sessions are those of the mount at the node; nil: players are not moved to it.
	Sessions *api.Sessions
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
	for i := range nodes {
		at := describeMountAt(&nodes[i], m.Name, plays[nodes[i].ID])
		if s := slices.IndexFunc(m.Sessions, func(s api.Sessions) bool { return s.Node == nodes[i].ID }); s >= 0 {
			at.Sessions = &m.Sessions[s]
		}
		p.At = append(p.At, at)
	}
	return p
}

// describeMountAt says what a listener gets who asks a node for a mount. Only where it did play
// and no longer does somebody should look: a node that never had it may not be meant to,
// and what is wrong with a node as a whole is told of where the node is.
func describeMountAt(n *api.Node, mount string, plays bool) mountAt {
	at := mountAt{Node: *n, Level: "good", Word: "plays"}
	if plays {
		return at
	}
	at.Level = "dim"
	if n.State != director.Fit || n.Drained {
		w := wording(*n)
		at.Word, at.Detail = "not known", w.Word
		if ago := ago(w.Since, time.Now()); ago != "" {
			at.Detail += " for " + ago
		}
		return at
	}
	i := slices.IndexFunc(n.Lacks, func(l api.Lack) bool { return l.Mount == mount || l.Mount == "" })
	switch {
	case i < 0:
		at.Word, at.Detail = "not known", "it does not tell"
	case n.Lacks[i].Cause == director.NotThere:
		at.Word = "does not have it"
	default:
		at.Level, at.Word, at.Detail = "warn", n.Lacks[i].State.Words(), n.Lacks[i].Text
	}
	return at
}
