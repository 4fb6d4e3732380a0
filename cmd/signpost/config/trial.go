package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/signpost-fm/signpost/director/wording"
	"github.com/signpost-fm/signpost/geo"
)

// Try finds mistakes that only show when things are opened: databases that cannot be
// used, and a state directory that cannot be written. The error is a [*yamlfile.Error].
func (s *Settings) Try() error {
	c := converter{Document: s.document}
	for i, name := range s.Geo.Databases {
		if _, err := geo.Open(geo.Config{Databases: []string{name}, Awaited: s.Geo.Awaited}); err != nil {
			c.fail(wording.Text(err), "geo", "databases", i)
		}
	}
	for i, name := range s.Geo.Feeds {
		if _, err := geo.Open(geo.Config{Feeds: []string{name}, Awaited: s.Geo.Awaited}); err != nil {
			c.fail(wording.Text(err), "geo", "feeds", i)
		}
	}
	c.stateDir()
	return s.document.annotate(errors.Join(c.errs...))
}

// TryStateDir is Try for the state directory alone.
func (s *Settings) TryStateDir() error {
	c := converter{Document: s.document}
	c.stateDir()
	return s.document.annotate(errors.Join(c.errs...))
}

// stateDir refuses a state directory that can neither be written nor made. It does not
// make it.
func (c *converter) stateDir() {
	if c.StateDir == "" {
		return
	}
	if err := tryToWrite(c.path(c.StateDir)); err != nil {
		c.fail(fmt.Sprintf("%s; give a directory that user %d can write to, or make", err, os.Getuid()), "state_dir")
	}
}

// tryToWrite makes a file, and removes it, in a directory, or in the parent that the
// directory would be made in.
func tryToWrite(dir string) error {
	_, err := os.Stat(dir)
	for errors.Is(err, fs.ErrNotExist) && filepath.Dir(dir) != dir {
		dir = filepath.Dir(dir)
		_, err = os.Stat(dir)
	}
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".signpost-*")
	var of *fs.PathError
	if errors.As(err, &of) { // its name was made up
		return fmt.Errorf("nothing can be written to %s: %w", dir, of.Err)
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}
