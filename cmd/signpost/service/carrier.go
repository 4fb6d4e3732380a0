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
	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/web"
	"github.com/signpost-fm/signpost/web/proxy"
)

// A carrier lets package web carry streams with package proxy; they do not import each
// other.
type carrier struct{ *proxy.Proxy }

// NewCarrier returns the Carrier of a Proxy.
func NewCarrier(p *proxy.Proxy) web.Carrier { return carrier{p} }

// Carry implements [web.Carrier].
func (c carrier) Carry(w http.ResponseWriter, r *http.Request, s web.Stream, done func(web.Carried)) error {
	req := proxy.Request{
		Upstreams: make([]proxy.Upstream, len(s.Upstreams)),
		Mount:     s.Mount, Kbit: s.Kbit, Client: s.Client, ICYLine: s.ICYLine, Type: s.Type, Query: s.Query,
		Authorization: r.Header.Get("Authorization"), UserAgent: r.UserAgent(), Metadata: r.Header.Get("Icy-MetaData") == "1",
	}
	for i, u := range s.Upstreams {
		req.Upstreams[i] = proxy.Upstream(u)
	}
	err := c.Serve(w, r, req, func(res proxy.Result) {
		done(web.Carried{Node: res.Node, Bytes: res.Bytes, End: string(res.End)})
	})
	var refused *proxy.RefusedError
	switch {
	case errors.As(err, &refused):
		return &web.RefusedError{Status: refused.Status, Challenges: refused.Challenges}
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

// nodeFailed has a node probed at once that failed toward this director as a dead one
// does. Other failures, such as being full, are no sign of its health.
func (d *Service) nodeFailed(f proxy.Failure) {
	switch f.Why {
	case proxy.WhyConnect, proxy.WhyTimeout, proxy.WhyEnded, proxy.WhyLost, proxy.WhySilent:
		d.syncer.Failed(f.Node, f.Mount, f.Detail)
	}
}

// countUpstream counts a new connection to a node as one listener en route: so will the
// node, however many listeners share the connection.
func (d *Service) countUpstream(node director.NodeID) {
	v := d.syncer.View()
	if v.Snapshot == nil {
		return
	}
	if n, ok := v.FindNode(node); ok {
		v.Live.Count(n)
	}
}

// uncounted returns the inline listeners that no node counts, by mount.
func (d *Service) uncounted() map[string]int {
	if d.proxy == nil {
		return nil
	}
	return d.proxy.Uncounted()
}

// sessions returns the listeners that this director counts itself.
func (d *Service) sessions() store.Sessions {
	if d.web == nil { // the syncer is opened first, and runs once all is open
		return nil
	}
	return d.web.Sessions()
}

// moves returns those whom this director moved within the last minute.
func (d *Service) moves() store.Moves {
	if d.web == nil {
		return nil
	}
	return d.web.Moves()
}

// targetsWanted is how many other nodes are tried when one fails.
const targetsWanted = 3

// targets asks the core where the listeners of a node may go. It decides for the one for
// whom the upstream was opened.
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

// nodeURLs returns all nodes, each with all its URLs.
func (d *Service) nodeURLs() iter.Seq2[director.NodeID, string] {
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
	// vacateEvery is how often drained nodes are looked for.
	vacateEvery = time.Second
	// vacateAgain is when those listeners are tried again that had nowhere to go.
	vacateAgain = 30 * time.Second
)

// vacate moves inline listeners away from nodes that were drained or removed, until ctx
// is done.
func (d *Service) vacate(ctx context.Context) error {
	asked := map[director.NodeID]time.Time{}
	return every(ctx, vacateEvery, func() {
		v := d.syncer.View()
		if v.Snapshot == nil {
			return
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
	})
}
