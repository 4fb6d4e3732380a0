package service

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"testing"

	"github.com/signpost-fm/signpost/cmd/signpost/demonode"
)

// TestInternalURL: a node that directors reach by another address than listeners
// is healthy by that, its streams are carried from there, and no listener is told.
func TestInternalURL(t *testing.T) {
	t.Parallel()
	node := demonode.New(demonode.Options{Addr: "127.0.0.1:0"})
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { node.Close() })
	const public = "http://127.0.0.1:1" // nothing answers there
	s, err := readConfig(t, "radio.yaml", fmt.Appendf(nil, `
listen: {http: "127.0.0.1:0"}
admin: {listen: ""}
mounts: [/live.mp3]
nodes: [{id: one, urls: %q, internal_url: %q}]
rules: [{user_agent: "kitchen*", answer: proxy}]
`, public, node.URL()))
	if err != nil {
		t.Fatal(err)
	}
	d, err := Start(s, Options{Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	get := func(agent string) *http.Response {
		r, _ := http.NewRequest(http.MethodGet, "http://"+d.addrs[0].String()+"/live.mp3", nil)
		r.Header.Set("User-Agent", agent)
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return resp
	}
	eventually(t, "a redirect to the public URL", func() bool {
		return get("VLC/3").Header.Get("Location") == public+"/live.mp3"
	})
	resp := get("kitchen radio")
	if _, err := io.CopyN(io.Discard, resp.Body, 10_000); resp.StatusCode != http.StatusOK || err != nil {
		t.Errorf("inline: %s, %v", resp.Status, err)
	}
}
