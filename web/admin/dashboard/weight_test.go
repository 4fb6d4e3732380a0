package dashboard_test

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/admin/dashboard/browsertest"
)

// A page of 200 nodes and 30 regions, with the plotting library, the map and all else that
// it loads, weighs at most 250,000 bytes as it lies in the browser, unpacked. On the wire,
// packed, it is less than a third of that.
func TestWeight(t *testing.T) {
	t.Parallel()
	config, reports := large(200, 30)
	for i := range config.Nodes { // on the map
		config.Nodes[i].Place = director.Place{Point: director.CityPoint, Lat: float32(i/10*7 - 60), Lon: float32(i/10*17 - 170)}
	}
	r := play(t, config, reports)
	for _, path := range []string{"/", "/weights", "/clients", "/mounts", "/history", "/explain", "/directors", "/nodes/edge007", "/mounts/live.mp3"} {
		plain, zipped, parts := weigh(t, r, path)
		t.Logf("%-16s %7d bytes in %d files, %6d on the wire", path, plain, len(parts), zipped)
		if plain > 250_000 || zipped > 80_000 {
			t.Errorf("%s has %d bytes, %d on the wire; want 250,000 and 80,000 at most: %v", path, plain, zipped, parts)
		}
		if path == "/" && (parts["uplot.js"] == 0 || parts["land.svg"] == 0 || parts["plot.js"] == 0 || parts["dashboard.css"] == 0) {
			t.Errorf("the first page loads %v: this test looks at too little", parts)
		}
	}
}

var (
	assetURLs = regexp.MustCompile(`/assets/[0-9a-f]+/([a-z.]+)`)
	imported  = regexp.MustCompile(`(?:from|import)\s*['"]\./([a-z.]+)['"]`)
)

// weigh returns what a page has with all that it loads, unpacked and on the wire, and the
// size of each file.
func weigh(t *testing.T, r *rig, path string) (plain, zipped int, parts map[string]int) {
	t.Helper()
	get := func(url, coding string) []byte {
		q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.URL+url, nil)
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Accept-Encoding", coding) // Go's client does not decompress, then
		a, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Body.Close()
		body, err := io.ReadAll(a.Body)
		if err != nil || a.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s, %v", url, a.Status, err)
		}
		return body
	}
	page := get(path, "identity")
	parts = map[string]int{"the page": len(page)}
	plain, zipped = len(page), len(get(path, "gzip"))
	var todo []string
	for _, m := range assetURLs.FindAllStringSubmatch(string(page), -1) {
		todo = append(todo, m[1])
	}
	base := strings.TrimSuffix(assetURLs.FindString(string(page)), todo[0])
	for ; len(todo) > 0; todo = todo[1:] {
		name := todo[0]
		if parts[name] > 0 {
			continue
		}
		body := get(base+name, "identity")
		parts[name] = len(body)
		plain, zipped = plain+len(body), zipped+len(get(base+name, "gzip"))
		for _, m := range imported.FindAllStringSubmatch(string(body), -1) {
			todo = append(todo, m[1])
		}
	}
	return plain, zipped, parts
}

// The first page lists a part of many nodes, with all that need attention, and at the end
// of a link all of them.
func TestManyNodes(t *testing.T) {
	t.Parallel()
	config, reports := large(200, 30)
	down := func(now time.Time) []director.Report {
		all := reports(now)
		all[198].Health = director.Failed // edge198
		return all
	}
	r := play(t, config, down)
	rows := regexp.MustCompile(`<tr data-id="([^"]+)"`)
	list := func(path string) [][]string {
		a, err := http.Get(r.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Body.Close()
		body, err := io.ReadAll(a.Body)
		if err != nil {
			t.Fatal(err)
		}
		return rows.FindAllStringSubmatch(string(body), -1)
	}
	if some := list("/"); len(some) != 60 || some[0][1] != "edge198" {
		t.Errorf("the first page lists %d nodes, want 60, of which edge198, which is down, comes first: %v", len(some), some[:min(3, len(some))])
	}
	if all := list("/?nodes=all"); len(all) != 200 {
		t.Errorf("all nodes are %d, want 200", len(all))
	}

	b := browsertest.Start(t)
	b.Go(r.URL + "/")
	b.Await("it is live", live)
	b.ClickOn(`document.querySelector('#filter')`)
	b.Press("edge19")
	b.Await("a search finds those that were left out", `document.querySelectorAll('#nodes tbody tr:not([hidden])').length === 10`)
	noFaults(t, b)
}
