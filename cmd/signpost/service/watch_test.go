package service

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/signpost-fm/signpost/cmd/signpost/demonode"
	"github.com/signpost-fm/signpost/director/probe/proctest"
	"github.com/signpost-fm/signpost/web/proxy"
)

const (
	alertsFile    = root + "/deploy/prometheus/alerts.yml"
	dashboardFile = root + "/deploy/grafana/dashboards/signpost.json"
)

// series are the values that each label of each metric has.
type series map[string]map[string]map[string]bool

// busyMetrics runs a director through all that metrics are made of, a node that
// dies under an inline listener among it, and returns what it then shows.
func busyMetrics(t *testing.T) series {
	t.Helper()
	var nodes [2]*demonode.Node
	for i := range nodes {
		nodes[i] = demonode.New(demonode.Options{Addr: "127.0.0.1:0", HLS: true})
		if err := nodes[i].Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nodes[i].Close() })
	}
	s, err := readConfig(t, "radio.yaml", fmt.Appendf(nil, `
listen: {http: "127.0.0.1:0", https: "127.0.0.1:0", acme: {names: [radio.example], email: engineer@radio.example, directory: "https://127.0.0.1:1/directory"}}
admin: {listen: "127.0.0.1:0"}
state_dir: %q
mounts: [/live.mp3, /live.m3u8, /odd.m3u8]
rules: [{user_agent: "test/*", answer: proxy}]
regions: [{id: all, match: default, weights: {one: 1000, two: 1}}]
nodes:
  - {id: one, urls: %q, site: a, target: 10, limit: 20}
  - {id: two, urls: %q, site: b, target: 10, limit: 20, paths: {/odd.m3u8: /status-json.xsl}}
`, t.TempDir(), nodes[0].URL(), nodes[1].URL()))
	if err != nil {
		t.Fatal(err)
	}
	d, err := Start(s, Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	public := d.addrs[0].String()
	eventually(t, "a stream", func() bool { return listenTo(t, public) != nil })
	eventually(t, "a stream of a node that will die", func() bool {
		for _, st := range d.proxy.Streams() {
			return slices.ContainsFunc(st.Upstreams, func(u proxy.UpstreamState) bool { return u.Node == "one" && u.Listeners > 0 })
		}
		return false
	})
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if resp, err := client.Get("http://" + public + "/live.mp3"); err != nil || resp.StatusCode != http.StatusFound {
		t.Fatal(resp, err)
	}
	nodes[0].Close()
	var all series
	eventually(t, "a failover and an end, sessions and an unusable playlist in the metrics", func() bool {
		if all == nil { // one who leaves
			req, _ := http.NewRequest(http.MethodGet, "http://"+public+"/live.mp3", nil)
			req.Header.Set("User-Agent", "test/2")
			if resp, err := client.Do(req); err == nil {
				resp.Body.Close()
			}
		}
		all = parseMetrics(scrape(t, d))
		return all["signpost_inline_failovers_total"] != nil && all["signpost_inline_ended_total"] != nil &&
			all["signpost_hls_sessions"] != nil && all["signpost_warnings"]["kind"]["hls"]
	})
	all["up"] = map[string]map[string]bool{}
	for _, labels := range all {
		labels["job"], labels["instance"] = map[string]bool{"signpost": true}, nil // Prometheus gives them
	}
	return all
}

func parseMetrics(text string) series {
	all := series{}
	line := regexp.MustCompile(`(?m)^([a-z_]+)(?:\{(.*)\})? \S+$`)
	label := regexp.MustCompile(`([a-z_]+)="((?:[^"\\]|\\.)*)"`)
	for _, m := range line.FindAllStringSubmatch(text, -1) {
		if all[m[1]] == nil {
			all[m[1]] = map[string]map[string]bool{}
		}
		for _, l := range label.FindAllStringSubmatch(m[2], -1) {
			if all[m[1]][l[1]] == nil {
				all[m[1]][l[1]] = map[string]bool{}
			}
			all[m[1]][l[1]][l[2]] = true
		}
	}
	return all
}

var (
	promMetric  = regexp.MustCompile(`\b((?:signpost|process|go)_[a-z0-9_]+|up)\b(?:\{([^}]*)\})?`)
	promMatcher = regexp.MustCompile(`([a-z_]+)(=~|!~|=|!=)"([^"]*)"`)
	promBy      = regexp.MustCompile(`\b(?:by|on|without) \(([^)]*)\)`)
	promLegend  = regexp.MustCompile(`\{\{ *(?:\$labels\.)?([a-z_]+) *\}\}`)
)

