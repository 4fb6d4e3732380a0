package service

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"net/http"
	"net/netip"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web"
	"github.com/signpost-fm/signpost/web/proxy"
)

// carrier lets package web carry streams by package proxy; the two do not know
// each other.
type carrier struct{ *proxy.Proxy }

// NewCarrier returns what package web carries streams with.
func NewCarrier(p *proxy.Proxy) web.Carrier { return carrier{p} }

// Carry implements [web.Carrier].
func (c carrier) Carry(w http.ResponseWriter, r *http.Request, s web.Stream, done func(web.Carried)) error {
	req := proxy.Request{
		Upstreams: make([]proxy.Upstream, len(s.Upstreams)),
		Mount:     s.Mount, Kbit: s.Kbit, Client: s.Client, ICYLine: s.ICYLine, Type: s.Type, Query: s.Query,
		UserAgent: r.UserAgent(), Metadata: r.Header.Get("Icy-MetaData") == "1",
	}
	for i, u := range s.Upstreams {
		req.Upstreams[i] = proxy.Upstream(u)
	}
	err := c.Serve(w, r, req, func(res proxy.Result) {
		done(web.Carried{Node: res.Node, Bytes: res.Bytes, End: string(res.End)})
	})
	switch {
	case errors.Is(err, proxy.ErrNoRoom):
		return fmt.Errorf("%w: %w", web.ErrNoRoom, err)
	case errors.Is(err, proxy.ErrNoUpstream):
		return fmt.Errorf("%w: %w", web.ErrNoUpstream, err)
	}
	return err
}

// Failing implements [web.Carrier].
func (c carrier) Failing(mount string) []web.Trouble {
	var all []web.Trouble
	for _, t := range c.Proxy.Failing(mount) {
		all = append(all, web.Trouble{Node: t.Node, Why: string(t.Why), Detail: t.Detail, At: t.At})
	}
	return all
}

// doubt has a node asked at once, by whoever probes it, that behaved toward this
// director itself as a dead one does. What a full or a mistaken one does says nothing
// of its health.
func (d *Service) doubt(f proxy.Failure) {
	switch f.Why {
	case proxy.WhyConnect, proxy.WhyTimeout, proxy.WhyEnded, proxy.WhyLost, proxy.WhySilent:
		d.syncer.Failed(f.Node, f.Detail)
	}
}

// opening counts a connection for streams that are carried inline as a listener on
// its way to the node: so the node will count it, whether one listener has it to
// himself or a thousand share it.
func (d *Service) opening(node director.NodeID) {
	v := d.syncer.View()
	if v.Snapshot == nil {
		return
	}
	if n, ok := v.FindNode(node); ok {
		v.Live.Count(n)
	}
}

// uncounted is whom the fleet's numbers would miss.
func (d *Service) uncounted() map[string]int {
	if d.proxy == nil {
		return nil
	}
	return d.proxy.Uncounted()
}

// targetsWanted is how many nodes are tried for listeners whose node has failed.
const targetsWanted = 3

// targets asks the core where the listeners of a node may go, as the one among
// them would be sent for whom the upstream was opened.
func (d *Service) targets(mount string, node director.NodeID, client netip.Addr) []proxy.Upstream {
	v := d.syncer.View()
	if v.Snapshot == nil {
		return nil
	}
	decision := director.Decision{Want: targetsWanted}
	v.Decide(&decision, director.Listener{
		Addr: client, Place: d.geo.locate(client), Key: maphash.Comparable(d.seed, client),
		Mount: mount, Scheme: director.AnyScheme, Avoid: [2]director.NodeID{node}, Joins: d.proxy.Playing(mount),
	}, v.Live)
	var all []proxy.Upstream
	for _, c := range decision.Ranked {
		if base, path := v.Upstream(c.Node, decision.Mount); base != "" {
			all = append(all, proxy.Upstream{Node: v.NodeID(c.Node), URL: base + path})
		}
	}
	return all
}

// bases are all nodes, with every URL at which they are found.
func (d *Service) bases() iter.Seq2[director.NodeID, string] {
	return func(yield func(director.NodeID, string) bool) {
		v := d.syncer.View()
		if v.Snapshot == nil {
			return
		}
		for i := range v.Nodes() {
			n := v.Node(i)
			for _, at := range append([]string{n.InternalURL}, n.URLs...) {
				if at != "" && !yield(n.ID, at) {
					return
				}
			}
		}
	}
}

const (
	// vacateEvery is how soon listeners leave a node that was drained.
	vacateEvery = time.Second
	// vacateAgain is when those are asked again who could not.
	vacateAgain = 30 * time.Second
)

// vacate hands over the inline listeners of nodes that an operator has drained or
// taken out, until ctx is done.
func (d *Service) vacate(ctx context.Context) error {
	tick := time.NewTicker(vacateEvery)
	defer tick.Stop()
	asked := map[director.NodeID]time.Time{}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		v := d.syncer.View()
		if v.Snapshot == nil {
			continue
		}
		for _, node := range d.proxy.Nodes() {
			n, known := v.FindNode(node)
			switch {
			case known && v.Node(n).State != director.Drained:
				delete(asked, node)
			case time.Since(asked[node]) > vacateAgain:
				d.proxy.Vacate(node)
				asked[node] = time.Now()
			}
		}
	}
}
