package service

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"

	"github.com/signpost-fm/signpost/cmd/signpost/config"
	"github.com/signpost-fm/signpost/store/memstore"
	"github.com/signpost-fm/signpost/store/redisstore"
)

// newDirectorID returns a name for this run, which is unique in the store.
func newDirectorID() string {
	host, err := os.Hostname()
	if err != nil {
		host = "director"
	}
	return host + "-" + rand.Text()[:8]
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
