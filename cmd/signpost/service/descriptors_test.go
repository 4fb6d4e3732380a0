package service

import (
	"strings"
	"testing"

	"github.com/signpost-fm/signpost/cmd/signpost/config"
	"github.com/signpost-fm/signpost/director"
)

// TestDescriptors: whatever the limit, listeners leave enough for probing, and inline
// listeners enough for redirects.
func TestDescriptors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name               string
		limit, nodes       int
		perListener        bool
		connections, inlne int
		warns              bool
	}{
		{"a usual limit", 65536, 10, false, 20000, 5000, false},
		{"not known", 0, 10, false, 20000, 5000, false},
		{"just enough", 20220, 10, false, 20000, 5000, false},
		{"a little short", 20000, 10, false, 19780, 5000, false},
		{"a shell's", 1024, 10, false, 804, 603, true},
		{"tiny", 128, 10, false, 64, 48, true},
		{"tiny, many nodes", 128, 1000, false, 64, 48, true},
		{"a connection to the node for each", 128, 10, true, 64, 24, true},
	} {
		s := &config.Settings{}
		s.Listen.MaxConnections, s.Proxy.MaxListeners, s.Proxy.PerListener = 20000, 5000, c.perListener
		s.Fleet.Nodes = make([]director.Node, c.nodes)
		d := divide(c.limit, s)
		if d.connections != c.connections || d.inline != c.inlne {
			t.Errorf("%s: %d connections, %d inline; want %d, %d", c.name, d.connections, d.inline, c.connections, c.inlne)
		}
		if used := d.connections + d.reserved; c.limit > 0 && used > c.limit {
			t.Errorf("%s: %d of %d are given away", c.name, used, c.limit)
		}
		w := d.warning(s)
		if (w != "") != c.warns || c.warns && !strings.Contains(w, "ulimit -n to ") {
			t.Errorf("%s: warning %q", c.name, w)
		}
	}
}
