package e2e

import (
	"bufio"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/signpost-fm/signpost/director/probe/probetest"
)

// A mount with listener authentication: the password opens it inline as at the node,
// without one the node's challenge comes, and check says what it means for redirects.
func TestMembersInline(t *testing.T) {
	t.Parallel()
	node := probetest.Icecast(t, probetest.Options{Mounts: []probetest.Mount{{Path: "/live.mp3", Member: "ann:secret"}}})
	s := direct(t, []*probetest.Node{node}, inline)
	ask := func(header string) *http.Response {
		t.Helper()
		resp, err := http.ReadResponse(bufio.NewReader(s.tuneIn(t, header)), nil)
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	const right, wrong = "Authorization: Basic YW5uOnNlY3JldA==\r\n", "Authorization: Basic YW5uOmd1ZXNz\r\n"
	for range 2 {
		resp := ask(right)
		if n, err := io.CopyN(io.Discard, resp.Body, 20_000); resp.StatusCode != http.StatusOK || err != nil {
			t.Errorf("with the password: %s, %d bytes, %v", resp.Status, n, err)
		}
		for name, header := range map[string]string{"without a password": "", "with a wrong one": wrong} {
			if resp := ask(header); resp.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(resp.Header.Get("WWW-Authenticate"), "Basic realm=") {
				t.Errorf("%s: %s %v, want the node's challenge", name, resp.Status, resp.Header)
			}
		}
	}
	if told := s.explain(); !strings.Contains(told, `"outcome":"placed"`) || strings.Contains(told, `"failing"`) {
		t.Errorf("the node is blamed: %s", told)
	}
	out, err := exec.Command(program(t), "check", "--probe", s.config).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "mount /live.mp3: node n1 answers 401 to a listener without a password.") {
		t.Errorf("check: %v\n%s", err, out)
	}
}
