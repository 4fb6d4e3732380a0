package config

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signpost-fm/signpost/director"
)

// A server that refuses the password is up, and whoever probes it once is told so, with the
// remedy.
func TestProbeOnceTellsOfAWrongPassword(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/status-json.xsl" {
			http.Error(w, "You need to authenticate", http.StatusUnauthorized)
			return
		}
		_, _ = fmt.Fprintf(w, `{"icestats":{"server_id":"Icecast 2.4.4","source":{"listenurl":"http://%s/live.mp3","listeners":3,"server_type":"audio/mpeg"}}}`, r.Host)
	}))
	t.Cleanup(server.Close)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"fra1.secret":   "admin:wrong\n",
		"signpost.yaml": fmt.Sprintf("listen: {http: '127.0.0.1:0'}\nnodes: [{id: fra1, urls: %q, credentials_file: fra1.secret}]\n", server.URL),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Read(filepath.Join(dir, "signpost.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	reports, warnings := s.ProbeOnce()
	if r := reports["fra1"]; r.Health != director.Up || r.Listeners != 3 {
		t.Errorf("%+v", r)
	}
	if len(warnings) != 1 || !strings.HasPrefix(warnings[0], "node fra1 answers in part: ") || !strings.Contains(warnings[0], "401") || !strings.HasSuffix(warnings[0], "; see that credentials_file has the server's user and password") {
		t.Errorf("%q", warnings)
	}
}
