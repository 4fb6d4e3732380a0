// Package fetch keeps the files of package geo fresh: it fetches databases and
// geofeeds from those who publish them, and puts a file in place of the old one only
// when it was fetched whole, its checksum is right, and package geo can use it.
//
// A running [geo.Locator] takes the new file up by itself.
package fetch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/signpost-fm/signpost/geo"
)

// A Source says where a file comes from: MaxMind, DB-IP or any URL, one of them.
type Source struct {
	File string // the path that is kept fresh; its directory must be there
	Feed bool   // it is a geofeed, and no database

	MaxMind     string // the edition: GeoLite2-City
	AccountFile string // of MaxMind: one line, account:key
	DBIP        string // the Lite database: city, country or asn; there is one a month
	URL         string
	SHA256      string // of what URL answers: 64 hexadecimal digits, or the URL of a file that begins with them; empty: not known

	Host string // base URL to ask in place of the publisher's: a mirror
}

// Config is what an Updater does.
type Config struct {
	Sources []Source
	Every   time.Duration // how often to ask for news
	Client  *http.Client  // nil: one with time limits
	Now     func() time.Time
	Log     *slog.Logger
}

// An Updater keeps files fresh. Its methods must not be called concurrently.
type Updater struct{ cfg Config }

const (
	// wholeTimeout bounds a download. A city database has 30 MB.
	wholeTimeout = 15 * time.Minute
	// retryAfter is how soon what failed is tried again, if not sooner anyway.
	retryAfter = time.Hour
)

// New makes an Updater.
func New(c Config) *Updater {
	if c.Client == nil {
		c.Client = &http.Client{Timeout: wholeTimeout}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Updater{c}
}

// A Result is what became of a file.
type Result struct {
	Source  Source
	Changed bool
	Err     error // the old file, if there was one, is still there
}

// String is a line for people.
func (r Result) String() string {
	switch {
	case r.Err != nil:
		return fmt.Sprintf("%s: %s; what was there stays", r.Source.File, r.Err)
	case r.Changed:
		return r.Source.File + ": replaced by a newer one"
	}
	return r.Source.File + ": is the newest"
}

// Run updates what is due until ctx is done.
func (u *Updater) Run(ctx context.Context) {
	due := map[string]time.Time{}
	for _, s := range u.cfg.Sources {
		due[s.File] = u.due(s)
	}
	for {
		next := u.cfg.Now().Add(u.cfg.Every)
		for _, s := range u.cfg.Sources {
			if at := due[s.File]; at.After(u.cfg.Now()) {
				next = earlier(next, at)
				continue
			}
			again := u.cfg.Every
			r := u.update(ctx, s)
			switch {
			case ctx.Err() != nil:
				return
			case r.Err != nil:
				again = min(again, retryAfter)
				u.cfg.Log.Error("geo file not updated, what was there stays", "file", s.File, "err", r.Err, "again_in", again)
			case r.Changed:
				u.cfg.Log.Info("geo file updated", "file", s.File)
			}
			due[s.File] = u.cfg.Now().Add(again)
			next = earlier(next, due[s.File])
		}
		timer := time.NewTimer(next.Sub(u.cfg.Now()))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// due is when a file should be asked for: now if it is not there or was not asked for
// in so long, also by an earlier run.
func (u *Updater) due(s Source) time.Time {
	if _, err := os.Stat(s.File); err != nil {
		return time.Time{}
	}
	return readMemo(s).Checked.Add(u.cfg.Every)
}

// Update asks for all files once.
func (u *Updater) Update(ctx context.Context) []Result {
	var all []Result
	for _, s := range u.cfg.Sources {
		all = append(all, u.update(ctx, s))
	}
	return all
}

// update fetches one file, if there is a newer one.
func (u *Updater) update(ctx context.Context, s Source) Result {
	m := readMemo(s)
	if _, err := os.Stat(s.File); err != nil {
		m = memo{} // ask for all of it
	}
	changed, err := u.fetch(ctx, s, &m)
	if err == nil {
		m.Checked = u.cfg.Now().UTC()
		err = writeMemo(s, m)
	}
	return Result{s, changed, err}
}

// A memo is what is remembered of a file, beside it.
type memo struct {
	URL          string    `json:"url"`
	ETag         string    `json:"etag,omitempty"`
	LastModified string    `json:"last_modified,omitempty"`
	Checked      time.Time `json:"checked"`
}

func memoFile(s Source) string { return s.File + ".update.json" }

// readMemo returns nothing if there is none, or if it is damaged.
func readMemo(s Source) (m memo) {
	if b, err := os.ReadFile(memoFile(s)); err == nil && json.Unmarshal(b, &m) != nil {
		return memo{}
	}
	return m
}

func writeMemo(s Source, m memo) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return replace(memoFile(s), func(f *os.File) error {
		_, err := f.Write(append(b, '\n'))
		return err
	})
}

// replace writes a file whole before it takes the place of the one at path.
func replace(path string, write func(*os.File) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // which is in vain once it has been renamed
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Chmod(f.Name(), 0o644); err != nil { //nolint:gosec // as databases are: there is nothing secret in them
		return err
	}
	return os.Rename(f.Name(), path)
}

// install puts the fetched file in place. The one before stays beside it, as .old.
func install(s Source, fetched string) error {
	err := replace(s.File, func(f *os.File) error {
		if err := unpack(fetched, f); err != nil {
			return err
		}
		if err := geo.Check(f.Name(), s.Feed); err != nil {
			return fmt.Errorf("what was fetched is of no use: %w", err)
		}
		_ = os.Remove(s.File + ".old")
		if err := os.Link(s.File, s.File+".old"); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("keep the old file: %w", err)
		}
		return nil
	})
	return err
}

// readAccount reads MaxMind's account and key.
func readAccount(path string) (account, key string, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", "", err
	}
	a, k, ok := bytes.Cut(bytes.TrimSpace(b), []byte(":"))
	if !ok || len(a) == 0 || len(k) == 0 || bytes.ContainsAny(k, "\r\n") {
		return "", "", fmt.Errorf("%s must hold one line, account:key", path)
	}
	return string(a), string(k), nil
}
