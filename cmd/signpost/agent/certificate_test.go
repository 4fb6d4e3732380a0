package agent

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/signpost-fm/signpost/director/probe/proctest"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// The file follows the directors' certificate, whole, with the rights that it had, and the
// command runs once for each change.
func TestCertificateIsFollowed(t *testing.T) {
	t.Parallel()
	var pem atomic.Value
	pem.Store("first")
	director := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.EscapedPath() != "/api/v1/certificates/go.radio.example" || r.Header.Get("Authorization") != "Bearer token" {
			t.Errorf("asked %s with %q", r.URL, r.Header.Get("Authorization"))
		}
		if err := json.NewEncoder(w).Encode(api.Bundle{Name: "go.radio.example", PEM: pem.Load().(string)}); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(director.Close)
	dir := t.TempDir()
	var log bytes.Buffer
	c := Certificate{
		Name: "go.radio.example", File: filepath.Join(dir, "bundle.pem"), Reload: "echo ran >>'" + filepath.Join(dir, "runs") + "'",
		Directors: []string{proctest.Nowhere, director.URL}, Token: "token", Log: slog.New(slog.NewTextHandler(&log, nil)),
	}
	check := func(content string, mode os.FileMode, runs int) {
		t.Helper()
		if err := c.update(t.Context()); err != nil {
			t.Error(err)
		}
		info, err := os.Stat(c.File)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := os.ReadFile(c.File)
		ran, _ := os.ReadFile(filepath.Join(dir, "runs"))
		if string(got) != content || info.Mode().Perm() != mode || strings.Count(string(ran), "ran") != runs {
			t.Errorf("%q with %v after %d runs; want %q with %v after %d", got, info.Mode(), strings.Count(string(ran), "ran"), content, mode, runs)
		}
	}
	check("first", 0o600, 1)
	check("first", 0o600, 1) // it has not changed
	if err := os.Chmod(c.File, 0o640); err != nil {
		t.Fatal(err)
	}
	pem.Store("second")
	check("second", 0o640, 2)

	c.Reload = "echo no such server >&2; exit 3"
	pem.Store("third")
	err := c.update(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no such server") {
		t.Errorf("a command that fails: %v", err)
	}
	c.Reload = ""
	c.File = filepath.Join(dir, "missing", "bundle.pem")
	if err := c.update(t.Context()); err == nil {
		t.Error("a file in no directory was written")
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}
