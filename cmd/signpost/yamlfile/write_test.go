package yamlfile

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestWrite(t *testing.T) {
	t.Parallel()
	m := Mapping{
		{Name: "listen", Value: Mapping{{Name: "http", Value: []string{":8000"}, Above: []string{"Where."}}}},
		{Name: "nodes", Above: []string{"The servers.", "All of them."}, Value: List{
			{Above: []string{"the first"}, Mapping: Mapping{{Name: "id", Value: "no"}, {Name: "limit", Value: 90, Beside: "of 100"}}},
			{Mapping: Mapping{{Name: "id", Value: "123"}, {Name: "paths", Value: Mapping{{Name: "/it's [a].mp3", Value: "/x: #y\nz"}}}}},
		}},
		{Name: "state_dir", Value: "state", Above: []string{"two\nlines\u2028in one"}},
	}
	const want = `# Made by a test.

listen:
  # Where.
  http: [":8000"]

# The servers.
# All of them.
nodes:
  # the first
  - id: "no"
    limit: 90 # of 100
  - id: "123"
    paths:
      "/it's [a].mp3": "/x: #y\nz"

# two lines in one
state_dir: state
`
	got := Write([]string{"Made by a test."}, m)
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Fatalf("-want +got:\n%s", diff)
	}
	var back struct {
		Listen struct {
			HTTP []string `yaml:"http"`
		} `yaml:"listen"`
		Nodes []struct {
			ID    string            `yaml:"id"`
			Limit int               `yaml:"limit"`
			Paths map[string]string `yaml:"paths"`
		} `yaml:"nodes"`
		StateDir string `yaml:"state_dir"`
	}
	if _, err := Parse("written.yaml", got, &back, "empty"); err != nil {
		t.Fatal(err)
	}
	if n := back.Nodes; len(n) != 2 || n[0].ID != "no" || n[1].ID != "123" || n[1].Paths["/it's [a].mp3"] != "/x: #y\nz" {
		t.Errorf("read back: %+v", back)
	}
}

// Any text comes back as it was, and a comment is never more than that.
func FuzzWrite(f *testing.F) {
	for _, text := range []string{"", " ", "no", "~", "null", "0x1F", "1e3", "-01", ".5", "- a", "a: b", "a #b", "*a", "&a", "!a", "%a", "@a", "`a", "'", `"`, `\`, "{a}", "[a]", "? a", "a\nb", "\ta", "a ", "2026-01-01", "=", "<<", "|", ">", "---", "...", "ü", "\u0085", "\u2028", "\ufeff", "🎵", ": "} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 400 || !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\t' && r != '\n' || r == 0x7f }) {
			return // no YAML has them, and lines are bounded
		}
		got := Write(nil, Mapping{{Name: "text", Value: text, Above: []string{text}}, {Name: "list", Value: []string{text}}, {Name: "keys", Value: Mapping{{Name: text, Value: 1, Beside: text}}}})
		var back struct {
			Text string         `yaml:"text"`
			List []string       `yaml:"list"`
			Keys map[string]int `yaml:"keys"`
		}
		if _, err := Parse("written.yaml", got, &back, "empty"); err != nil {
			t.Fatalf("%v in\n%s", err, got)
		}
		if back.Text != text || len(back.List) != 1 || back.List[0] != text || back.Keys[text] != 1 {
			t.Fatalf("%q was written as\n%s and read as %q, %q", text, got, back.Text, back.List)
		}
	})
}
