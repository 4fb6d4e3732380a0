package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"

	"github.com/signpost-fm/signpost/store/memstore"
	"github.com/signpost-fm/signpost/store/redisstore"
)

// newDirectorID names this run of the director among all that share a store.
func newDirectorID() string {
	host, err := os.Hostname()
	if err != nil {
		host = "director"
	}
	return host + "-" + rand.Text()[:8]
}

// shares says whether directors agree through Redis.
func (r *redisSection) shares() bool { return r.URL != "" || len(r.Addrs) > 0 }

func (l *loaded) redisConfig() redisstore.Config {
	r := &l.Store.Redis
	file := func(name string) string {
		if name == "" {
			return ""
		}
		return l.path(name)
	}
	return redisstore.Config{
		URL: r.URL, Addrs: r.Addrs, MasterName: r.MasterName, Cluster: r.Cluster,
		Username: r.Username, PasswordFile: file(r.PasswordFile), SentinelPasswordFile: file(r.SentinelPasswordFile),
		CAFile: file(r.CAFile), ServerName: r.ServerName, CertFile: file(r.CertFile), KeyFile: file(r.KeyFile),
		DB: r.DB, Prefix: r.Prefix,
	}
}

// shared checks how directors share.
func (c *converter) shared() {
	if !c.Store.Redis.shares() {
		return
	}
	// Opening it connects to nothing yet.
	s, err := redisstore.Open(c.redisConfig())
	if err != nil {
		c.fail(err.Error(), "store", "redis")
		return
	}
	_ = s.Close()
}

// stateDir returns the directory that outlives a restart, made if it is not there; empty: none.
func (l *loaded) stateDir() (string, error) {
	if l.StateDir == "" {
		return "", nil
	}
	dir := l.path(l.StateDir)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", fmt.Errorf("state_dir: %w", err)
	}
	return dir, nil
}

// openStore opens Redis, where it is configured, or the embedded store. Beside
// Redis the state directory holds a copy of the overlay, for starting while Redis
// is away and for filling one that was emptied.
func (d *service) openStore(s *settings) error {
	dir, err := s.stateDir()
	if err != nil {
		return err
	}
	log := d.log.With("part", "store")
	if s.Store.Redis.shares() {
		c := s.redisConfig()
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
		own, err := memstore.Open(c)
		if err != nil {
			return fmt.Errorf("store: %w", err)
		}
		d.store = own
	}
	d.closing.add("store", func(context.Context) error { return d.store.Close() })
	return nil
}
