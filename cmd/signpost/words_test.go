package main

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// notToOperators finds the words of the column "Never" of the table "Operators' words" in
// docs/architecture.md. Where a word has a common meaning too, its pattern has the use
// that is meant.
var notToOperators = map[string]string{
	"fit":              `fit`,
	"on their way":     `on (their|its) way`,
	"en route":         `en route`,
	"part":             `(a|as|what|whose|'s) part|parts? (0|of (the|its|all|a|new|every)\b)`,
	"chance":           `chances?`,
	"expected":         `expected (share|listeners)`,
	"rung":             `rungs?`,
	"ladder":           `ladders?`,
	"overlay":          `overlays?`,
	"masks":            `mask(s|ed)?`,
	"store heard":      `(store|been|was) heard`,
	"picture":          `pictures?`,
	"without a seat":   `(without a|(find|finds|have|has|get|gets) no|look for (a|another)) seat`,
	"beyond target":    `beyond (the )?(target|limit)s?`,
	"dark":             `dark`,
	"unverified":       `unverified`,
	"carries":          `carries|carry`,
	"verdict":          `verdicts?`,
	"proxy":            `proxied|prox(y|ies)`,
	"carried":          `carried`,
	"0":                "", // a number that nobody knows: the pages' own tests look for it
	"– without a word": "",
}

// meantOtherwise finds what is no operator's word to be judged: a value of the API or a
// key of the file, with its meaning behind it in parentheses where it has another name.
var meantOtherwise = regexp.MustCompile(`(?i)\b(fit \(in service\)|unverified \(not yet probed\)|dark \(last known good\)|overlay \(([\w ]+ )?operators'( changes)?\)|` +
	`proxy\.\w+|answer: proxy|asx, proxy, deny|(trusted|your) prox(y|ies)('s)?|within proxy \(|/api/v1/overlay|director\.Verdict|has a part of|prefers-color-scheme: dark)`)

// wrongWords returns those words of a text that operators should not read.
func wrongWords(text string) (out []string) {
	text = meantOtherwise.ReplaceAllString(text, "")
	for word, p := range neverPatterns {
		if found := p.FindString(text); found != "" {
			out = append(out, strconv.Quote(found)+" ("+word+")")
		}
	}
	slices.Sort(out)
	return out
}

var neverPatterns = func() map[string]*regexp.Regexp {
	out := map[string]*regexp.Regexp{}
	for word, p := range notToOperators {
		if p != "" {
			out[word] = regexp.MustCompile(`(?i)(^|[^\w.{$/"-])(` + p + `)\b`)
		}
	}
	return out
}()

