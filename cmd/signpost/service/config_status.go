package service

import (
	"fmt"
	"slices"
	"strings"

	"github.com/signpost-fm/signpost/cmd/signpost/config"
	"github.com/signpost-fm/signpost/director"
)

// A configStatus says how the configuration in force differs from the file. It is
// immutable. The zero value: it does not.
type configStatus struct {
	refused error    // what is wrong with the file, so that the one before stays in force; nil: nothing
	restart []string // keys of the last good file that wait for a restart
}

// applied notes that a file is in force, but for keys that wait for a restart, and
// logs those that are new.
func (d *Service) applied(restart []string) {
	before := d.status.Swap(&configStatus{restart: restart}).restart
	for _, key := range restart {
		if !slices.Contains(before, key) {
			d.log.Warn("this change needs a restart; until then the old value holds", "key", key)
		}
	}
}

// refuse notes that a file is not in force, and why.
func (d *Service) refuse(err error) {
	d.status.Store(&configStatus{refused: err, restart: d.status.Load().restart})
}

// maxShown is how many mistakes are shown of a file that is refused; the log has all.
const maxShown = 3

// troubles says what is not as it should be, besides what the syncer's status
// tells. In full is for operators: a mistake may quote what is nobody else's to know.
func (d *Service) troubles(full bool) []string {
	var all []string
	s := d.status.Load()
	if s.refused != nil {
		text := "the configuration file is refused: the one before stays in force, and a restart would fail"
		if full {
			text += ": " + strings.Join(shortly(s.refused), "; ")
		}
		all = append(all, text)
	}
	if len(s.restart) > 0 {
		all = append(all, "changes of the configuration wait for a restart: "+strings.Join(s.restart, ", "))
	}
	if d.nobodyFit() {
		all = append(all, "no node is fit: each is down, drained or not yet probed")
	}
	return all
}

// shortly gives the first mistakes that an error is about, each in one line.
func shortly(err error) []string {
	lines := config.Mistakes(err)
	if lines == nil {
		lines = strings.Split(err.Error(), "\n")
	}
	if n := len(lines) - maxShown; n > 0 {
		lines = append(lines[:maxShown:maxShown], fmt.Sprintf("and %d more, see the log", n))
	}
	return lines
}

// nobodyFit says whether no node is one that listeners should be sent to. Before the
// first snapshot nobody knows.
func (d *Service) nobodyFit() bool {
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
