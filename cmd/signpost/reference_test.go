package main

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signpost-fm/signpost/cmd/signpost/azuracast"
	"github.com/signpost-fm/signpost/cmd/signpost/config"
	"github.com/signpost-fm/signpost/cmd/signpost/notify"
	"github.com/signpost-fm/signpost/cmd/signpost/service"
	"github.com/signpost-fm/signpost/cmd/signpost/yamlfile"
)

var update = flag.Bool("update", false, "write the reference page anew")

const referencePage = "../../docs/configuration.md"

// TestReferencePage makes docs/configuration.md from the types and comments of
// the configuration file, and fails when the page is stale.
func TestReferencePage(t *testing.T) {
	t.Parallel()
	want := reference(t)
	if bytes.Contains(want, []byte("|---|---|---|---|\n\n")) {
		t.Error("a table is empty")
	}
	if *update {
		if err := os.WriteFile(referencePage, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(referencePage)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("stale; run go generate ./cmd/signpost/config (-from the code +on the page):\n%s", diff)
	}
}

const referenceHead = `# Configuration

<!-- Made from the source by go generate ./cmd/signpost/config; edit the comments in cmd/signpost/config/file*.go instead. -->

A director is configured by one YAML file, given with ` + "`--config`" + `;
[signpost.example.yaml](signpost.example.yaml) is one to begin with. Unknown keys
are errors. ` + "`signpost check FILE`" + ` shows all mistakes at once, each with its line and
the remedy, and says what a good file means. It opens what the file names as a
director would, secrets, databases and the state directory, so it belongs on the
director's machine, run as its user.

- **Lists**: a key that takes a list may be given a single value.
- **Durations** are written with their unit: ` + "`250ms`, `5s`, `1h30m`" + `.
- **Relative paths** are relative to the file.
- **URLs in braces** work as they are; only one with an IPv6 address needs quotes there.
- **Anchors and ` + "`<<`" + `** may be used to repeat what nodes have in common.

The file is read again when it changes, and on SIGHUP. It is applied whole, or
refused whole with every mistake in the log, and then the old one stays in force.
` + "`signpost status`, `/readyz`" + ` and the metrics say so until it is mended.
These keys are looked at only at start; a change of them is said in the same places and
waits for a restart: ` + "%s" + `.

`

// reference renders the page.
func reference(t *testing.T) []byte {
	t.Helper()
	comments := fieldComments(t)
	var keys []string
	for _, k := range service.RestartKeys(&config.Settings{}, different()) {
		keys = append(keys, "`"+k+"`")
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, referenceHead, strings.Join(keys, ", "))
	b.WriteString("## Flags and environment\n\n")
	b.WriteString("What differs between machines can be given to `signpost serve` as a flag or in the\nenvironment. A flag wins over the environment, and both win over the file.\n\n")
	b.WriteString("| Flag | Environment | Default | Meaning |\n|---|---|---|---|\n")
	referenceFlags(&b, reflect.TypeFor[serveCmd]())
	b.WriteString("\nThe commands that ask a running director are told of it by flags, the environment or a\nfile of their own: see [operating.md](operating.md#the-command-line).\n")
	root := reflect.TypeFor[config.File]()
	b.WriteString("\n## Top level\n\n")
	referenceTable(t, &b, comments, root)
	for i := range root.NumField() {
		f := root.Field(i)
		referenceSection(t, &b, comments, f.Tag.Get("yaml"), f.Type)
	}
	return b.Bytes()
}

// different is a configuration in which every key that needs a restart differs
// from an empty one.
func different() *config.Settings {
	s := &config.Settings{StateDir: "a", Secret: []byte("a")}
	s.Listen = config.Listen{HTTP: []string{"a"}, HTTPS: []string{"a"}, ProxyProtocol: make([]netip.Prefix, 1), MaxConnections: 1}
	s.Admin = config.Admin{Listen: "a", Certificate: config.Certificate{CertFile: "a"}}
	s.DNS.Listen, s.DNS.LogQueries = []string{"a"}, true
	s.Store.Site, s.Probe.Fall, s.Proxy.MaxListeners = "a", 1, 1
	s.Notify, s.AzuraCast = make([]notify.Hook, 1), &azuracast.Config{}
	return s
}

func referenceFlags(b *bytes.Buffer, t reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			referenceFlags(b, f.Type)
			continue
		}
		if _, argument := f.Tag.Lookup("arg"); argument {
			continue
		}
		name := strings.ToLower(strings.Join(words(f.Name), "-"))
		fmt.Fprintf(b, "| `--%s` | `%s` | %s | %s |\n", name, f.Tag.Get("env"), quoted(f.Tag.Get("default")), f.Tag.Get("help"))
	}
}