// TestOperatorsWords looks at what operators read: the texts in Go (messages, the log,
// metrics' help, the command line's), the pages, the API's document, the alerts and the
// panels. One thing has one word there.
func TestOperatorsWords(t *testing.T) {
	t.Parallel()
	looked := map[string]int{}
	look := func(kind, where, text string) {
		looked[kind]++
		for _, w := range wrongWords(text) {
			t.Errorf("%s: %s is no word for operators; see \"Operators' words\" in docs/architecture.md: %s", where, w, text)
		}
	}

	table, err := os.ReadFile(filepath.Join(root, "docs/architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := bytes.Cut(table, []byte("| To an operator | Never |"))
	rest, _, _ = bytes.Cut(rest, []byte("\n\n"))
	told := map[string]bool{}
	for line := range strings.Lines(string(rest)) {
		if cells := strings.Split(line, "|"); len(cells) > 3 && strings.HasPrefix(cells[1], " **") {
			for word := range strings.SplitSeq(cells[2], ",") {
				told[strings.TrimSpace(word)] = true
			}
		}
	}
	for word := range told {
		if _, ok := notToOperators[word]; !ok {
			t.Errorf("docs/architecture.md says never to say %q to an operator, and this test does not look for it", word)
		}
	}
	for word := range notToOperators {
		if !told[word] {
			t.Errorf("this test looks for %q, of which docs/architecture.md says nothing", word)
		}
	}

	goTexts(t, func(where, text string) { look("go", where, text) })
	descriptions(t, "web/admin/openapi.json", []string{"description", "summary"}, func(where, text string) { look("api", where, text) })
	descriptions(t, "deploy/grafana/dashboards/signpost.json", []string{"description", "title", "legendFormat"}, func(where, text string) { look("panels", where, text) })
	pageTexts(t, func(where, text string) { look("pages", where, text) })
	alerts, err := os.ReadFile(filepath.Join(root, "deploy/prometheus/alerts.yml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^ *(?:summary|description): (.*)$`).FindAllSubmatch(alerts, -1) {
		look("alerts", "deploy/prometheus/alerts.yml", string(m[1]))
	}
	for kind, least := range map[string]int{"go": 2000, "api": 300, "pages": 300, "panels": 50, "alerts": 20} {
		if looked[kind] < least {
			t.Errorf("only %d texts of %s were found", looked[kind], kind)
		}
	}
}

// TestInlineInDocs looks at the pages for operators: what a director sends itself is
// inline, and not carried, proxied or passed through. Their other words have common
// meanings, too.
func TestInlineInDocs(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob(filepath.Join(root, "docs/*.md"))
	if err != nil || len(pages) < 8 {
		t.Fatalf("docs has %d pages, %v", len(pages), err)
	}
	more, err := filepath.Glob(filepath.Join(root, "deploy/*/*.*"))
	if err != nil {
		t.Fatal(err)
	}
	carried := regexp.MustCompile(`(?i)\bcarr(y|ies|ied|ying)\b( a token| DNS|\.json)?`)
	for _, page := range slices.Concat(pages, more, []string{filepath.Join(root, "README.md"), filepath.Join(root, "CHANGELOG.md")}) {
		if filepath.Base(page) == "architecture.md" { // for who changes the code, which says carry
			continue
		}
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range bytes.Split(text, []byte("\n")) {
			for _, m := range carried.FindAllSubmatch(line, -1) {
				if len(m[2]) == 0 {
					t.Errorf("%s:%d: %q; to an operator, streams and listeners are inline", page, i+1, m[0])
				}
			}
		}
	}
}

// TestWrongWords tries the search itself.
func TestWrongWords(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"listeners en route to the node": 1, "those on their way": 1, "the overlay was edited, and masks the file's": 2,
		"Streams carried inline.": 1, "a later rung": 1, "Dark: no node is up": 1, "a node's part of all": 1,
		"its chances": 1, "would find no seat": 1, "the store was heard 3 s ago": 1, "beyond target": 1, "fit": 1, "unverified since": 1,
		"fit (in service), down or unverified (not yet probed)": 0, "proxy.max_mbit is 0, and no trusted proxy": 0, "node answers in part": 0,
		"expected 3 arguments": 0, `{"overlay": 1}`: 0, "it does not profit": 0, "--overlay FILE": 0,
	} {
		if got := wrongWords(text); len(got) != want {
			t.Errorf("%s: %q, want %d", text, got, want)
		}
	}
}

// goTexts yields the string constants with a space in them of all packages that are part
// of the program, and the help of its options. A constant that says nothing to anybody, as
// a script for Redis, is in a file of another language.
func goTexts(t *testing.T, yield func(where, text string)) {
	t.Helper()
	for _, top := range []string{"cmd/signpost", "director", "geo", "store", "web"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(p string, d fs.DirEntry, err error) error {
			switch name := d.Name(); {
			case err != nil:
				return err
			case d.IsDir() && (name == "testdata" || name == "sim" || strings.HasSuffix(name, "test") && name != "test"):
				return filepath.SkipDir
			case d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
				return nil
			}
			files := token.NewFileSet()
			f, err := parser.ParseFile(files, p, nil, 0)
			if err != nil {
				return err
			}
			where := func(n ast.Node) string { return strings.TrimPrefix(files.Position(n.Pos()).String(), root+"/") }
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.ImportSpec:
					return false
				case *ast.Field:
					if n.Tag != nil {
						tag, _ := strconv.Unquote(n.Tag.Value)
						yield(where(n), reflect.StructTag(tag).Get("help"))
						n.Tag = nil // its keys are no text
					}
				case *ast.BasicLit:
					if text, _ := strconv.Unquote(n.Value); n.Kind == token.STRING && strings.Contains(text, " ") {
						yield(where(n), text)
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// pageTexts yields the texts of the dashboard: between tags, in attributes that are read,
// and the constants with a space in them of its scripts. What is between {{ and }} comes
// from Go, and choices are values.
func pageTexts(t *testing.T, yield func(where, text string)) {
	t.Helper()
	const dashboard = "web/admin/dashboard/"
	for pattern, search := range map[string]struct{ drop, find *regexp.Regexp }{
		"templates/*.html": {regexp.MustCompile(`(?s){{.*?}}|<option.*?</option>`), regexp.MustCompile(`>([^<]+)<|(?:title|aria-label|placeholder)="([^"]+)"`)},
		"assets/*.js":      {regexp.MustCompile(`(?m)^\s*//.*$|\$\{[^}]*\}`), regexp.MustCompile("'([^'\\n]*)'|`([^`\\n]*)`")},
	} {
		files, err := filepath.Glob(filepath.Join(root, dashboard, pattern))
		if err != nil || len(files) < 8 {
			t.Errorf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range search.find.FindAllSubmatch(search.drop.ReplaceAll(content, nil), -1) {
				if text := string(m[1]) + string(m[2]); filepath.Ext(file) == ".html" || strings.Contains(text, " ") {
					yield(dashboard+filepath.Base(file), strings.TrimSpace(text))
				}
			}
		}
	}
}

// descriptions yields the texts below some keys of a JSON file.
func descriptions(t *testing.T, file string, keys []string, yield func(where, text string)) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	var document any
	if err := json.Unmarshal(content, &document); err != nil {
		t.Fatal(err)
	}
	var walk func(where string, v any)
	walk = func(where string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for key, value := range v {
				if text, ok := value.(string); ok && slices.Contains(keys, key) {
					// A type's or a field's comment begins with its name in Go.
					if first, after, ok := strings.Cut(text, " "); ok && strings.EqualFold(first, where[strings.LastIndexByte(where, ' ')+1:]) {
						text = after
					}
					yield(file+":"+where, text)
				} else {
					walk(where+" "+key, value)
				}
			}
		case []any:
			for i, value := range v {
				walk(where+" "+strconv.Itoa(i), value)
			}
		}
	}
	walk("", document)
}
