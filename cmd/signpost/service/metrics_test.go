package service

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// scrape returns the program's metrics.
func scrape(t *testing.T, d *Service) string {
	t.Helper()
	resp, err := http.Get("http://" + d.admin.String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s, %v", resp.Status, err)
	}
	return string(text)
}

// TestFleetMetrics: everything about the fleet is there, with plausible values.
func TestFleetMetrics(t *testing.T) {
	t.Parallel()
	d := startService(t, t.TempDir(), `
listen: {http: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
mounts: [/live.mp3]
nodes: [{id: one, urls: "%s", kind: http, target: 70, limit: 100}, {id: dead, urls: "http://127.0.0.1:1", kind: http, drained: true}]
`, Options{})
	for range 3 {
		d.syncer.View().Live.Count(0)
	}
	var text string
	want := map[string]string{
		`signpost_snapshot_age_seconds`:                        `[\d.e-]+`,
		`signpost_store_picture_age_seconds`:                   `[\d.e-]+`,
		`signpost_store_up`:                                    `1`,
		`signpost_store_syncs_total`:                           `\d+`,
		`signpost_store_sync_errors_total`:                     `0`,
		`signpost_store_sync_duration_seconds`:                 `\S+`,
		`signpost_store_peer_age_seconds`:                      `0`,
		`signpost_overlay_lag_seconds`:                         `0`,
		`signpost_store_problems`:                              `0`,
		`signpost_store_clock_ahead_seconds`:                   `\S+`,
		`signpost_records_dropped_total`:                       `0`,
		`signpost_log_lines_dropped_total`:                     `0`,
		`signpost_directors`:                                   `1`,
		`signpost_overlay_revision`:                            `0`,
		`signpost_config_refused`:                              `0`,
		`signpost_config_restart_needed`:                       `0`,
		`signpost_suspects_itself`:                             `0`,
		`signpost_node_up{node="one"}`:                         `1`,
		`signpost_node_up{node="dead"}`:                        `0`,
		`signpost_node_drained{node="one"}`:                    `0`,
		`signpost_node_drained{node="dead"}`:                   `1`,
		`signpost_node_used{node="one"}`:                       `3`,
		`signpost_node_en_route{node="one"}`:                   `3`,
		`signpost_node_en_route_estimated{node="one"}`:         `0`,
		`signpost_node_target{node="one"}`:                     `70`,
		`signpost_node_limit{node="one"}`:                      `100`,
		`signpost_probe_duration_seconds{node="one"}`:          `[\d.e-]+`,
		`signpost_probes_total{node="one",result="answered"}`:  `[1-9]\d*`,
		`signpost_probes_total{node="one",result="failed"}`:    `0`,
		`signpost_probes_total{node="dead",result="answered"}`: `0`,
		`signpost_probes_total{node="dead",result="failed"}`:   `[1-9]\d*`,
	}
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		text = scrape(t, d)
		if strings.Contains(text, `signpost_node_en_route{node="one"} 3`) || time.Now().After(end) {
			break
		}
	}
	for series, value := range want {
		if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` ` + value + `$`).MatchString(text) {
			t.Errorf("no line %s %s", series, value)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
	if strings.Contains(text, "round_trips") {
		t.Error("the embedded store makes no round trips")
	}
}
