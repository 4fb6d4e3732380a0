package service

import (
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/cmd/signpost/demonode"
	"github.com/signpost-fm/signpost/store"
)

// TestDrainAndWait runs the autoscaler's hook against a director.
func TestDrainAndWait(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const token = "a token of role operate for the hook"
	tokens := fmt.Sprintf("hook operate %x\n", sha256.Sum256([]byte(token)))
	for name, text := range map[string]string{"tokens": tokens, "token": token, "wrong": "not the token"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	node := demonode.New(demonode.Options{Addr: "127.0.0.1:0"})
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { node.Close() })
	d := startService(t, dir, strings.ReplaceAll(`
listen: {http: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0", tokens_file: tokens}
mounts: [/live.mp3]
nodes: [{id: one, urls: URL}, {id: other, urls: "%s", kind: http}]
`, "URL", node.URL()), Options{Log: slog.New(slog.DiscardHandler)})
	hook := func(tokenFile string, args ...string) (int, string) {
		// The first director is away.
		return drainAndWait(t, "http://127.0.0.1:1,http://"+d.admin.String(), filepath.Join(dir, tokenFile), args...)
	}
	if code, out := hook("wrong", "one", "5"); code != 2 {
		t.Errorf("with a wrong token: %d\n%s", code, out)
	}
	if code, out := hook("token", "nobody", "60"); code != 0 || !strings.Contains(out, "not known") {
		t.Errorf("a node that is not there: %d\n%s", code, out)
	}
	d.syncer.View().Live.Count(0) // on the way there for a while
	if code, out := hook("token", "one", "1"); code != 1 || !strings.Contains(out, "still has listeners") {
		t.Errorf("with a listener on the way: %d\n%s", code, out)
	}
	if n := d.syncer.Overlay().Nodes["one"]; n.State != store.NodeDrained || n.Until.Sub(n.At).Round(time.Minute) != time.Hour {
		t.Errorf("the node is %q until %v, want drained for an hour more", n.State, n.Until)
	}
	if code, out := hook("token", "one", "20", "1"); code != 0 {
		t.Errorf("content with one who is left: %d\n%s", code, out)
	}
}

// drainAndWait runs the autoscaler's hook, and returns its exit code and output.
func drainAndWait(t *testing.T, servers, tokenFile string, args ...string) (int, string) {
	t.Helper()
	cmd := exec.Command(root+"/deploy/autoscaling/drain-and-wait", args...)
	cmd.Env = append(os.Environ(), "POLL_SECONDS=0.05", "SIGNPOST_TOKEN_FILE="+tokenFile, "SIGNPOST_SERVER="+servers)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// TestDrainAndWaitForANodeThatIsNotKnown: a node that leaves while the hook waits is
// gone; but a director that has just started, and does not know it yet, is not the
// last word, be it the only one or one of two.
func TestDrainAndWaitForANodeThatIsNotKnown(t *testing.T) {
	t.Parallel()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("of role operate"), 0o600); err != nil {
		t.Fatal(err)
	}
	started := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(started.Close)
	for name, answers := range map[string][]int{
		"it leaves":                    {200, 409, 404, 409, 404, 404},
		"it was never there":           {404, 404},
		"it is there a moment later":   {404, 200, 409, 200},
		"a director that cannot write": {404, 503, 404, 503, 200, 200},
	} {
		for _, before := range []string{"", started.URL + ","} {
			var asked atomic.Int32
			d := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(answers[min(int(asked.Add(1)), len(answers))-1])
			}))
			t.Cleanup(d.Close)
			code, out := drainAndWait(t, before+d.URL, token, "edge-1", "60")
			if n := int(asked.Load()); code != 0 || n != len(answers) {
				t.Errorf("%s (behind %q): %d after %d answers, want 0 after %d\n%s", name, before, code, n, len(answers), out)
			}
		}
	}
}
