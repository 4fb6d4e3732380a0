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

// apply puts other settings in force: whole, or not at all. With an error the
// old ones stay.
func (d *Service) apply(s *config.Settings) error {
	d.reload.Lock()
	defer d.reload.Unlock()
	old := d.settings.Load()
	if s.StateDir != old.StateDir { // it is opened at the next start, too late to refuse it
		if err := s.TryStateDir(); err != nil {
			return err
		}
	}
	locator, err := d.newGeo(old, s)
	if err != nil {
		return err
	}
	d.settings.Store(s) // before new nodes are probed, for their kind and credentials
	// What follows was checked by settle: it fails only through a fault of ours,
	// and then the part that has been applied is taken back.
	if err := d.syncer.SetConfig(s.Fleet); err != nil {
		d.settings.Store(old)
		return err
	}
	p := d.policy(s)
	if err := d.web.SetPolicy(p); err != nil {
		d.settings.Store(old)
		return errors.Join(err, d.syncer.SetConfig(old.Fleet))
	}
	d.operatorRules = p.Overlay
	if locator != nil {
		d.geo.use(locator, d.log)
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

// newGeo opens the databases if they are others than before.
func (d *Service) newGeo(old, s *config.Settings) (*geo.Locator, error) {
	if reflect.DeepEqual(old.Geo, s.Geo) {
		return nil, nil
	}
	c := s.Geo
	c.Log = d.log.With("part", "geo")
	return geo.Open(c)
}

// RestartKeys lists the keys that differ from those at the start, and are looked at only then.
func RestartKeys(old, s *config.Settings) []string {
	var keys []string
	for _, fixed := range []struct {
		key      string
		old, now any
	}{
		{"listen.http", old.Listen.HTTP, s.Listen.HTTP},
		{"listen.https", old.Listen.HTTPS, s.Listen.HTTPS},
		{"listen.proxy_protocol", old.Listen.ProxyProtocol, s.Listen.ProxyProtocol},
		{"listen.max_connections", old.Listen.MaxConnections, s.Listen.MaxConnections},
		{"privacy.secret_file", old.Secret, s.Secret},
		{"store", old.Store, s.Store},
		{"probe", old.Probe, s.Probe},
		{"proxy", old.Proxy, s.Proxy},
		{"admin.listen", old.Admin.Listen, s.Admin.Listen},
		{"admin.cert_file", old.Admin.Certificate == config.Certificate{}, s.Admin.Certificate == config.Certificate{}}, // whether there is TLS
		{"state_dir", old.StateDir, s.StateDir},
	} {
		if !reflect.DeepEqual(fixed.old, fixed.now) {
			keys = append(keys, fixed.key)
		}
	}
	return keys
}

// A Reloader reads a file again on a signal and when it changes.
type Reloader struct {
	service *Service
	name    string
	read    func() (*config.Settings, error)
	seen    []byte // what was last read, good or bad
}

// NewReloader remembers what the file has now. read is how it is read, with what flags
// and environment say.
func NewReloader(name string, read func() (*config.Settings, error)) *Reloader {
	r := &Reloader{name: name, read: read}
	r.changed()
	return r
}

// Follow has the file read again on every signal in again, and when it has changed,
// until Close.
func (d *Service) Follow(r *Reloader, again <-chan os.Signal) {
	r.service = d
	d.closing.run("reloader", func(ctx context.Context) error { return r.watch(ctx, again) })
}

// reload applies the file, or says what is wrong with it.
func (r *Reloader) reload() {
	s, err := r.read()
	if err == nil {
		err = r.service.apply(s)
	}
	if err == nil {
		return
	}
	r.service.refuse(err)
	log := r.service.log
	mistakes := config.Mistakes(err)
	if mistakes == nil {
		log.Error("the new configuration is refused, the old one stays in force", "file", r.name, "err", err)
		return
	}
	log.Error("the new configuration is refused, the old one stays in force", "file", r.name, "mistakes", len(mistakes))
	for _, line := range mistakes {
		log.Error("mistake in the configuration", "at", line)
	}
}

// changed says whether the file's content is another than when it was last read.
func (r *Reloader) changed() bool {
	source, err := os.ReadFile(r.name)
	if err != nil || bytes.Equal(source, r.seen) {
		return false // gone for a moment, or only touched
	}
	r.seen = source
	return true
}

// settleTime is how long a directory must be quiet before a file in it is read:
// editors and deployments write in several steps.
const settleTime = 200 * time.Millisecond

// watch reloads on every signal in again, and when the file has changed, until
// ctx is done. The directory is watched and not the file: it is replaced rather
// than written, and under Kubernetes a link beside it is what changes.
func (r *Reloader) watch(ctx context.Context, again <-chan os.Signal) error {
	w, err := watcher(r.name)
	if err != nil {
		// The director serves without, so this is no reason to end.
		r.service.log.Warn("the configuration file is not watched; SIGHUP reads it again", "err", err)
		w = new(fsnotify.Watcher) // its channels never say anything
	} else {
		defer w.Close()
	}
	quiet := time.NewTimer(0) // the file may have changed before it was watched
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-again:
			r.seen = nil // a file that cannot be read now is another once it can
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

// watcher watches the directory of a file, and that of what it is a link to.
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