// words takes LogLevel apart.
func words(name string) []string {
	var all []string
	start := 0
	for i := 1; i <= len(name); i++ {
		if i == len(name) || name[i] >= 'A' && name[i] <= 'Z' {
			all, start = append(all, name[start:i]), i
		}
	}
	return all
}

// referenceSection renders the keys of one section, and of those inside it.
func referenceSection(t *testing.T, b *bytes.Buffer, comments map[string]string, path string, typ reflect.Type) {
	inner, suffix := elem(typ)
	if inner.Kind() != reflect.Struct {
		return
	}
	for _, t := range []reflect.Type{typ, inner} {
		if hasName(t) {
			return
		}
	}
	path = strings.TrimSuffix(path, ".list")
	fmt.Fprintf(b, "\n## %s%s\n\n", path, suffix)
	if c := comments[inner.Name()]; c != "" {
		fmt.Fprintf(b, "%s\n\n", c)
	}
	referenceTable(t, b, comments, inner)
	for i := range inner.NumField() {
		if f := inner.Field(i); f.Tag.Get("yaml") != "" {
			referenceSection(t, b, comments, path+suffix+"."+f.Tag.Get("yaml"), f.Type)
		}
	}
}

func elem(t reflect.Type) (reflect.Type, string) {
	if t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct {
		return t.Elem(), "[]"
	}
	if t.Kind() == reflect.Map && t.Elem().Kind() == reflect.Struct {
		return t.Elem(), "{}"
	}
	return t, ""
}

func referenceTable(t *testing.T, b *bytes.Buffer, comments map[string]string, typ reflect.Type) {
	t.Helper()
	b.WriteString("| Key | Type | Default | Meaning |\n|---|---|---|---|\n")
	for i := range typ.NumField() {
		f := typ.Field(i)
		key := f.Tag.Get("yaml")
		if key == "" {
			continue
		}
		comment := comments[typ.Name()+"."+f.Name]
		if comment == "" {
			t.Errorf("%s.%s has no comment to describe %q", typ.Name(), f.Name, key)
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", key, referenceType(f.Type), quoted(f.Tag.Get("default")), comment)
	}
}

// referenceType names a type without its article, for a table.
func referenceType(t reflect.Type) string {
	if t.Kind() == reflect.Slice && !hasName(t) {
		if t.Elem().Kind() == reflect.Struct && !hasName(t.Elem()) {
			return "list"
		}
		return "list of " + referenceType(t.Elem())
	}
	if t.Kind() == reflect.Map && t.Elem().Kind() == reflect.Struct && !hasName(t.Elem()) {
		return "name to keys"
	}
	if t.Kind() == reflect.Map {
		return referenceType(t.Key()) + " to " + referenceType(t.Elem())
	}
	return strings.TrimPrefix(strings.TrimPrefix(yamlfile.TypeName(t), "a "), "an ")
}

// hasName says whether the name of a type tells how it is written.
func hasName(t reflect.Type) bool {
	_, ok := reflect.Zero(t).Interface().(yamlfile.Typed)
	return ok
}

func quoted(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}

// fieldComments reads the comments of the file types: "Type" and "Type.Field".
func fieldComments(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, name := range []string{"file.go", "file_service.go", "file_dns.go", "values.go"} {
		tree, err := parser.ParseFile(token.NewFileSet(), filepath.Join("config", name), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			d, ok := n.(*ast.GenDecl)
			if !ok || d.Tok != token.TYPE {
				return true
			}
			spec := d.Specs[0].(*ast.TypeSpec)
			all[spec.Name.Name] = sentence(d.Doc)
			if s, ok := spec.Type.(*ast.StructType); ok {
				for _, f := range s.Fields.List {
					for _, id := range f.Names {
						all[spec.Name.Name+"."+id.Name] = sentence(f.Doc)
					}
				}
			}
			return true
		})
	}
	return all
}

func sentence(c *ast.CommentGroup) string {
	return strings.Join(strings.Fields(c.Text()), " ")
}
