package service

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// TestListenersComeBack: a node that its listeners come straight back from is asked
// at once, and is down if it is dead, long before its next probe is due.
func TestListenersComeBack(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]director.Health{"well": director.Up, "dead": director.Failed} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "audio") }))
			defer node.Close()
			d := startService(t, t.TempDir(), `
listen: {http: "127.0.0.1:0", trusted_proxies: 127.0.0.0/8}
admin: {listen: ""}
probe: {interval: 1h}
mounts: [/live.mp3]
nodes: [{id: one, urls: "`+node.URL+`", kind: http}] # and not %s
`, Options{})
			report := func() director.Report { return d.syncer.View().Node(0).Report }
			probed := report().Taken
			if want == director.Failed {
				node.Close()
			}
			began := time.Now()
			for i := range 20 {
				for range 2 {
					askFrom(t, d, fmt.Sprintf("198.18.%d.1", i))
				}
			}
			for !report().Taken.After(probed) {
				if time.Since(began) > patience {
					t.Fatalf("it was not asked: %+v", report())
				}
				time.Sleep(time.Millisecond)
			}
			t.Logf("%v after %v: %s", report().Health, time.Since(began), report().Detail)
			if got := report().Health; got != want {
				t.Errorf("it is %v, want %v: %s", got, want, report().Detail)
			}
		})
	}
}

// askFrom asks for the stream as a listener with this address.
func askFrom(t *testing.T, d *Service, addr string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+d.addrs[0].String()+"/live.mp3", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Forwarded-For", addr)
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}
