package service

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/signpost-fm/signpost/cmd/signpost/config"
	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/store/memstore"
	"github.com/signpost-fm/signpost/store/redisstore"
)

// directorName returns what people call this director: by default as the host.
func directorName(s *config.Settings) string {
	host, err := os.Hostname()
	if err != nil {
		host = "director"
	}
	return cmp.Or(s.Store.Name, host)
}

// newDirectorID returns an id for this run of a director, which is unique in the store.
func newDirectorID(name string) string { return name + "-" + rand.Text()[:8] }

// sharedName is how long two directors of one name must have lived beside each other until
// operators are told: one that takes another's place overlaps it.
const sharedName = time.Minute

// namesakes returns the ids of other live directors that have this one's name. Those that
// leave do not count. All times are by the store's clock.
func namesakes(self store.Director, live []store.Director) (ids []string) {
	for _, d := range live {
		known := d.Name == self.Name && !d.Started.IsZero() && !self.Started.IsZero()
		together := min(d.Seen.Sub(d.Started), d.Seen.Sub(self.Started))
		if d.ID != self.ID && known && !d.Leaving && !self.Leaving && together >= sharedName {
			ids = append(ids, d.ID)
		}
	}
	return ids
}

// openStore opens Redis if it is configured, and the embedded store otherwise. With Redis,
// the state directory has a copy of the overlay, for a start while Redis is away and for a
// Redis that lost its data.
func (d *Service) openStore(s *config.Settings) error {
	dir := s.StateDir
	log := d.log.With("part", "store")
	if s.Store.Redis != nil {
		c := *s.Store.Redis
		c.Log = log
		shared, err := redisstore.Open(c)
		if err != nil {
			return fmt.Errorf("store.redis: %w", err)
		}
		d.store, d.copyDir = shared, dir
	} else {
		c := memstore.Config{Log: log}
		if dir != "" {
			c.Path = filepath.Join(dir, "overlay.json")
		}
		d.store = memstore.Open(c)
	}
	d.closing.add("store", func(context.Context) error { return d.store.Close() })
	return nil
}
