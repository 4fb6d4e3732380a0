package importer_test

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/signpost-fm/signpost/cmd/signpost/config"
	"github.com/signpost-fm/signpost/cmd/signpost/importer"
	"github.com/signpost-fm/signpost/director"
)

var update = flag.Bool("update", false, "write what is wanted anew")

// TestIcecastXML: each file of testdata/icecast has one or several icecast.xml, and what
// is made of them: where listeners of each mount go while all nodes are up, what is said of
// the servers, and what was left out. All of it is good by `signpost check`, which warns of
// nothing but servers that only have https.
func TestIcecastXML(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/icecast/*.txtar")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			var found importer.Found
			want, wantAt := "", len(a.Files)
			for i, f := range a.Files {
				if f.Name == "want" {
					want, wantAt = string(f.Data), i
					continue
				}
				one, err := importer.File(f.Name, f.Data, "")
				if err != nil {
					t.Fatal(err)
				}
				found.Add(one)
			}
			got := outcome(t, importer.Combine(found))
			if strings.Contains(got, "check warns") && !strings.Contains(name, "https-only") {
				t.Error(got)
			}
			if *update {
				a.Files = append(a.Files[:wantAt], txtar.File{Name: "want", Data: []byte(got)})
				if err := os.WriteFile(name, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// outcome writes down what a fleet means, and fails where its file is not good.
func outcome(t *testing.T, f *importer.Fleet) string {
	t.Helper()
	f.Command, f.StateDir = "test", t.TempDir()
	s, warnings := settings(t, f)
	var b strings.Builder
	for _, w := range warnings {
		fmt.Fprintln(&b, "check warns", w)
	}
	for _, line := range routes(t, s, f) {
		fmt.Fprintln(&b, line)
	}
	for _, line := range f.Understood() {
		fmt.Fprintln(&b, "understood", line)
	}
	for _, n := range f.Notes {
		fmt.Fprintln(&b, map[bool]string{true: "look at", false: "left out"}[n.Look], n)
	}
	return b.String()
}

// settings reads the file that is written of a fleet, which must be good.
func settings(t *testing.T, f *importer.Fleet) (s *config.Settings, warnings []string) {
	t.Helper()
	source := f.YAML()
	d, err := config.Parse("signpost.yaml", source)
	if err != nil {
		t.Fatalf("%v in\n%s", err, source)
	}
	if s, err = d.Settings(); err != nil {
		t.Fatalf("%v in\n%s", err, source)
	}
	if warnings, err = s.Warnings(); err != nil {
		t.Errorf("%v in\n%s", err, source)
	}
	if again := f.YAML(); string(again) != string(source) {
		t.Error("written twice, it differs")
	}
	return s, warnings
}

// routes says for each mount where listeners are sent, by the real core, while all nodes
// are up: to each URL of the first, and then of the others.
func routes(t *testing.T, s *config.Settings, f *importer.Fleet) (lines []string) {
	t.Helper()
	fleet, err := director.Compile(s.Fleet)
	if err != nil {
		t.Fatal(err)
	}
	var mounts, any []string
	for _, m := range f.Mounts {
		mounts = append(mounts, m.Name)
		mounts = append(mounts, m.Aliases...)
	}
	if len(mounts) == 0 {
		mounts, any = []string{"/any.mp3"}, []string{"/any.mp3"}
	}
	snap := config.AssumeUp(fleet, s.Fleet.Nodes, any...)
	for _, m := range mounts {
		var to []string
		for _, c := range snap.Explain(director.Listener{Mount: m, Scheme: director.AnyScheme}, nil).Candidates {
			if c.Expected == 0 {
				continue
			}
			i := slices.IndexFunc(s.Fleet.Nodes, func(n director.Node) bool { return n.ID == c.Node })
			node := s.Fleet.Nodes[i]
			for _, u := range node.URLs {
				path := m
				for _, declared := range s.Fleet.Mounts {
					if slices.Contains(declared.Aliases, m) {
						path = declared.Name
					}
				}
				if own, ok := node.Paths[path]; ok {
					path = own
				}
				to = append(to, u+(&url.URL{Path: path}).EscapedPath())
			}
		}
		slices.Sort(to)
		if len(to) == 0 {
			t.Errorf("nobody is sent anywhere for %s", m)
		}
		lines = append(lines, m+" -> "+strings.Join(to, " "))
	}
	return lines
}