// mistakes says what in an expression, and in a text that shows its labels, is not
// among the metrics.
func (s series) mistakes(expr, text string) []string {
	var wrong []string
	known := map[string]bool{"le": true}
	found := promMetric.FindAllStringSubmatch(expr, -1)
	if len(found) == 0 {
		wrong = append(wrong, "no metric in "+expr)
	}
	for _, m := range found {
		labels, ok := s[m[1]]
		if !ok {
			wrong = append(wrong, "no metric "+m[1])
			continue
		}
		for l := range labels {
			known[l] = true
		}
		for _, match := range promMatcher.FindAllStringSubmatch(m[2], -1) {
			values, ok := labels[match[1]]
			if !ok {
				wrong = append(wrong, m[1]+" has no label "+match[1])
			}
			for v := range strings.SplitSeq(match[3], "|") {
				if values != nil && !values[v] && !strings.HasPrefix(v, "$") {
					wrong = append(wrong, fmt.Sprintf("%s is never %s=%q, but %q", m[1], match[1], v, slices.Sorted(maps.Keys(values))))
				}
			}
		}
	}
	var used []string
	for _, by := range promBy.FindAllStringSubmatch(expr, -1) {
		used = append(used, strings.FieldsFunc(by[1], func(r rune) bool { return r == ',' || r == ' ' })...)
	}
	for _, l := range promLegend.FindAllStringSubmatch(text, -1) {
		used = append(used, l[1])
	}
	for _, l := range used {
		if !known[l] {
			wrong = append(wrong, fmt.Sprintf("no metric of %s has the label %s", expr, l))
		}
	}
	return wrong
}

type alertGroups struct {
	Groups []struct {
		Name  string
		Rules []struct {
			Alert, Expr, For    string
			Labels, Annotations map[string]string
		}
	}
}

// TestWatching: rules and dashboard ask for nothing that a director does not show,
// and every alert says what to do.
func TestWatching(t *testing.T) {
	t.Parallel()
	metrics := busyMetrics(t)
	runbook, err := os.ReadFile(root + "/docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	var alerts alertGroups
	readStrict(t, alertsFile, &alerts)
	n := 0
	for _, g := range alerts.Groups {
		for _, r := range g.Rules {
			n++
			for _, m := range metrics.mistakes(r.Expr, r.Annotations["summary"]) {
				t.Errorf("%s: %s", r.Alert, m)
			}
			if !strings.Contains(string(runbook), "\n#### "+r.Alert+"\n") {
				t.Errorf("%s has no section in docs/operating.md", r.Alert)
			}
			if !strings.HasSuffix(r.Annotations["runbook_url"], "docs/operating.md#"+strings.ToLower(r.Alert)) {
				t.Errorf("%s: runbook_url %q", r.Alert, r.Annotations["runbook_url"])
			}
			if s := r.Labels["severity"]; s != "critical" && s != "warning" {
				t.Errorf("%s: severity %q", r.Alert, s)
			}
		}
	}
	if sections := strings.Count(string(runbook), "\n#### Signpost"); n == 0 || sections != n {
		t.Errorf("%d alerts, and %d sections about one", n, sections)
	}
	for _, m := range metrics.mistakes(strings.ReplaceAll(autoscalersExpr(t), `{node=~"edge-.*"}`, ""), "") {
		t.Errorf("deploy/autoscaling/README.md: %s", m)
	}
	for _, p := range dashboardPanels(t) {
		for _, target := range p.Targets {
			for _, m := range metrics.mistakes(target.Expr, target.LegendFormat) {
				t.Errorf("panel %q: %s", p.Title, m)
			}
		}
		if p.Description == "" && p.Type != "row" {
			t.Errorf("panel %q says nothing of what it shows", p.Title)
		}
	}
}

type panel struct {
	ID                       int
	Type, Title, Description string
	GridPos                  struct{ H, W, X, Y int }
	Targets                  []struct{ RefID, Expr, LegendFormat string }
}

// dashboardPanels reads the dashboard, with its annotations and variables as panels too.
func dashboardPanels(t *testing.T) []panel {
	t.Helper()
	source, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		UID, Title    string
		SchemaVersion int
		Panels        []panel
		Templating    struct {
			List []struct{ Name, Type, Definition string }
		}
		Annotations struct {
			List []struct {
				Name   string
				Target struct{ Expr string }
			}
		}
	}
	if err := json.Unmarshal(source, &d); err != nil {
		t.Fatal(err)
	}
	if d.UID == "" || d.Title == "" || d.SchemaVersion == 0 || len(d.Panels) == 0 {
		t.Errorf("%s is no dashboard", dashboardFile)
	}
	ids, taken := map[int]bool{}, map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] {
			t.Errorf("panel %q has the id of another", p.Title)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other, ok := taken[[2]int{x, y}]; ok || x >= 24 {
					t.Fatalf("panel %q lies over %q, or beyond the edge", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
	more := func(title, expr string) {
		p := panel{Title: title, Description: "not shown"}
		p.Targets = append(p.Targets, struct{ RefID, Expr, LegendFormat string }{Expr: expr})
		d.Panels = append(d.Panels, p)
	}
	for _, v := range d.Templating.List {
		if v.Type == "query" {
			more("variable "+v.Name, v.Definition)
		}
	}
	for _, a := range d.Annotations.List {
		more("annotation "+a.Name, a.Target.Expr)
	}
	return d.Panels
}

// TestAlertRules has Prometheus's own tool judge the rules, and play cases through
// them.
func TestAlertRules(t *testing.T) {
	t.Parallel()
	proctest.Need(t, "promtool")
	for _, args := range [][]string{{"check", "rules", alertsFile}, {"test", "rules", root + "/deploy/prometheus/alerts_test.yml"}} {
		if out, err := exec.Command("promtool", args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %q: %v\n%s", args, err, out)
		}
	}
}

// readStrict reads YAML that must have no key that the value does not know.
func readStrict(t *testing.T, name string, into any) {
	t.Helper()
	source, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalWithOptions(source, into, yaml.Strict()); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}
