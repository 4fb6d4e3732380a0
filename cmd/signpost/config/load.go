package config

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/signpost-fm/signpost/cmd/signpost/yamlfile"
)

// A Document is a configuration file that was read without mistakes, before its parts
// are checked against each other.
type Document struct {
	File
	name string // for messages, as the operator wrote it
	yaml *yamlfile.File
}

// path makes a path of the file relative to the working directory, if it is not absolute.
func (d *Document) path(p string) string {
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(filepath.Dir(d.name), p)
}

// Load reads the configuration file of that name. An error about its content is a
// [*yamlfile.Error] with every mistake in it.
func Load(name string) (*Document, error) {
	source, err := yamlfile.Source(name)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	return Parse(name, source)
}

// Parse reads a configuration from source. name is for messages, and relative paths
// are relative to its directory.
func Parse(name string, source []byte) (*Document, error) {
	const empty = "the file is empty; `signpost demo` runs without one, and docs/configuration.md describes what belongs here"
	d := &Document{name: name}
	var err error
	if d.yaml, err = yamlfile.Parse(name, source, &d.File, empty); err != nil {
		return nil, err
	}
	return d, nil
}

// Glance reads what can be read of a configuration file: a mistake in one value does
// not keep the others back. Without a name, it returns the defaults.
func Glance(name string) (f File, err error) {
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

// Read loads a file and checks all of it.
func Read(name string) (*Settings, error) {
	d, err := Load(name)
	if err != nil {
		return nil, err
	}
	return d.Settings()
}
