package e2e

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signpost-fm/signpost/director/probe/probetest"
	"github.com/signpost-fm/signpost/director/probe/proctest"
)

// A mount with listener authentication: the password opens it inline as at the node,
// without one the node's challenge comes, and check says what it means for redirects.
func TestMembersInline(t *testing.T) {
	t.Parallel()
	node := probetest.Icecast(t, probetest.Options{Mounts: []probetest.Mount{{Path: "/live.mp3", Member: "ann:secret", MaxListeners: 900}}})
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
	// Real players show the password to the director. Sent elsewhere, they do not show it there.
	url := strings.Replace(s.url, "://", "://ann:secret@", 1) + "/live.mp3"
	for _, p := range players {
		if p.name == "cmus" || p.name == "vlc" {
			continue // the one needs a terminal for it, the other forgets it at Icecast itself
		}
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			if got := heard(t, play(t, p, url, 2), []int{440}); got != 440 {
				t.Errorf("heard %d Hz inline", got)
			}
		})
	}
	t.Run("redirect", func(t *testing.T) {
		t.Parallel()
		proctest.Need(t, "curl")
		redirecting := direct(t, []*probetest.Node{node}, "")
		url := strings.Replace(redirecting.url, "://", "://ann:secret@", 1) + "/live.mp3"
		for option, want := range map[string]string{"-L": "401", "--location-trusted": "200"} {
			said, _ := exec.Command("curl", "-s", "-m", "3", "-o", "/dev/null", "-w", "%{http_code}", option, url).Output() // it plays until it is stopped
			if string(said) != want {
				t.Errorf("curl %s: %s, want %s", option, said, want)
			}
		}
	})

	// Icecast tells the mounts' limits to its administrators only.
	credentials, config := filepath.Join(t.TempDir(), "credentials"), filepath.Join(t.TempDir(), "signpost.yaml")
	user, password := node.Credentials()
	if err := os.WriteFile(credentials, []byte(user+":"+password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := strings.ReplaceAll(configuration([]*probetest.Node{node}, inline), "target: 1000", "target: 1000, credentials_file: "+credentials)
	if err := os.WriteFile(config, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(program(t), "check", "--probe", config).CombinedOutput()
	for _, want := range []string{
		"mount /live.mp3: node n1 answers 401 to a listener without a password.",
		"node n1 is to hold 1000 listeners (target or limit), and its mounts take 900",
	} {
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("check: %v, want %q in\n%s", err, want, out)
		}
	}
}
