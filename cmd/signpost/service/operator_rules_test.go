package service

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/store"
)

// TestOperatorRules: a rule made at run time holds at once, before those of the
// file and after a reload too, until it expires; one that cannot be read has no
// effect, and that is said.
func TestOperatorRules(t *testing.T) {
	t.Parallel()
	d := startService(t, t.TempDir(), `
listen: {http: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
mounts: [/live.mp3]
nodes: [{id: one, urls: "%s", kind: http}]
rules: [{name: file, user_agent: "Box/*", answer: pls}]
`, Options{})
	anna := store.Author{By: "anna"}
	edit := func(a store.Author, rules ...string) {
		t.Helper()
		_, err := d.syncer.Change(t.Context(), a, func(o *store.Overlay) error {
			o.Rules = nil
			for i, text := range rules {
				o.Rules = append(o.Rules, store.Rule{ID: string(rune('a' + i)), Rule: json.RawMessage(text)})
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	want := func(when string, code int) {
		t.Helper()
		got := 0
		for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+d.addrs[0].String()+"/live.mp3", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("User-Agent", "Box/1")
			resp, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if got = resp.StatusCode; got == code {
				return
			}
		}
		t.Fatalf("%s: %d, want %d", when, got, code)
	}
	want("by the file", http.StatusOK)
	edit(anna, `{"answer":"teapot"}`, `{"user_agent":"Box/*","answer":"deny"}`)
	want("by the overlay", http.StatusForbidden)
	for end := time.Now().Add(patience); len(d.syncer.Status().Effects) == 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if e := d.syncer.Status().Effects; len(e) != 1 || e[0].Entry != "rules/a" || e[0].Kind != store.Skipped || !strings.Contains(e[0].Detail, "is not an answer") {
		t.Errorf("effects %+v", e)
	}
	if err := d.apply(d.settings.Load()); err != nil {
		t.Fatal(err)
	}
	want("after a reload", http.StatusForbidden)
	edit(anna, `{"user_agent":"Box/*","answer":"redirect"}`)
	want("by another rule", http.StatusFound)
	soon := anna
	soon.Until = d.syncer.Now().Add(300 * time.Millisecond)
	edit(soon, `{"user_agent":"Box/*","answer":"redirect"}`)
	want("when it has expired", http.StatusOK)
}
