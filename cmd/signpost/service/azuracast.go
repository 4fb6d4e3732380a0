package service

import (
	"context"
	"time"

	"github.com/signpost-fm/signpost/cmd/signpost/azuracast"
	"github.com/signpost-fm/signpost/cmd/signpost/config"
	"github.com/signpost-fm/signpost/cmd/signpost/notify"
	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
)

// openAzuraCast starts to be a relay to an AzuraCast, if the settings name one. Of the
// directors that share a store, one at a time reports.
func (d *Service) openAzuraCast(s *config.Settings) error {
	if s.AzuraCast == nil {
		return nil
	}
	c := *s.AzuraCast
	c.Log = d.log.With("part", "azuracast")
	c.Snapshot = func() *director.Snapshot { return d.syncer.View().Snapshot }
	if shared, ok := d.store.(store.Files); ok {
		c.Claim = func(ctx context.Context, length time.Duration) (bool, error) {
			return shared.Claim(ctx, "azuracast", d.id, length)
		}
	}
	d.azura = azuracast.NewRelay(c)
	d.closing.run("relay to "+c.URL, d.azura.Run)
	return nil
}

// azuraTroubles says what keeps the AzuraCast from knowing of the fleet. It concerns no
// listener of a director, so it degrades nothing.
func (d *Service) azuraTroubles() (all []notify.Condition) {
	if d.azura == nil {
		return nil
	}
	for _, t := range d.azura.Troubles() {
		all = append(all, notify.Condition{Key: t.Key, Text: t.Text, Remedy: t.Remedy, Over: t.Over})
	}
	return all
}
