package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxFileBytes bounds a configuration file: 1,000 nodes in 50 regions with all
// their weights come to about 1 MB.
const maxFileBytes = 4 << 20

// The parser follows nesting by recursion, so it is bounded before: brackets by
// their depth, blocks by their column, for each level takes one at least.
const (
	maxBrackets = 100
	maxColumn   = 2000
)

// loaded is a configuration file that was read without mistakes, and where each
// of its values stands.
type loaded struct {
	file
	name   string // for messages, as the operator wrote it
	source []byte
	places map[string]position
}

// dir is what relative paths in the file are relative to.
func (l *loaded) dir() string { return filepath.Dir(l.name) }

// path makes a path of the file absolute, or relative to the working directory.
func (l *loaded) path(p string) string {
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(l.dir(), p)
}

// loadFile reads the configuration file of that name. An error about its content
// is a *fileError with every mistake in it.
func loadFile(name string) (*loaded, error) {
	source, err := readBounded(name)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	return load(name, source)
}

// readBounded reads a file, and not much more than maxFileBytes of it.
func readBounded(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	source, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return source, nil
}

// load reads a configuration from source. name is used in messages and for
// relative paths.
func load(name string, source []byte) (*loaded, error) {
	l := &loaded{name: name, source: source, places: map[string]position{}}
	const empty = "the file is empty; `signpost demo` runs without one, and docs/configuration.md describes what belongs here"
	if mistakes := decodeFile(source, &l.file, l.places, empty); len(mistakes) > 0 {
		return nil, newFileError(name, source, mistakes)
	}
	return l, nil
}

// readClientFile reads the file of an operators' command line into the struct that
// v points to. The error has its mistakes without the lines themselves: somebody may
// have written a token there.
func readClientFile(name string, v any) error {
	source, err := readBounded(name)
	if err != nil {
		return err
	}
	const empty = "the file is empty; it has the keys server and token_file, or need not be there"
	if mistakes := decodeFile(source, v, map[string]position{}, empty); len(mistakes) > 0 {
		return errors.New(strings.Join(newFileError(name, source, mistakes).lines(), "\n"))
	}
	return nil
}

// decodeFile reads YAML into the struct that v points to, notes in places where its
// values stand, and returns all mistakes. empty is what is wrong with nothing.
func decodeFile(source []byte, v any, places map[string]position, empty string) []mistake {
	into := reflect.ValueOf(v).Elem()
	setDefaults(into)
	if found := checkText(source); len(found) > 0 {
		return found
	}
	body, err := parse(bytes.TrimPrefix(source, []byte("\ufeff")))
	if err != nil {
		if found := tabs(source); len(found) > 0 {
			return found
		}
		return []mistake{syntaxMistake(err)}
	}
	if body == nil {
		return []mistake{{msg: empty}}
	}
	d := decoder{anchors: map[string]ast.Node{}, places: places}
	ast.Walk(anchorVisitor{&d}, body)
	d.decode(body, into, nil)
	return d.mistakes
}

// checkText refuses what is no YAML text at all.
func checkText(source []byte) []mistake {
	switch {
	case len(source) > maxFileBytes:
		return []mistake{{msg: fmt.Sprintf("the file is larger than %d MB; is it the right one?", maxFileBytes>>20)}}
	case bytes.IndexByte(source, 0) >= 0:
		return []mistake{{msg: "the file contains NUL bytes; save it as UTF-8 text"}}
	}
	var found []mistake
	for i, line := range bytes.Split(source, []byte("\n")) {
		if bad := invalidUTF8(line); bad >= 0 && len(found) < maxMistakes {
			found = append(found, mistake{position{i + 1, bad + 1}, "this is not UTF-8; save the file as UTF-8"})
		}
	}
	return found
}

// tabs finds lines that are indented with tabs, of which the parser says only
// that something cannot start there.
func tabs(source []byte) []mistake {
	var found []mistake
	for i, line := range bytes.Split(source, []byte("\n")) {
		indent := line[:len(line)-len(bytes.TrimLeft(line, " \t"))]
		rest := bytes.TrimSpace(line)
		if tab := bytes.IndexByte(indent, '\t'); tab >= 0 && len(rest) > 0 && rest[0] != '#' && len(found) < maxMistakes {
			found = append(found, mistake{position{i + 1, tab + 1}, "a tab in the indentation; YAML is indented with spaces"})
		}
	}
	return found
}

// invalidUTF8 returns where line stops being UTF-8, in characters; -1: nowhere.
func invalidUTF8(line []byte) int {
	for i, n := 0, 0; i < len(line); n++ {
		r, size := utf8.DecodeRune(line[i:])
		if r == utf8.RuneError && size == 1 {
			return n
		}
		i += size
	}
	return -1
}

// parse returns the one document of source; nil: it is empty.
func parse(source []byte) (ast.Node, error) {
	tokens := lexer.Tokenize(string(source))
	if err := checkNesting(tokens); err != nil {
		return nil, err
	}
	tree, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, err
	}
	var body ast.Node
	for _, doc := range tree.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.NullType || doc.Body.Type() == ast.CommentType {
			continue
		}
		if body != nil {
			return nil, &yaml.SyntaxError{Message: "a second document begins here; one file is one configuration", Token: tokenOf(doc.Body)}
		}
		body = doc.Body
	}
	return body, nil
}

func checkNesting(tokens token.Tokens) error {
	brackets := 0
	for _, t := range tokens {
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			brackets++
		case token.SequenceEndType, token.MappingEndType:
			brackets = max(0, brackets-1)
		case token.SequenceEntryType, token.MappingKeyType, token.MappingValueType:
			if brackets == 0 && t.Position.Column > maxColumn {
				return &yaml.SyntaxError{Message: fmt.Sprintf("nested too deeply: structure behind column %d", maxColumn), Token: t}
			}
		}
		if brackets > maxBrackets {
			return &yaml.SyntaxError{Message: fmt.Sprintf("nested too deeply: more than %d brackets", maxBrackets), Token: t}
		}
	}
	return nil
}

func tokenOf(n ast.Node) *token.Token {
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) > 0 {
		return m.Values[0].Key.GetToken()
	}
	return n.GetToken()
}

// syntaxMistake takes the place out of the library's error.
func syntaxMistake(err error) mistake {
	var y yaml.Error
	if !errors.As(err, &y) {
		return mistake{msg: "this is not YAML: " + err.Error()}
	}
	m := mistake{msg: "this is not YAML: " + strings.TrimSpace(y.GetMessage())}
	if t := y.GetToken(); t != nil && t.Position != nil {
		m.at = position{t.Position.Line, t.Position.Column}
	}
	return m
}

// anchorVisitor collects the anchors of a tree before it is decoded.
type anchorVisitor struct{ d *decoder }

func (v anchorVisitor) Visit(n ast.Node) ast.Visitor {
	if a, ok := n.(*ast.AnchorNode); ok && a.Name != nil {
		name := a.Name.GetToken().Value
		if _, twice := v.d.anchors[name]; twice {
			v.d.fail(a, "anchor &%s is defined twice; give each a name of its own", name)
		}
		v.d.anchors[name] = a.Value
	}
	return v
}
