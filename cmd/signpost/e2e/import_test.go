package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director/probe/probetest"
)

// TestImportedFleetPlays: what import makes of the icecast.xml of real servers, and init of
// their URLs, sends listeners to each node that plays a mount, and audio comes from there:
// from the source's server, a relay under another path, and a relay on demand.
func TestImportedFleetPlays(t *testing.T) {
	t.Parallel()
	master := probetest.Icecast(t, probetest.Options{Addr: "127.0.0.31", Mounts: []probetest.Mount{
		{Path: "/live.mp3", Fallback: "/loop.mp3", MaxListeners: 50}, {Path: "/loop.mp3", Hz: 220, Hidden: true}, {Path: "/second.mp3", Hz: 660},
	}})
	fleet := append([]*probetest.Node{master}, probetest.Fleet(t,
		probetest.Options{Addr: "127.0.0.32", Relays: []probetest.Relay{{From: master, Mount: "/live.mp3", As: "/relay/live.mp3"}, {From: master, Mount: "/second.mp3", As: "/second.mp3", OnDemand: true}}},
		probetest.Options{Addr: "127.0.0.33", Mounts: []probetest.Mount{{Path: "/live.mp3"}}},
	)...)
	var files, urls []string
	for _, n := range fleet {
		files, urls = append(files, n.ConfigFile()), append(urls, n.URL())
	}
	live := []string{fleet[0].URL() + "/live.mp3", fleet[1].URL() + "/relay/live.mp3", fleet[2].URL() + "/live.mp3"}
	for _, c := range []struct {
		name string
		args []string
		want map[string][]string
	}{
		{"import icecast.xml", append([]string{"import", "--listen", "127.0.0.1:0"}, files...), map[string][]string{
			"/live.mp3": live, "/second.mp3": {fleet[0].URL() + "/second.mp3", fleet[1].URL() + "/second.mp3"},
		}},
		{"init URLs", append([]string{"init", "--listen", "127.0.0.1:0", "--icecast"}, urls...), map[string][]string{
			"/live.mp3": {live[0], live[2]}, "/relay/live.mp3": {live[1]},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "signpost.yaml")
			out, err := exec.Command(program(t), append(c.args, "--out", file)...).CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if out, err := exec.Command(program(t), "check", file).CombinedOutput(); err != nil || strings.Contains(string(out), "Warnings") {
				t.Errorf("check: %v\n%s", err, out)
			}
			config, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := directFile(t, string(config)+"admin: {listen: '127.0.0.1:0'}\n")
			for mount, want := range c.want {
				deadline := time.Now().Add(patience)
				for i := 0; len(want) > 0; i++ {
					if time.Now().After(deadline) {
						t.Fatalf("%s: none of %d listeners was sent to %v\n%s", mount, i, want, s.log)
					}
					resp := s.get(mount, "", fmt.Sprintf("player %s %d", mount, i))
					resp.Body.Close()
					to := resp.Header.Get("Location")
					left := want[:0:0]
					for _, w := range want {
						if w != to {
							left = append(left, w)
							continue
						}
						hears(t, to)
					}
					want = left
					time.Sleep(10 * time.Millisecond) // some are not probed yet, or full of those before
				}
			}
		})
	}
}

// hears listens to a stream until there was some audio.
func hears(t *testing.T, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n, err := io.CopyN(io.Discard, resp.Body, 8<<10); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("%s: %s, %d bytes, %v", url, resp.Status, n, err)
	}
}
