package service

import (
	"fmt"

	"github.com/signpost-fm/signpost/cmd/signpost/config"
)

const (
	// ownDescriptors are for the store, databases, logs, listening sockets, the operators'
	// side and the agents.
	ownDescriptors = 200
	// perNode are for a node's probe, and for the stream that is carried from it.
	perNode = 2
)

// descriptors are what the process may open, divided so that listeners never take what
// probing, the store and the operators' side need, nor those who are carried inline what
// redirects need.
type descriptors struct {
	limit       int // of open files; 0: not known
	reserved    int // for everything but listeners' connections
	connections int // of listeners
	inline      int // of those, carried inline
}

// divide keeps half of a small limit for listeners, and of theirs a quarter for redirects.
func divide(limit int, s *config.Settings) descriptors {
	d := descriptors{limit: limit, connections: s.Listen.MaxConnections, inline: s.Proxy.MaxListeners}
	if limit == 0 {
		return d
	}
	d.reserved = min(ownDescriptors+perNode*len(s.Fleet.Nodes), limit/2)
	d.connections = min(d.connections, limit-d.reserved)
	most := d.connections * 3 / 4
	if s.Proxy.PerListener { // a connection to the node for each
		most /= 2
	}
	d.inline = min(d.inline, max(most, 1))
	return d
}

// warning says what the limit of open files takes away; empty: nothing worth a word.
func (d descriptors) warning(s *config.Settings) string {
	if d.connections >= s.Listen.MaxConnections*9/10 {
		return ""
	}
	return fmt.Sprintf("the limit of open files is %d: %d of them are kept for probes, the store and the operators' side, so %d connections of listeners are taken (listen.max_connections: %d) and %d streams are sent inline (proxy.max_listeners: %d); raise LimitNOFILE (systemd), ulimits (Docker) or ulimit -n to %d",
		d.limit, d.reserved, d.connections, s.Listen.MaxConnections, d.inline, s.Proxy.MaxListeners, s.Listen.MaxConnections+ownDescriptors+perNode*len(s.Fleet.Nodes))
}
