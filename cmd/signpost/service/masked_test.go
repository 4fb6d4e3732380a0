package service

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/signpost-fm/signpost/store"
)

// TestMaskedRow: a row that is changed in the file while operators' weights are used is
// told, with who and when, until the file is as it was or the weights are set anew.
func TestMaskedRow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "state"), 0o700); err != nil {
		t.Fatal(err)
	}
	const overlay = `{"schema": 1, "revision": 3, "rows": {"all": {"weights": {"one": 3, "two": 1}, "by": "anna", "at": "2026-03-01T12:00:00Z", "revision": 3}}, "overflows": {"all": {"regions": [], "by": "anna", "at": "2026-03-01T12:00:00Z", "revision": 2}}}`
	if err := os.WriteFile(filepath.Join(dir, "state", "overlay.json"), []byte(overlay), 0o600); err != nil {
		t.Fatal(err)
	}
	const format = "state_dir: state\nlisten: {http: '127.0.0.1:0'}\nadmin: {listen: ''}\nnodes: [{id: one, urls: '%s', kind: http}, {id: two, urls: 'http://127.0.0.1:1', kind: http}]\n" +
		"regions: [{id: all, match: default, weights: {one: %d, two: 1}, overflow: %s}, {id: spare, weights: [two]}]\n"
	d := startService(t, dir, strings.NewReplacer("%d", "1", "overflow: %s", "overflow: []").Replace(format), Options{})
	url := d.settings.Load().Fleet.Nodes[0].URLs[0]
	what := "weights"
	masked := func() bool {
		text := "the " + what + " of region all in the file changed, without effect: what anna set at 2026-03-01T12:00:00Z is used"
		return slices.Contains(texts(d), text)
	}
	overflow := "[]"
	apply := func(weight int) {
		t.Helper()
		s, err := readConfig(t, filepath.Join(dir, "radio.yaml"), fmt.Appendf(nil, format, url, weight, overflow))
		if err == nil {
			err = d.apply(s)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	used := func() bool {
		return slices.ContainsFunc(d.syncer.Status().Effects, func(e store.Effect) bool { return e.Entry == "rows/all" && e.Kind == store.Masks })
	}
	eventually(t, "the operators' row is used", used)
	apply(1)
	if masked() {
		t.Error("told, though the file is as it was")
	}
	for _, weight := range []int{2, 5} {
		apply(weight)
		eventually(t, fmt.Sprintf("it is told of weight %d in the file", weight), masked)
	}
	apply(1)
	if masked() {
		t.Error("told, though the file is as it was again")
	}
	what, overflow = "overflow", "[spare]"
	apply(1)
	eventually(t, "it is told of another overflow in the file", masked)
	what, overflow = "weights", "[]"
	// Whoever sets weights anew has seen the file's.
	apply(2)
	anew := d.syncer.Overlay().Clone()
	row := anew.Rows["all"]
	row.Revision = 4
	anew.Rows["all"] = row
	if m := maskedRows(*d.masked.Load(), d.settings.Load().Fleet, d.settings.Load().Fleet, anew); len(m) != 0 {
		t.Errorf("%+v", m)
	}
}
