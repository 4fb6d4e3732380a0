package config

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signpost-fm/signpost/cmd/signpost/yamlfile"
)

var update = flag.Bool("update", false, "write the golden files anew")

// readConfig is what the programs do with a configuration before they use it.
func readConfig(name string, source []byte) (*Settings, error) {
	d, err := Parse(name, source)
	if err != nil {
		return nil, err
	}
	return d.Settings()
}

func TestGoodConfigurations(t *testing.T) {
	t.Parallel()
	eachFixture(t, "testdata/good/*.yaml", func(t *testing.T, name string, source []byte) {
		if _, err := readConfig(name, source); err != nil {
			t.Errorf("refused:\n%v", err)
		}
	})
}

// TestBadConfigurations compares what an operator reads with the golden file
// beside each fixture.
func TestBadConfigurations(t *testing.T) {
	t.Parallel()
	eachFixture(t, "testdata/bad/*.yaml", func(t *testing.T, name string, source []byte) {
		_, err := readConfig(filepath.Base(name), source)
		if err == nil {
			t.Fatal("accepted")
		}
		golden := strings.TrimSuffix(name, ".yaml") + ".txt"
		got := err.Error() + "\n"
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("message (-want +got):\n%s", diff)
		}
	})
}

// eachFixture tests each file in parallel.
func eachFixture(t *testing.T, pattern string, test func(t *testing.T, name string, source []byte)) {
	t.Helper()
	files, _ := filepath.Glob(pattern)
	if len(files) == 0 {
		t.Fatal("no fixtures")
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			source, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			test(t, name, source)
		})
	}
}

// TestHostileFiles holds what is too large, or too odd, to keep as a fixture.
func TestHostileFiles(t *testing.T) {
	t.Parallel()
	bomb := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'z'; c++ {
		p := string(c - 1)
		bomb += string(c) + ": &" + string(c) + " [" + strings.TrimSuffix(strings.Repeat("*"+p+",", 10), ",") + "]\n"
	}
	for _, tc := range []struct{ name, source, want string }{
		{"empty", "", "the file is empty"},
		{"comments", "# nothing\n\n", "the file is empty"},
		{"marker", "---\n", "the file is empty"},
		{"null", "~\n", "the file is empty"},
		{"huge", strings.Repeat("# x\n", yamlfile.MaxBytes/4+1), "larger than 4 MB"},
		{"nul", "nodes: \x00", "NUL"},
		{"utf-8", "state_dir: caf\xe9\n", "not UTF-8"},
		{"utf-16", "n\x00o\x00d\x00e\x00s\x00", "NUL"},
		{"deep flow", strings.Repeat("[", 100_000), "nested too deeply"},
		{"deep lines", strings.Repeat("[\n", 100_000), "nested too deeply"},
		{"deep dashes", strings.Repeat("- ", 100_000), "nested too deeply"},
		{"deep indent", func() string {
			var b strings.Builder
			for i := range 2500 {
				b.WriteString(strings.Repeat(" ", i) + "a:\n")
			}
			return b.String()
		}(), "nested too deeply"},
		{"deep questions", strings.Repeat("? ", 100_000), "nested too deeply"},
		{"bomb", bomb + "nodes: *z\n", "unknown key"},
		{"bomb in use", strings.ReplaceAll(bombInUse(), "\t", "  "), "too large or nested too deeply"},
		{"circle", "mounts: &m [*m]\n", ""},
		{"alias alone", "mounts: *nowhere\n", "alias *nowhere has no anchor"},
		{"list", "- a\n", "keys with values"},
		{"scalar", "hello\n", "keys with values"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := readConfig("x.yaml", []byte(tc.source))
			if err == nil {
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got  %.300s\nwant %s", err, tc.want)
			}
		})
	}
}

// bombInUse makes aliases multiply where the file has a use for them.
func bombInUse() string {
	var b strings.Builder
	b.WriteString("mounts:\n  - name: /a\n    aliases: &a [" + strings.Repeat("/x,", 1000) + "/x]\n")
	for range 300 {
		b.WriteString("  - {name: /b, aliases: *a}\n")
	}
	return b.String()
}

func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"testdata/good/*.yaml", "testdata/bad/*.yaml"} {
		files, _ := filepath.Glob(pattern)
		for _, name := range files {
			if source, err := os.ReadFile(name); err == nil {
				f.Add(source)
			}
		}
	}
	f.Add([]byte("nodes: &a\n- *a"))
	f.Add([]byte("<<: {nodes: [{<<: {id: x}}]}"))
	f.Fuzz(func(t *testing.T, source []byte) {
		s, err := readConfig("fuzz.yaml", source)
		if (s == nil) == (err == nil) {
			t.Fatal("either settings or an error")
		}
		var refused *yamlfile.Error
		if err == nil {
			return
		}
		if !errors.As(err, &refused) || len(refused.Mistakes) == 0 {
			t.Fatalf("an error without a place: %v", err)
		}
		for _, m := range refused.Mistakes {
			if m.Line > bytes.Count(source, []byte("\n"))+1 {
				t.Errorf("line %d is behind the end of the file: %s", m.Line, m.Message)
			}
		}
		_ = err.Error()
	})
}

// TestExample holds the example to what it promises: it is good, and nothing in
// it deserves a warning.
func TestExample(t *testing.T) {
	t.Parallel()
	s, err := Read("../../../docs/signpost.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	m, err := s.Meaning(nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Warnings) > 0 {
		t.Errorf("warnings:\n%s", strings.Join(m.Warnings, "\n"))
	}
	for _, r := range m.Regions {
		sum := 0.0
		for _, n := range r.Ladder[0].Nodes {
			sum += n.Percent
		}
		if sum < 99.9 || sum > 100.1 {
			t.Errorf("region %s: its shares come to %.2f %%", r.ID, sum)
		}
	}
}
