// Package fetch keeps the files of package geo up to date: it fetches databases and
// geofeeds from their publishers. It replaces a file only when the new one is complete,
// its checksum is right, and package geo can use it.
//
// A running [geo.Locator] loads the new file by itself.
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

// A Source says where a file comes from: exactly one of MaxMind, DBIP and URL is set.
type Source struct {
	File string // the path of the file; its directory must exist
	Feed bool   // it is a geofeed, not a database

	MaxMind     string // the edition: GeoLite2-City
	AccountFile string // with MaxMind's account: one line, account:key
	DBIP        string // the Lite database: city, country or asn; DB-IP builds one a month
	URL         string
	SHA256      string // of what is at URL: 64 hexadecimal digits, or the URL of a file that begins with them; empty: unknown

	Host string // base URL of a mirror, in place of the publisher's
}

// Config configures an Updater.
type Config struct {
	Sources []Source
	Every   time.Duration // how often to ask for a newer file
	Client  *http.Client  // nil: one with a time limit of 15 minutes
	Now     func() time.Time
	Log     *slog.Logger
}

// An Updater keeps files up to date. Its methods must not be called concurrently.
type Updater struct{ cfg Config }

const (
	// wholeTimeout bounds a download. A city database has 30 MB.
	wholeTimeout = 15 * time.Minute
	// retryAfter is when a failed update is tried again, unless Config.Every is shorter.
	retryAfter = time.Hour
)

// New returns an Updater.
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

// A Result is the result of updating one file.
type Result struct {
	Source  Source
	Changed bool
	Err     error // nil: success; otherwise the old file, if any, is still in place
}

// String returns a line for people.
func (r Result) String() string {
	switch {
	case r.Err != nil:
		return fmt.Sprintf("%s: %s; what was there stays", r.Source.File, r.Err)
	case r.Changed:
		return r.Source.File + ": replaced by a newer one"
	}
	return r.Source.File + ": is the newest"
}

// Run updates files when they are due, until ctx is done.
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
				u.cfg.Log.Error("geo file not updated; the old one stays in use", "file", s.File, "err", r.Err, "again_in", again)
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

// due returns when to ask for a file next. The time is in the past if the file does not
// exist, or if Config.Every has passed since it was last asked for, by this run or an
// earlier one.
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
		m = memo{} // so that the request is not conditional
	}
	changed, err := u.fetch(ctx, s, &m)
	if err == nil {
		m.Checked = u.cfg.Now().UTC()
		err = writeMemo(s, m)
	}
	return Result{s, changed, err}
}

// A memo is what is remembered of a file, in a file next to it.
type memo struct {
	URL          string    `json:"url"`
	ETag         string    `json:"etag,omitempty"`
	LastModified string    `json:"last_modified,omitempty"`
	Checked      time.Time `json:"checked"`
}

func memoFile(s Source) string { return s.File + ".update.json" }

// readMemo returns the zero memo if there is none, or if it is damaged.
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

// replace writes a temporary file, and renames it to path when it is complete.
func replace(path string, write func(*os.File) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails, harmlessly, once it has been renamed
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

// install unpacks the fetched file, checks it and puts it in place. The previous file is
// kept next to it, as .old.
func install(s Source, fetched string) error {
	err := replace(s.File, func(f *os.File) error {
		if err := unpack(fetched, f); err != nil {
			return err
		}
		if err := geo.Check(f.Name(), s.Feed); err != nil {
			return fmt.Errorf("the fetched file cannot be used: %w", err)
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
