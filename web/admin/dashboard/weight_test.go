package dashboard_test

import (
	"bytes"
	"io"
	"net/http"
	"regexp"
	"testing"

	"github.com/signpost-fm/signpost/director"
)

// The first page of 200 nodes and 30 regions, with its map, the plotting library and all
// that it loads, has to weigh at most 250 KB as browsers get it. It weighs much less.
func TestWeight(t *testing.T) {
	t.Parallel()
	config, reports := large(200, 30)
	for i := range config.Nodes { // on the map
		config.Nodes[i].Place = director.Place{Point: director.CityPoint, Lat: float32(i/10*7 - 60), Lon: float32(i/10*17 - 170)}
	}
	r := play(t, config, reports)
	load := func(url, coding string) []byte {
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
	page := load("/", "identity")
	urls := map[string]bool{}
	names := regexp.MustCompile(`/assets/[0-9a-f]+/[a-z.]+`)
	for _, u := range names.FindAllString(string(page), -1) {
		urls[u] = true
	}
	imported := regexp.MustCompile(`(?:from|import\()\s*['"]\./([a-z.]+)['"]`)
	base := regexp.MustCompile(`/assets/[0-9a-f]+/`).FindString(string(page))
	for todo := []string{base + "dashboard.js"}; len(todo) > 0; todo = todo[1:] {
		for _, m := range imported.FindAllStringSubmatch(string(load(todo[0], "identity")), -1) {
			if u := base + m[1]; !urls[u] {
				urls[u], todo = true, append(todo, u)
			}
		}
	}
	plain, zipped := len(page), len(load("/", "gzip"))
	t.Logf("the page: %d bytes, %d on the wire", plain, zipped)
	for u := range urls {
		a, b := len(load(u, "identity")), len(load(u, "gzip"))
		t.Logf("%s: %d bytes, %d on the wire", u, a, b)
		plain, zipped = plain+a, zipped+b
	}
	t.Logf("in all: %d bytes, %d on the wire", plain, zipped)
	if len(urls) < 10 {
		t.Errorf("%d assets were found: this test looks at too little", len(urls))
	}
	if !bytes.Contains(page, []byte("land.svg")) {
		t.Error("the page has no map")
	}
	if plain-len(page) > 200_000 {
		t.Errorf("what pages load has %d bytes, want 200 KB at most, that a page of a usual station has 50", plain-len(page))
	}
	if zipped > 100_000 { // of 250 KB, so that it is noticed in time
		t.Errorf("%d bytes on the wire, want 100 KB at most", zipped)
	}
}
