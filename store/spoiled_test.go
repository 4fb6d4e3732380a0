package store

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// Of a spoiled overlay, each entry that can be read is told, up to where it breaks off.
func TestLostEntriesAreTold(t *testing.T) {
	t.Parallel()
	by := Stamp{By: "anna", Why: "new disks", At: time.Unix(1e9, 0).UTC()}
	whole, err := json.MarshalIndent(Overlay{
		Revision:  7,
		Rows:      map[director.RegionID]Row{"europe": {Weights: map[director.NodeID]float64{"fra1": 2, "ams1": 1}, Stamp: by}},
		Overflows: map[director.RegionID]Overflow{"europe": {Regions: []director.RegionID{"world"}, Stamp: by}},
		Nodes:     map[director.NodeID]NodeSetting{"fra1": {State: NodeDrained, Stamp: by}},
		Rules:     []Rule{{ID: "kitchen", Rule: json.RawMessage(`{"answer":"proxy"}`), Stamp: by}},
	}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	row, node, rule := `rows/europe (ams1=1 fra1=2) by anna, "new disks"`, `nodes/fra1 (drained) by anna, "new disks"`, `rules/kitchen (`
	for name, c := range map[string]struct {
		content    string
		want, lack []string
	}{
		"cut":         {string(whole[:bytes.Index(whole, []byte(`"rules"`))+12]), []string{row, "overflows/europe (world) by anna", node, "what follows cannot be read"}, []string{rule}},
		"newer":       {strings.Replace(string(whole), `"schema": 1`, `"schema": 2`, 1), []string{row, node, rule}, []string{"cannot be read"}},
		"an answer":   {`{"overlay":` + strings.Replace(string(whole), `"schema": 1`, `"schema": 0`, 1) + `}`, []string{row, node, rule}, []string{"cannot be read"}},
		"a torn page": {strings.Replace(string(whole), `"fra1": {`, "\x00\x00\x00", 1), []string{row, "what follows cannot be read"}, []string{node}},
		"nothing":     {"{", []string{"no entry in it can be read", "1 bytes", "last changed at 20"}, nil},
		"no object":   {`[1]`, []string{"no entry in it can be read"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "overlay.json")
			if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			f, _ := OpenFile(path, slog.New(slog.NewTextHandler(&log, nil)))
			defer f.Close()
			for _, want := range c.want {
				if !strings.Contains(f.Trouble(), want) {
					t.Errorf("told: %q, want %q in it", f.Trouble(), want)
				}
			}
			for _, lack := range c.lack {
				if strings.Contains(f.Trouble(), lack) {
					t.Errorf("told: %q, and %q is not true", f.Trouble(), lack)
				}
			}
			if !strings.Contains(log.String(), "lost=") {
				t.Errorf("the log does not say what was lost: %s", &log)
			}
		})
	}
}
