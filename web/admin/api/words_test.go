package api_test

import (
	"testing"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// Every reason and outcome has words of its own, which are not its name in the API unless
// that is plain already.
func TestEveryReasonHasWords(t *testing.T) {
	t.Parallel()
	plain := map[string]bool{"drained": true, "down": true}
	seen := map[string]bool{}
	check := func(name, words string) {
		if words == name && !plain[name] || seen[words] {
			t.Errorf("%s is said as %q", name, words)
		}
		seen[words] = true
	}
	for _, r := range director.AllReasons() {
		check(r.String(), api.InWords(r))
	}
	for _, o := range director.Outcomes() {
		check(o.String(), api.OutcomeInWords(o))
	}
}
