package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/signpost-fm/signpost/director/probe/probetest"
)

// blocks returns the fenced blocks of one language in README.md.
func blocks(t *testing.T, language string) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(string(b), -1) {
		out = append(out, m[1])
	}
	if len(out) == 0 {
		t.Fatalf("README.md has no block of %s", language)
	}
	return out
}

// The first configuration is good, and the commands beside it do what they say. Those
// that ask a running director are tried where directors run: cmd/signpost/testdata/script/shown.txtar.
func TestReadmeCommands(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "signpost.yaml"), []byte(blocks(t, "yaml")[0]), 0o600); err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, line := range strings.Split(strings.Join(blocks(t, "sh"), ""), "\n") {
		command, _, _ := strings.Cut(line, "#")
		args := strings.Fields(command)
		if len(args) < 2 || args[0] != "signpost" || args[1] != "check" && args[1] != "explain" { // readmeAnswers serves
			continue
		}
		cmd := exec.Command(program(t), args[1:]...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		want := map[string]string{"check": "is good", "explain": "302 redirect"}[args[1]]
		if err != nil || want == "" || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v, want %q in\n%s", command, err, want, out)
		}
		tried++
	}
	if tried != 2 {
		t.Errorf("%d commands tried, want check and explain", tried)
	}
}

// The answers shown are the answers given, with real servers in the place of the
// example's.
func readmeAnswers(t *testing.T, fleet []*probetest.Node) {
	toReal := []string{"[\":8000\"]", "[\"127.0.0.1:0\"], trusted_proxies: [127.0.0.0/8]"}
	var toExample []string
	for i, name := range []string{"fra1", "ams1", "nyc1"} {
		example := "http://" + name + ".radio.example:8000"
		toReal = append(toReal, example, fleet[i].URL())
		toExample = append(toExample, fleet[i].URL(), example)
	}
	config := strings.NewReplacer(toReal...).Replace(blocks(t, "yaml")[0])
	s := directFile(t, config+"admin: {listen: '127.0.0.1:0'}\n")
	for _, shown := range blocks(t, "http") {
		request, answer, _ := strings.Cut(shown, "\n\n")
		path := strings.TrimPrefix(request, "GET ")
		head, body, _ := strings.Cut(answer, "\n\n")
		lines := strings.Split(strings.TrimSpace(head), "\n")
		status, headers := lines[0], lines[1:]

		resp, got := s.untilRanked(path, fleet)
		if resp.Status != status {
			t.Errorf("%s: %s, want %s", path, resp.Status, status)
		}
		back := strings.NewReplacer(toExample...)
		for _, h := range headers {
			name, value, _ := strings.Cut(h, ": ")
			have := back.Replace(resp.Header.Get(name))
			if name == "Connection" && resp.Close {
				have = "close" // net/http keeps the header to itself
			}
			if have != value {
				t.Errorf("%s: %s: %q, the document shows %q", path, name, have, value)
			}
		}
		if have := back.Replace(got); body != "" && have != body {
			t.Errorf("%s: the body is\n%s\nthe document shows\n%s", path, have, body)
		}
	}
}

// untilRanked asks as one German after another until one's nodes come in the
// order of the fleet, as the document shows them.
func (s *signpost) untilRanked(path string, fleet []*probetest.Node) (*http.Response, string) {
	s.t.Helper()
	for i := range 200 {
		resp := s.get(path, "91.0.0.1", fmt.Sprintf("player %d", i))
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			s.t.Fatal(err)
		}
		text := resp.Header.Get("Location") + string(b)
		first := strings.Index(text, fleet[0].URL())
		second, third := strings.Index(text, fleet[1].URL()), strings.Index(text, fleet[2].URL())
		if first >= 0 && (resp.Header.Get("Location") != "" || first < second && second < third) {
			return resp, string(b)
		}
	}
	s.t.Fatalf("%s: none of 200 listeners has the nodes in order", path)
	return nil, ""
}
