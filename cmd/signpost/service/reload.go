package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/signpost-fm/signpost/cmd/signpost/config"
	"github.com/signpost-fm/signpost/geo"
)

// apply puts other settings in force as a whole. After an error, the old ones stay.
func (d *Service) apply(s *config.Settings) error {
	d.reload.Lock()
	defer d.reload.Unlock()
	old := d.settings.Load()
	if s.StateDir != old.StateDir { // the next start opens it, when it is too late to refuse
		if err := s.TryStateDir(); err != nil {
			return err
		}
	}
	locator, err := d.newGeo(old, s)
	if err != nil {
		return err
	}
	d.settings.Store(s) // new nodes are probed with their kind and credentials
	// All this was checked before. If it fails all the same, what was applied is undone.
	if err := d.syncer.SetConfig(s.Fleet); err != nil {
		d.settings.Store(old)
		return err
	}
	p := d.policy(s)
	if err := d.web.SetPolicy(p); err != nil {
		d.settings.Store(old)
		return errors.Join(err, d.syncer.SetConfig(old.Fleet))
	}
	if d.names.server != nil && len(s.DNS.Listen) > 0 {
		if err := d.names.server.SetPolicy(d.dnsPolicy(s)); err != nil {
			d.settings.Store(old)
			return errors.Join(err, d.syncer.SetConfig(old.Fleet), d.web.SetPolicy(d.policy(old)))
		}
	}
	d.operatorRules = p.Overlay
	before := map[string]maskedRow{}
	if m := d.masked.Load(); m != nil {
		before = *m
	}
	masked := maskedRows(before, old.Fleet, s.Fleet, d.syncer.Overlay())
	d.masked.Store(&masked)
	d.tokens.use(s)
	if locator != nil {
		d.useGeo(locator, s)
	}
	for _, c := range []*certificates{&d.certs, &d.adminCerts} {
		if c.files != nil {
			c.reload(d.log)
		}
	}
	d.log.Info("configuration applied", "file", s.Name, "nodes", len(s.Fleet.Nodes), "regions", len(s.Fleet.Regions))
	d.applied(RestartKeys(d.started, s))
	d.sayWarnings(s)
	return nil
}

// newGeo opens the databases if they have changed; nil: they have not.
func (d *Service) newGeo(old, s *config.Settings) (*geo.Locator, error) {
	if reflect.DeepEqual(old.Geo, s.Geo) && reflect.DeepEqual(old.GeoUpdate, s.GeoUpdate) {
		return nil, nil
	}
	c := s.Geo
	c.Log = d.log.With("part", "geo")
	return geo.Open(c)
}

// RestartKeys returns the keys that differ, and are only read at the start.
func RestartKeys(old, s *config.Settings) []string {
	var keys []string
	for _, fixed := range []struct {
		key      string
		old, now any
	}{
		{"listen.http", old.Listen.HTTP, s.Listen.HTTP},
		{"listen.https", old.Listen.HTTPS, s.Listen.HTTPS},
		{"listen.acme", old.Listen.ACME, s.Listen.ACME},
		{"listen.tls", old.Listen.TLS, s.Listen.TLS},
		{"listen.proxy_protocol", old.Listen.ProxyProtocol, s.Listen.ProxyProtocol},
		{"listen.max_connections", old.Listen.MaxConnections, s.Listen.MaxConnections},
		{"privacy.secret_file", old.Secret, s.Secret},
		{"store", old.Store, s.Store},
		{"probe", old.Probe, s.Probe},
		{"proxy", old.Proxy, s.Proxy},
		{"dns.listen", old.DNS.Listen, s.DNS.Listen},
		{"dns.log_queries", old.DNS.LogQueries, s.DNS.LogQueries},
		{"admin.listen", old.Admin.Listen, s.Admin.Listen},
		{"admin.cert_file", old.Admin.Certificate == config.Certificate{}, s.Admin.Certificate == config.Certificate{}}, // TLS or not
		{"notify", old.Notify, s.Notify},
		{"azuracast", old.AzuraCast, s.AzuraCast},
		{"state_dir", old.StateDir, s.StateDir},
	} {
		if !reflect.DeepEqual(fixed.old, fixed.now) {
			keys = append(keys, fixed.key)
		}
	}
	return keys
}

