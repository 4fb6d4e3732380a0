package client

import (
	"context"
	"fmt"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// A Running is what a running director has beside its file.
type Running struct {
	Director   string          // its address
	Registered []director.Node // in order of their ids
	Overlay    store.Overlay   // what operators changed
}

// Running asks for what a running director has beside its file.
func (s *Session) Running(ctx context.Context) (out Running, err error) {
	var o api.OverlayAnswer
	if _, err := s.Get(ctx, "/api/v1/overlay", &o); err != nil {
		return out, err
	}
	var all api.NodesAnswer
	if _, err := s.Get(ctx, "/api/v1/nodes", &all); err != nil {
		return out, err
	}
	out.Overlay, out.Director = o.Overlay, s.Current()
	for _, n := range all.Nodes {
		if n.Registered == nil {
			continue
		}
		var d api.NodeDetail
		if _, err := s.Get(ctx, nodePath(string(n.ID))+"/detail", &d); err != nil {
			return out, err
		}
		switch {
		case d.Announced != nil:
			out.Registered = append(out.Registered, announced(&d))
		case d.Registered != nil:
			return out, fmt.Errorf("%s does not tell what %s was registered with: it is older than this program; update it", s.Current(), n.ID)
		}
	}
	return out, nil
}

// announced returns a registered node as a director's fleet has it.
func announced(d *api.NodeDetail) director.Node {
	a := d.Announced
	n := director.Node{
		ID: d.ID, URLs: a.URLs, InternalURL: a.InternalURL, Addrs: a.Addresses, Site: a.Site, Target: a.Target, Limit: a.Limit,
		MaxNewPerS: a.MaxNewPerS, Pace: a.Pace, Drained: d.Drained && d.Override == nil,
	}
	if p := a.Place; p != nil {
		n.Place = director.Place{Lat: p.Lat, Lon: p.Lon, Point: director.CityPoint}
		if p.CountryCentre {
			n.Place.Point = director.CountryCentre
		}
		if code, err := director.ParseCode(p.Country); err == nil {
			n.Place.Country = code
		}
	}
	return n
}
