package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/signpost-fm/signpost/cmd/signpost/config"
	"github.com/signpost-fm/signpost/cmd/signpost/service"
	"github.com/signpost-fm/signpost/cmd/signpost/yamlfile"
	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/wording"
)

type checkCmd struct {
	configFile
	JSON  bool `help:"Print the meaning as JSON."`
	Quiet bool `short:"q" help:"Print mistakes only, for scripts and for systemctl reload."`
	Probe bool `help:"Ask each node once, at every URL, and say what it plays; let Redis do once all that directors ask of it; ask the AzuraCast. Fails if a node is down, a mount is missing, or Redis or the AzuraCast refuses."`
}

// Run checks the file and prints what it means.
func (c *checkCmd) Run(ctx context.Context, out *console) error {
	file, err := c.name()
	if err != nil {
		return err
	}
	if file == "" {
		return errors.New("which configuration? Name the file, as in `signpost check signpost.yaml`")
	}
	s, err := config.Read(file)
	if err == nil {
		err = s.Try()
	}
	if err != nil {
		return c.refused(file, out.out, err)
	}
	var reports map[director.NodeID]director.Report
	var complaints []string
	if c.Probe {
		reports, complaints = s.ProbeOnce()
	}
	m, err := s.Meaning(reports)
	if err != nil {
		return err
	}
	replaced, unread := service.Replaced(context.Background(), s, c.Probe)
	m.Warnings = append(m.Warnings, replaced...)
	if unread != nil {
		m.Warnings = append(m.Warnings, "operators' changes cannot be read, so it is not known which of the file's rows they replace: "+wording.Text(unread))
	}
	if c.Probe {
		m.Warnings = append(m.Warnings, complaints...)
		m.Warnings = append(m.Warnings, s.LimitWarnings(reports)...)
		m.Warnings = append(m.Warnings, s.MembersWarnings(reports)...)
		m.Warnings = append(m.Warnings, s.MountWarnings(reports)...)
		m.Warnings = append(m.Warnings, s.NameWarnings()...)
		err = errors.Join(append(s.Faults(reports), s.TryStore(), s.TryAzuraCast(ctx))...)
	}
	if c.JSON {
		return errors.Join(printJSON(out.out, m), err)
	}
	if !c.Quiet {
		m.Print(out.out)
	}
	return err
}

// refused prints the mistakes as JSON if that was asked for. Otherwise they are printed
// as every error is.
func (c *checkCmd) refused(file string, out io.Writer, err error) error {
	var f *yamlfile.Error
	if !c.JSON || !errors.As(err, &f) {
		return err
	}
	m := config.Meaning{File: file}
	for _, one := range f.Mistakes {
		m.Mistakes = append(m.Mistakes, config.MistakeMeaning{Line: one.Line, Column: one.Column, Message: one.Message})
	}
	return errors.Join(printJSON(out, m), fmt.Errorf("%s: %s", file, wording.Count(len(f.Mistakes), "mistake")))
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
