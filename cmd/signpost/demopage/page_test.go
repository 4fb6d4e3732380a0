package demopage

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// The page names what it plays, and its script is hls.js, for whoever takes it compressed.
func TestPage(t *testing.T) {
	t.Parallel()
	page, err := New(Options{
		Stream: "http://127.0.0.1:8000/live.m3u8", Dashboard: "http://127.0.0.1:8001",
		Nodes: []Node{{"frankfurt", "127.0.0.101:8100", "Harp in C"}, {"</script>", "127.0.0.102:8100", ""}},
	})
	if err != nil {
		t.Fatal(err)
	}
	get := func(path string) *http.Response {
		w := httptest.NewRecorder()
		page.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w.Result()
	}
	text, err := io.ReadAll(get("/").Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`const stream = "http://127.0.0.1:8000/live.m3u8"`, `<a href="http://127.0.0.1:8001">`,
		`<li data-host="127.0.0.101:8100"><b>frankfurt</b><span>Harp in C</span></li>`, "<b>&lt;/script&gt;</b>",
	} {
		if !strings.Contains(strings.ReplaceAll(string(text), `\/`, "/"), want) {
			t.Errorf("the page lacks %q:\n%s", want, text)
		}
	}
	script := get("/hls.js")
	unpacked, err := gzip.NewReader(script.Body)
	if err != nil || script.Header.Get("Content-Encoding") != "gzip" {
		t.Fatalf("script: %v, %v", script.Header, err)
	}
	if js, err := io.ReadAll(unpacked); err != nil || !strings.Contains(string(js), "PATHWAY-PRIORITY") {
		t.Errorf("script of %d bytes, which steers: no; %v", len(js), err)
	}
	if got := get("/x").StatusCode; got != http.StatusNotFound {
		t.Errorf("another path: %d", got)
	}
}
