package service

import (
	"fmt"
	"slices"
	"strings"

	"github.com/signpost-fm/signpost/cmd/signpost/config"
	"github.com/signpost-fm/signpost/cmd/signpost/output"
	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/wording"
)

// A configStatus says how the configuration in force differs from the file. It is
// immutable. The zero value: it does not.
type configStatus struct {
	refused error    // why the file is refused; nil: it is not
	restart []string // keys of the last accepted file that need a restart
}

// applied records that a file is in force, except for keys that need a restart. New ones
// are logged.
func (d *Service) applied(restart []string) {
	before := d.status.Swap(&configStatus{restart: restart}).restart
	for _, key := range restart {
		if !slices.Contains(before, key) {
			d.log.Warn("this change needs a restart; until then the old value holds", "key", key)
		}
	}
}

// refuse records that the file is refused.
func (d *Service) refuse(err error) {
	d.status.Store(&configStatus{refused: err, restart: d.status.Load().restart})
}

// maxShown is how many mistakes of a refused file operators see; the log has all.
const maxShown = 3

// troubles returns what is wrong besides the syncer's status. full is for operators only:
// mistakes may quote secrets.
func (d *Service) troubles(full bool) []string {
	var all []string
	s := d.status.Load()
	if s.refused != nil {
		text := "the configuration file is refused: the one before stays in force, and a restart would fail"
		if full {
			text += ": " + strings.Join(firstMistakes(s.refused), "; ")
		}
		all = append(all, text)
	}
	if len(s.restart) > 0 {
		all = append(all, "changes of the configuration wait for a restart: "+strings.Join(s.restart, ", "))
	}
	if d.noNodeFit() {
		all = append(all, "no node is fit: each is down, drained or not yet probed")
	} else if view := d.syncer.View(); view.Snapshot != nil {
		for _, off := range view.OffAir() {
			all = append(all, off.String())
		}
	}
	if w := d.files.warning(d.started); w != "" {
		all = append(all, w)
	}
	all = append(all, d.certificateTroubles()...)
	all = append(all, d.plots.troubles()...)
	return append(all, d.outputTroubles()...)
}

// outputTroubles returns what keeps records or log lines from being written.
func (d *Service) outputTroubles() []string {
	var all []string
	for _, o := range []struct {
		what string
		*output.Writer
	}{{"request records", d.records.writer()}, {"log lines", d.options.LogTo}} {
		if o.Writer == nil {
			continue
		}
		switch err, blocked := o.Err(); {
		case err != nil:
			all = append(all, fmt.Sprintf("%s cannot be written: %v; %d were dropped so far", o.what, err, o.Dropped()))
		case blocked:
			all = append(all, fmt.Sprintf("%s wait for a reader that takes nothing; %d were dropped so far", o.what, o.Dropped()))
		}
	}
	return all
}

// firstMistakes returns the first mistakes in err, each as one line.
func firstMistakes(err error) []string {
	lines := config.Mistakes(err)
	if lines == nil {
		lines = strings.Split(wording.Text(err), "\n")
	}
	if n := len(lines) - maxShown; n > 0 {
		lines = append(lines[:maxShown:maxShown], fmt.Sprintf("and %d more, see the log", n))
	}
	return lines
}

// noNodeFit reports whether no node is fit. Before the first snapshot that is not known.
func (d *Service) noNodeFit() bool {
	view := d.syncer.View()
	if view.Snapshot == nil {
		return false
	}
	for i := range view.Nodes() {
		if view.Node(i).State == director.Fit {
			return false
		}
	}
	return true
}
