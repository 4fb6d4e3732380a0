package service

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/store/redisstore/redistest"
)

// TestABackupIsRestored: what GET /api/v1/overlay answers, put into an empty state
// directory, is in force again after a start, in a Redis that was emptied too.
func TestABackupIsRestored(t *testing.T) {
	t.Parallel()
	for name, shared := range map[string]func(t *testing.T) string{
		"embedded": func(*testing.T) string { return "" },
		"redis": func(t *testing.T) string {
			return "store: {redis: {url: '" + redistest.Start(t, redistest.Options{}).URL() + "'}}"
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begin := func(dir string) *Service {
				return startService(t, dir, `
listen: {http: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
state_dir: state
mounts: [/live.mp3]
nodes: [{id: one, urls: "%s", kind: http}]
`+shared(t), Options{})
			}
			d := begin(t.TempDir())
			_, err := d.syncer.Change(t.Context(), store.Author{By: "anna", Why: "new disks"}, func(o *store.Overlay) error {
				o.Nodes = map[director.NodeID]store.NodeSetting{"one": {State: store.NodeDrained}}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.Get("http://" + d.admin.String() + "/api/v1/overlay")
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			saved, err := io.ReadAll(resp.Body)
			if err != nil || !json.Valid(saved) {
				t.Fatalf("%v: %s", err, saved)
			}
			want := d.syncer.Overlay()
			d.Close()

			dir := t.TempDir()
			if err := os.Mkdir(filepath.Join(dir, "state"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "state", "overlay.json"), saved, 0o600); err != nil {
				t.Fatal(err)
			}
			d = begin(dir) // beside a Redis of its own, which is empty
			restored := func() bool {
				return cmp.Equal(want, d.syncer.Overlay()) && !d.syncer.Status().Degraded
			}
			if !poll(restored) {
				t.Errorf("%+v\n%s", d.syncer.Status(), cmp.Diff(want, d.syncer.Overlay()))
			}
		})
	}
}
