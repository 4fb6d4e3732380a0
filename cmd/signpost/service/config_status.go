package service

import (
	"fmt"
	"slices"
	"strings"

	"github.com/signpost-fm/signpost/cmd/signpost/config"
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