// A Reloader applies a configuration file again, on a signal and when it changes.
type Reloader struct {
	service *Service
	name    string
	read    func() (*config.Settings, error)
	seen    []byte // the last content, good or bad

	// Before is called before the file is read again, and After with why it is refused, or
	// nil. Either may be nil.
	Before func()
	After  func(error)
}

// NewReloader returns a Reloader that ignores the content that the file has now. read
// reads it, with overrides by flags and environment.
func NewReloader(name string, read func() (*config.Settings, error)) *Reloader {
	r := &Reloader{name: name, read: read}
	r.changed()
	return r
}

// Follow runs r in the background, until Close. Each signal in again makes it read the
// file.
func (d *Service) Follow(r *Reloader, again <-chan os.Signal) {
	r.service = d
	d.closing.run("reloader", func(ctx context.Context) error { return r.watch(ctx, again) })
}

// reload applies the file, or logs its mistakes.
func (r *Reloader) reload() {
	if r.Before != nil {
		r.Before()
	}
	err := r.try()
	if r.After != nil {
		r.After(err)
	}
}

func (r *Reloader) try() error {
	s, err := r.read()
	if err == nil {
		err = r.service.apply(s)
	}
	if err == nil {
		return nil
	}
	r.service.refuse(err)
	log := r.service.log
	mistakes := config.Mistakes(err)
	if mistakes == nil {
		log.Error("the new configuration is refused, the old one stays in force", "file", r.name, "err", err)
		return err
	}
	log.Error("the new configuration is refused, the old one stays in force", "file", r.name, "mistakes", len(mistakes))
	for _, line := range mistakes {
		log.Error("mistake in the configuration", "at", line)
	}
	return err
}

// changed reports whether the file's content has changed since it was last read.
func (r *Reloader) changed() bool {
	source, err := os.ReadFile(r.name)
	if err != nil || bytes.Equal(source, r.seen) {
		return false // missing for a moment, or only touched
	}
	r.seen = source
	return true
}

// settleTime is how long a directory must be quiet before the file is read: editors and
// deployments write in several steps.
const settleTime = 200 * time.Millisecond

// watch reloads on every signal in again, and when the file has changed, until ctx is
// done. It watches the directory: the file is usually replaced and not written, and under
// Kubernetes a link beside it changes.
func (r *Reloader) watch(ctx context.Context, again <-chan os.Signal) error {
	w, err := watcher(r.name)
	if err != nil {
		// The director can serve without.
		r.service.log.Warn("the configuration file is not watched; SIGHUP reads it again", "err", err)
		w = new(fsnotify.Watcher) // its channels never deliver
	} else {
		defer w.Close()
	}
	quiet := time.NewTimer(0) // the file may have changed before this
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-again:
			r.seen = nil // if it cannot be read now, it has changed once it can
			r.changed()
			r.reload() //nolint:contextcheck // what is applied outlives this watch
		case <-w.Events:
			quiet.Reset(settleTime)
		case err := <-w.Errors:
			r.service.log.Warn("changes of the configuration file may have been missed; SIGHUP reads it again", "err", err)
		case <-quiet.C:
			if r.changed() {
				r.reload() //nolint:contextcheck // as above
			}
		}
	}
}

// watcher watches the directory of a file, and that of its target if it is a link.
func watcher(name string) (*fsnotify.Watcher, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	dirs := []string{filepath.Dir(name)}
	if target, err := filepath.EvalSymlinks(name); err == nil && filepath.Dir(target) != dirs[0] {
		dirs = append(dirs, filepath.Dir(target))
	}
	for _, dir := range dirs {
		if err := w.Add(dir); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", dir, err), w.Close())
		}
	}
	return w, nil
}
