package service

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signpost-fm/signpost/cmd/signpost/config"
	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/geo"
	"github.com/signpost-fm/signpost/geo/fetch"
)

// geography has the Locator in force, which a reload may replace.
type geography struct {
	current atomic.Pointer[geo.Locator]
	stop    context.CancelFunc
	running sync.WaitGroup // what stop ends
}

// unmap returns the address of a listener whose packets come from a.
func (g *geography) unmap(a netip.Addr) (netip.Addr, int) { return g.current.Load().Unmap(a) }

// locate returns the place of an address.
func (g *geography) locate(a netip.Addr) director.Place { return g.current.Load().Locate(a) }

// widest returns the length of the widest prefix in which all places are alike.
func (g *geography) widest(a netip.Addr, atLeast int, alike func(director.Place) bool) int {
	return g.current.Load().Widest(a, atLeast, alike)
}

// edition changes with the Locator and with its databases.
func (g *geography) edition() uint64 { return g.current.Load().Edition() }

// origin is what package web asks for explanations.
func (g *geography) origin(a netip.Addr) string { return Origin(g.current.Load(), a) }

// Origin says which source places an address, and how old it is.
func Origin(l *geo.Locator, a netip.Addr) string {
	s, ok := l.Origin(a)
	if !ok {
		return "no database; geo.unknown and geo.private say where then"
	}
	return s.Describe(time.Now())
}

// use replaces the Locator, watches the files of the new one, and keeps them fresh.
func (g *geography) use(l *geo.Locator, u fetch.Config) {
	g.close()
	g.current.Store(l)
	ctx, cancel := context.WithCancel(context.Background())
	g.stop = cancel
	g.running.Go(func() {
		if err := l.Run(ctx); err != nil && ctx.Err() == nil {
			u.Log.Error("geo databases are no longer watched; a reload watches them again", "err", err)
		}
	})
	if u.Every > 0 && len(u.Sources) > 0 {
		g.running.Go(func() { fetch.New(u).Run(ctx) })
	}
}

func (g *geography) close() {
	if g.stop != nil {
		g.stop()
		g.running.Wait()
	}
}

func (d *Service) openGeo(s *config.Settings) error {
	c := s.Geo
	c.Log = d.log.With("part", "geo")
	l, err := geo.Open(c)
	if err != nil {
		return err
	}
	d.useGeo(l, s)
	d.closing.add("geo", func(context.Context) error { d.geo.close(); return nil })
	return nil
}

func (d *Service) useGeo(l *geo.Locator, s *config.Settings) {
	u := s.GeoUpdate
	u.Log = d.log.With("part", "geo")
	d.geo.use(l, u)
}
