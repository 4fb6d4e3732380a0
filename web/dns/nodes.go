package dns

import (
	"context"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// The host names of nodes are looked up again after lookupAgain, or after lookupRetry if a
// lookup failed. Known addresses stay until another lookup succeeds.
const (
	lookupAgain   = 30 * time.Second
	lookupRetry   = 5 * time.Second
	lookupTimeout = 5 * time.Second
	lookupsAtOnce = 8
	// lookNodes is how soon new nodes are noticed.
	lookNodes = time.Second
)

// known is a node's addresses by family, in a stable order.
type known struct{ v4, v6 []netip.Addr }

// nodeAddrs holds the addresses of nodes. Reading takes no lock.
type nodeAddrs struct {
	current atomic.Pointer[map[director.NodeID]*known] // replaced, never modified
	missing atomic.Pointer[[]director.NodeID]
}

// of returns the addresses of a node; nil: unknown.
func (n *nodeAddrs) of(id director.NodeID) *known {
	if m := n.current.Load(); m != nil {
		return (*m)[id]
	}
	return nil
}

// unknown returns the nodes whose addresses are unknown.
func (n *nodeAddrs) unknown() []director.NodeID {
	if m := n.missing.Load(); m != nil {
		return *m
	}
	return nil
}

// A host is a host name that was looked up.
type host struct {
	addrs []netip.Addr // of the last lookup that succeeded
	due   time.Time    // when to look it up again
	fails bool
}

// lookups is the state that run keeps between rounds.
type lookups struct {
	s     *Server
	hosts map[string]*host
	last  *director.Snapshot // whose nodes were published last
}

func (n *nodeAddrs) run(ctx context.Context, s *Server) {
	l := lookups{s: s, hosts: map[string]*host{}}
	t := time.NewTicker(lookNodes)
	defer t.Stop()
	for {
		l.round(ctx, n)
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// LookUp looks up the addresses of all nodes once, for callers that do not use [Server.Run].
func (s *Server) LookUp(ctx context.Context) {
	l := lookups{s: s, hosts: map[string]*host{}}
	l.round(ctx, &s.nodes)
}

// round looks up the host names that are due and publishes the known addresses.
func (l *lookups) round(ctx context.Context, n *nodeAddrs) {
	view := l.s.cfg.View()
	if view.Snapshot == nil {
		return
	}
	wanted := map[string]bool{}
	for i := range view.Nodes() {
		for _, h := range hostsOf(view.Node(i).Node) {
			wanted[h] = true
		}
	}
	maps.DeleteFunc(l.hosts, func(h string, _ *host) bool { return !wanted[h] })
	if !view.SameFleet(l.last) {
		l.last = view.Snapshot
		l.publish(view.Snapshot, n) // addresses that need no lookup do not wait for the others
	}
	if l.lookUp(ctx, wanted) {
		l.publish(view.Snapshot, n)
	}
}

// lookUp looks up the host names that are due, at most lookupsAtOnce at a time, and says
// whether there were any.
func (l *lookups) lookUp(ctx context.Context, wanted map[string]bool) bool {
	now := l.s.cfg.Now()
	var due []string
	for name := range wanted {
		if h := l.hosts[name]; h == nil || !now.Before(h.due) {
			due = append(due, name)
		}
	}
	slices.Sort(due)
	type answer struct {
		addrs []netip.Addr
		err   error
	}
	answers := make([]answer, len(due))
	var all sync.WaitGroup
	slots := make(chan struct{}, lookupsAtOnce)
	for i, name := range due {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
			defer cancel()
			answers[i].addrs, answers[i].err = l.s.cfg.Lookup(ctx, name)
		})
	}
	all.Wait()
	for i, name := range due {
		h := l.hosts[name]
		if h == nil {
			h = &host{}
			l.hosts[name] = h
		}
		l.take(ctx, name, h, answers[i].addrs, answers[i].err)
	}
	return len(due) > 0
}

// take stores the result of a lookup. If it failed, the known addresses stay.
func (l *lookups) take(ctx context.Context, name string, h *host, addrs []netip.Addr, err error) {
	if ctx.Err() != nil {
		return
	}
	now := l.s.cfg.Now()
	if err != nil || len(addrs) == 0 {
		if !h.fails {
			l.s.cfg.Log.Warn("the addresses of a node cannot be looked up; the last known ones are answered", "host", name, "known", h.addrs, "err", err)
		}
		h.fails, h.due = true, now.Add(lookupRetry)
		return
	}
	if h.fails {
		l.s.cfg.Log.Info("the addresses of a node can be looked up again", "host", name)
	}
	// Resolvers shuffle addresses. They are sorted, so that a Key selects the same address.
	addrs = slices.Clone(addrs)
	for i := range addrs {
		addrs[i] = addrs[i].Unmap().WithZone("")
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	*h = host{addrs: slices.Compact(addrs), due: now.Add(lookupAgain)}
}

func (l *lookups) publish(snapshot *director.Snapshot, n *nodeAddrs) {
	all := make(map[director.NodeID]*known, snapshot.Nodes())
	missing := []director.NodeID{}
	for i := range snapshot.Nodes() {
		node := snapshot.Node(i).Node
		addrs := slices.Clone(node.Addrs)
		if len(addrs) == 0 {
			addrs = literals(node)
			for _, name := range hostsOf(node) {
				if h := l.hosts[name]; h != nil {
					addrs = append(addrs, h.addrs...)
				}
			}
		}
		k := &known{}
		for _, a := range addrs {
			list := &k.v6
			if a = a.Unmap(); a.Is4() {
				list = &k.v4
			}
			if !slices.Contains(*list, a) {
				*list = append(*list, a)
			}
		}
		if len(k.v4)+len(k.v6) == 0 {
			missing = append(missing, node.ID)
			continue
		}
		all[node.ID] = k
	}
	n.current.Store(&all)
	n.missing.Store(&missing)
	l.s.stats.ways.forget(func(id director.NodeID) bool {
		_, there := snapshot.FindNode(id)
		return !there
	})
}

// hostsOf returns the host names in a node's URLs that must be looked up.
func hostsOf(n director.Node) (names []string) {
	if len(n.Addrs) > 0 {
		return nil
	}
	for _, raw := range n.URLs {
		u, err := url.Parse(raw)
		if err != nil {
			continue
		}
		if _, err := netip.ParseAddr(u.Hostname()); err != nil && !slices.Contains(names, u.Hostname()) {
			names = append(names, u.Hostname())
		}
	}
	return names
}

// literals returns the IP addresses in a node's URLs.
func literals(n director.Node) (addrs []netip.Addr) {
	for _, raw := range n.URLs {
		if u, err := url.Parse(raw); err == nil {
			if a, err := netip.ParseAddr(u.Hostname()); err == nil {
				addrs = append(addrs, a)
			}
		}
	}
	return addrs
}
