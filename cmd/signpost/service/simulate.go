package service

import (
	"context"
	"fmt"

	"github.com/signpost-fm/signpost/cmd/signpost/simulate"
	"github.com/signpost-fm/signpost/web/admin"
)

// simulate plays what may come of a proposal, from the present state on.
func (d *Service) simulate(ctx context.Context, s admin.Simulation, progress func(float64)) (any, error) {
	settings := d.settings.Load()
	present := simulate.Present{
		Now: s.Now, Then: s.Then, Mix: d.mix.of, Probe: settings.Probe, Tick: settings.Store.Tick, Settle: settings.Store.Settle,
		Sites: s.Directors, LoseNodes: s.LostNodes, LoseSites: s.LostSites, LostFor: s.LostFor, For: s.For,
	}
	play, err := present.Play(s.At)
	if err != nil {
		return nil, err
	}
	if err := play.CheckMemory(simulate.AvailableMemory() / 4); err != nil {
		return nil, err
	}
	h, err := play.Gently(ctx, progress)
	if err != nil {
		return nil, err
	}
	if n := len(h.Samples); ctx.Err() != nil && n > 0 {
		play.Remarks = append(play.Remarks, fmt.Sprintf("it was stopped %v after its beginning, for it took too long; play fewer minutes", h.Samples[n-1].At))
	}
	return simulate.NewReport(h, &play, nil), nil
}
