package config

import (
	"errors"

	"github.com/signpost-fm/signpost/cmd/signpost/yamlfile"
	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/wording"
)

// Mistakes returns the mistakes of a refused file, each as one line for a log. nil: err
// is about something else.
func Mistakes(err error) []string {
	var refused *yamlfile.Error
	if errors.As(err, &refused) {
		return refused.Lines()
	}
	return nil
}

// annotate turns errors of other packages into mistakes at their positions in the file.
func (d *Document) annotate(err error) error {
	if err == nil {
		return nil
	}
	var mistakes []yamlfile.Mistake
	for _, one := range flatten(err) {
		var c *director.ConfigError
		if errors.As(one, &c) {
			c = translate(c)
			mistakes = append(mistakes, yamlfile.Mistake{Position: d.yaml.Position(c.Path), Message: wording.Text(c)})
		} else {
			mistakes = append(mistakes, yamlfile.Mistake{Message: wording.Text(one)})
		}
	}
	return d.yaml.Error(mistakes)
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
