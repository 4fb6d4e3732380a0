package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/signpost-fm/signpost/cmd/signpost/yamlfile"
	"github.com/signpost-fm/signpost/director"
)

// loaded is a configuration file that was read without mistakes, and where each
// of its values stands.
type loaded struct {
	file
	name string // for messages, as the operator wrote it
	yaml *yamlfile.File
}

// dir is what relative paths in the file are relative to.
func (l *loaded) dir() string { return filepath.Dir(l.name) }

// path makes a path of the file absolute, or relative to the working directory.
func (l *loaded) path(p string) string {
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(l.dir(), p)
}

// loadFile reads the configuration file of that name. An error about its content
// is a [*yamlfile.Error] with every mistake in it.
func loadFile(name string) (*loaded, error) {
	source, err := yamlfile.Source(name)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	return load(name, source)
}

// load reads a configuration from source. name is used in messages and for
// relative paths.
func load(name string, source []byte) (*loaded, error) {
	l := &loaded{name: name}
	const empty = "the file is empty; `signpost demo` runs without one, and docs/configuration.md describes what belongs here"
	var err error
	if l.yaml, err = yamlfile.Parse(name, source, &l.file, empty); err != nil {
		return nil, err
	}
	return l, nil
}

// readClientFile reads the file of an operators' command line into the struct that
// v points to. The error has its mistakes without the lines themselves: somebody may
// have written a token there.
func readClientFile(name string, v any) error {
	source, err := yamlfile.Source(name)
	if err != nil {
		return err
	}
	_, err = yamlfile.Parse(name, source, v, "the file is empty; it has the keys server and token_file, or need not be there")
	var refused *yamlfile.Error
	if errors.As(err, &refused) {
		return errors.New(strings.Join(refused.Lines(), "\n"))
	}
	return err
}

// annotate turns what other packages say about a configuration into mistakes at
// their places in the file.
func (l *loaded) annotate(err error) error {
	if err == nil {
		return nil
	}
	var mistakes []yamlfile.Mistake
	for _, one := range flatten(err) {
		var c *director.ConfigError
		if errors.As(one, &c) {
			c = translate(c)
			mistakes = append(mistakes, yamlfile.Mistake{Position: l.yaml.Position(c.Path), Message: c.Error()})
		} else {
			mistakes = append(mistakes, yamlfile.Mistake{Message: one.Error()})
		}
	}
	return l.yaml.Error(mistakes)
}

// flatten takes joined errors apart.
func flatten(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, one := range joined.Unwrap() {
		all = append(all, flatten(one)...)
	}
	return all
}
