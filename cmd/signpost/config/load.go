package config

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/signpost-fm/signpost/cmd/signpost/yamlfile"
)

// A Document is a configuration file that was read, before it is checked as a whole.
type Document struct {
	File
	name string // as the operator wrote it
	yaml *yamlfile.File
}

// path returns a path in the file, which is relative to the file, for use by the process.
func (d *Document) path(p string) string {
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(filepath.Dir(d.name), p)
}

// Load reads the configuration file of that name. An error about its content is a
// [*yamlfile.Error].
func Load(name string) (*Document, error) {
	source, err := yamlfile.Source(name)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	return Parse(name, source)
}

// Parse reads a configuration from source. name is its file's name, for messages and for
// relative paths.
func Parse(name string, source []byte) (*Document, error) {
	const empty = "the file is empty; `signpost demo` runs without one, and docs/configuration.md describes what belongs here"
	d := &Document{name: name}
	var err error
	if d.yaml, err = yamlfile.Parse(name, source, &d.File, empty); err != nil {
		return nil, err
	}
	return d, nil
}

// ReadLenient returns the values of a configuration file that have no mistake, and the
// defaults of all others. Without a name, it returns the defaults.
func ReadLenient(name string) (f File, err error) {
	if name == "" {
		yamlfile.SetDefaults(&f)
		return f, nil
	}
	source, err := yamlfile.Source(name)
	if err != nil {
		return f, err
	}
	_, err = yamlfile.Parse(name, source, &f, "the file is empty")
	var refused *yamlfile.Error
	if errors.As(err, &refused) && refused.Partial {
		err = nil
	}
	return f, err
}

// Read loads and checks a configuration file.
func Read(name string) (*Settings, error) {
	d, err := Load(name)
	if err != nil {
		return nil, err
	}
	return d.Settings()
}
