package service

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/signpost-fm/signpost/director/probe/proctest"
)

// autoscalersExpr is what deploy/autoscaling tells an autoscaler to go by.
func autoscalersExpr(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile(root + "/deploy/autoscaling/README.md")
	if err != nil {
		t.Fatal(err)
	}
	expr := strings.Join(regexp.MustCompile(`(?m)^    .*signpost_.*$`).FindAllString(string(page), -1), "\n")
	if expr == "" {
		t.Fatal("deploy/autoscaling/README.md has no expression")
	}
	return expr
}

// TestRoomIsOfWhoTakesListeners plays nodes that are disabled, drained and without a
// target through what else reckons how full the fleet is.
func TestRoomIsOfWhoTakesListeners(t *testing.T) {
	t.Parallel()
	proctest.Need(t, "promtool")
	type sample struct {
		Labels string  `json:"labels"`
		Value  float64 `json:"value"`
	}
	type exprTest struct {
		Expr string   `json:"expr"`
		Time string   `json:"eval_time"`
		Want []sample `json:"exp_samples"`
	}
	var series []map[string]string
	for node, is := range map[string]struct{ up, drained, used, target int }{
		"edge-1": {1, 0, 50, 100}, "edge-disabled": {0, 1, 0, 100}, "edge-drained": {1, 1, 90, 100}, "edge-no-target": {1, 0, 500, 0},
	} {
		for metric, value := range map[string]int{"up": is.up, "drained": is.drained, "used": is.used, "target": is.target} {
			for _, director := range []string{"a", "b"} {
				series = append(series, map[string]string{
					"series": fmt.Sprintf(`signpost_node_%s{job="signpost",instance=%q,node=%q}`, metric, director, node), "values": fmt.Sprint(value),
				})
			}
		}
	}
	exprs := []exprTest{{autoscalersExpr(t), "0s", []sample{{"{}", 0.5}}}}
	for title, want := range map[string]float64{"Of all targets": 0.5, "Nodes down": 0} {
		panels := dashboardPanels(t)
		i := slices.IndexFunc(panels, func(p panel) bool { return p.Title == title })
		if i < 0 {
			t.Fatalf("no panel %q", title)
		}
		expr := strings.NewReplacer("$job", "signpost", "$director", ".*").Replace(panels[i].Targets[0].Expr)
		exprs = append(exprs, exprTest{expr, "0s", []sample{{"{}", want}}})
	}
	// JSON is YAML.
	cases, err := json.Marshal(map[string]any{"tests": []any{map[string]any{"interval": "15s", "input_series": series, "promql_expr_test": exprs}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "test.yml")
	if err := os.WriteFile(file, cases, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("promtool", "test", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}
