package config

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"

	"github.com/signpost-fm/signpost/director/wording"
	"github.com/signpost-fm/signpost/store/redisstore"
)

// directorName is what hosts may be called, and _.
var directorName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// store converts and checks the section store.
func (c *converter) store() Store {
	out := Store{
		Name: c.Store.Name, Site: c.Store.Site, Tick: c.Store.Tick, Settle: c.Store.Settle,
		DownAfter: c.Store.Registered.DownAfter, ForgetAfter: c.Store.Registered.ForgetAfter,
	}
	if out.Name != "" && !directorName.MatchString(out.Name) {
		c.fail(fmt.Sprintf("%q: use letters, digits, ., _ and -, at most 63, and begin with a letter or digit", out.Name), "store", "name")
	}
	r := &c.Store.Redis
	if r.URL == "" && len(r.Addrs) == 0 {
		return out
	}
	out.Redis = &redisstore.Config{
		URL: r.URL, Addrs: r.Addrs, MasterName: r.MasterName, Cluster: r.Cluster,
		Username: r.Username, PasswordFile: c.path(r.PasswordFile), SentinelPasswordFile: c.path(r.SentinelPasswordFile),
		CAFile: c.path(r.CAFile), ServerName: r.ServerName, CertFile: c.path(r.CertFile), KeyFile: c.path(r.KeyFile),
		DB: r.DB, Prefix: r.Prefix,
	}
	// Opening it does not connect yet.
	s, err := redisstore.Open(*out.Redis)
	if err != nil {
		c.fail(wording.Text(err), "store", "redis")
		return out
	}
	_ = s.Close()
	return out
}

// TryStore lets the store that directors share do once all that they ask of it, and
// returns what it refuses; none: there is nothing to refuse.
func (s *Settings) TryStore() error {
	if s.Store.Redis == nil {
		return nil
	}
	c := *s.Store.Redis
	c.Log = slog.New(slog.DiscardHandler) // the error says it
	shared, err := redisstore.Open(c)
	if err != nil {
		return fmt.Errorf("store.redis: %w", err)
	}
	err = shared.Try(context.Background()) // it has a limit of its own
	if err = errors.Join(err, shared.Close()); err != nil {
		return fmt.Errorf("store.redis: %w", err)
	}
	return nil
}
