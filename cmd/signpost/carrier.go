package main

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/signpost-fm/signpost/web"
	"github.com/signpost-fm/signpost/web/proxy"
)

// carrier lets package web carry streams by package proxy; the two do not know
// each other.
type carrier struct {
	*proxy.Proxy
	perListener bool
}

// Carry implements [web.Carrier]. The listener's query goes to the node only where
// the node is to know every listener: what one listener adds must not decide about
// a stream that others share.
func (c carrier) Carry(w http.ResponseWriter, r *http.Request, s web.Stream, done func(web.Carried)) error {
	req := proxy.Request{
		Upstreams: make([]proxy.Upstream, len(s.Upstreams)),
		Mount:     s.Mount, Kbit: s.Kbit, Client: s.Client, ICYLine: s.ICYLine, Type: s.Type,
		UserAgent: r.UserAgent(), Metadata: r.Header.Get("Icy-MetaData") == "1",
	}
	for i, u := range s.Upstreams {
		req.Upstreams[i] = proxy.Upstream(u)
		if c.perListener {
			req.Upstreams[i].URL = withQuery(u.URL, s.Query)
		}
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

// withQuery appends a listener's query to a URL that may have one of its own.
func withQuery(u, query string) string {
	switch {
	case query == "":
		return u
	case strings.Contains(u, "?"):
		return u + "&" + query
	}
	return u + "?" + query
}
