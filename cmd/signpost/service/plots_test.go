package service

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/web/admin/ring"
)

var sampled = map[ring.Key]float64{{Kind: ring.Total}: 42}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// known says whether a plot has values.
func known(r *ring.Ring) bool { return len(r.Plot(ring.Total, ring.Hour, time.Now()).Series) > 0 }

// Plots are there again after a restart, and nothing else is left in the directory.
func TestPlotsOutliveARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, left := range []string{".plots.ring.tmp-1234"} { // of a process that was killed
		if err := os.WriteFile(filepath.Join(dir, left), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config := `
listen: {http: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
state_dir: ` + dir + `
mounts: [/live.mp3]
nodes: [{id: one, urls: "%s", kind: http}]
`
	d := startService(t, t.TempDir(), config, Options{})
	d.plots.ring.Sample(time.Now(), sampled)
	d.Close()
	d = startService(t, t.TempDir(), config, Options{})
	if !known(d.plots.ring) || len(d.plots.troubles()) > 0 {
		t.Errorf("after a restart plots begin anew: %q", d.plots.troubles())
	}
	d.Close()
	files, _ := filepath.Glob(filepath.Join(dir, "*plots*"))
	hidden, _ := filepath.Glob(filepath.Join(dir, ".plots*"))
	if all := append(files, hidden...); len(all) != 1 {
		t.Errorf("files: %q", all)
	}
}

// A file that cannot be used is set aside and told, and plots go on.
func TestSpoiledPlots(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(path string) error{
		"damaged":   func(path string) error { return os.WriteFile(path, []byte("signpost plots 1\nrubbish"), 0o600) },
		"cut":       func(path string) error { return os.Truncate(path, 20) },
		"directory": func(path string) error { _ = os.Remove(path); return os.Mkdir(path, 0o700) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			f := openPlots(dir, quiet())
			f.ring.Sample(time.Now(), sampled)
			f.save()
			if err := spoil(f.path); err != nil {
				t.Fatal(err)
			}
			f = openPlots(dir, quiet())
			if told := strings.Join(f.troubles(), "\n"); known(f.ring) || !strings.Contains(told, "set aside as") {
				t.Errorf("told: %q", told)
			}
			if aside, _ := filepath.Glob(f.path + ".corrupt-*"); len(aside) != 1 {
				t.Errorf("set aside: %q", aside)
			}
			f.ring.Sample(time.Now(), sampled)
			f.save()
			if f = openPlots(dir, quiet()); !known(f.ring) || len(f.troubles()) > 0 {
				t.Errorf("the next one is not kept: %q", f.troubles())
			}
		})
	}
}

// A directory that cannot be written costs the plots' past and nothing else, and is told
// until it can.
func TestPlotsThatCannotBeKept(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "gone")
	f := openPlots(dir, quiet())
	f.ring.Sample(time.Now(), sampled)
	f.save()
	if told := strings.Join(f.troubles(), "\n"); !strings.Contains(told, "not kept over a restart") || !known(f.ring) {
		t.Errorf("told: %q", told)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if f.save(); len(f.troubles()) > 0 {
		t.Errorf("still told: %q", f.troubles())
	}
	if f := openPlots("", quiet()); len(f.troubles()) > 0 {
		t.Errorf("without state_dir it is told: %q", f.troubles())
	}
}
