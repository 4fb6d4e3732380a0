package main

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web"
	"github.com/signpost-fm/signpost/web/proxy"
)

// carrier lets package web carry streams by package proxy; the two do not know
// each other.
type carrier struct{ *proxy.Proxy }

// Carry implements [web.Carrier].
func (c carrier) Carry(w http.ResponseWriter, r *http.Request, s web.Stream) (web.Carried, error) {
	req := proxy.Request{
		Upstreams: make([]proxy.Upstream, len(s.Upstreams)),
		Mount:     s.Mount, Kbit: s.Kbit, Client: s.Client, ICYLine: s.ICYLine, Type: s.Type,
	}
	for i, u := range s.Upstreams {
		req.Upstreams[i] = proxy.Upstream(u)
	}
	res, err := c.Serve(w, r, req)
	switch {
	case errors.Is(err, proxy.ErrNoRoom):
		err = web.ErrNoRoom
	case errors.Is(err, proxy.ErrNoUpstream):
		err = fmt.Errorf("%w: %s", web.ErrNoUpstream, failures(res.Failed))
	}
	return web.Carried{Node: res.Node, Bytes: res.Bytes, End: string(res.End), Failed: failed(res)}, err
}

// failed lists the nodes that behaved as dead ones do.
func failed(res proxy.Result) (nodes []director.NodeID) {
	for _, f := range res.Failed {
		switch f.Why {
		case proxy.WhyConnect, proxy.WhyTimeout, proxy.WhyEnded:
			nodes = append(nodes, f.Node)
		}
	}
	switch res.End {
	case proxy.EndUpstreamEnded, proxy.EndUpstreamSilent, proxy.EndUpstreamFailed:
		nodes = append(nodes, res.Node)
	}
	return nodes
}

// failures says for an operator what each node did instead of playing.
func failures(all []proxy.Failure) string {
	text := "none was asked"
	for i, f := range all {
		if i == 0 {
			text = ""
		} else {
			text += "; "
		}
		text += fmt.Sprintf("%s: %s", f.Node, f.Detail)
	}
	return text
}
