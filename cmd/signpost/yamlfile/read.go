// Package yamlfile reads strict YAML files into structs. It reports all mistakes in a
// file, each with its position and the remedy, and bounds what a file may contain.
//
// In a struct, a tag `yaml` is a key, and `default` its value when the key is absent.
// An unknown key is a mistake. A list may be given as a single value. Types that can
// be written in several ways implement [Unmarshaler]; scalars with a syntax of their own
// implement [encoding.TextUnmarshaler].
package yamlfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/signpost-fm/signpost/director/wording"
)

// MaxBytes bounds a file: 1,000 nodes in 50 regions with all their weights come to
// about 1 MB.
const MaxBytes = 4 << 20

// The parser recurses, so nesting is bounded before it runs: brackets by their depth,
// blocks by their column, since each level takes at least one.
const (
	maxBrackets = 100
	maxColumn   = 2000
)

// A File is a YAML file that was read, with the position of each value.
type File struct {
	name   string // for messages, as the operator wrote it
	source []byte
	places map[string]Position
}

// Source reads a file, up to one byte more than [MaxBytes].
func Source(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	source, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return source, nil
}

// Parse sets the defaults of the struct that v points to, and reads source into it.
// name is the file's name in messages, and empty the mistake in an empty file. The error
// is an [*Error].
func Parse(name string, source []byte, v any, empty string) (*File, error) {
	SetDefaults(v)
	f := &File{name, source, map[string]Position{}}
	if mistakes := f.decode(reflect.ValueOf(v).Elem(), empty); len(mistakes) > 0 {
		e := f.Error(mistakes)
		e.Partial = len(f.places) > 0
		return nil, e
	}
	return f, nil
}

// Error makes an error of mistakes in the file.
func (f *File) Error(mistakes []Mistake) *Error {
	e := &Error{Name: f.name, Mistakes: mistakes, source: f.source}
	e.sort()
	return e
}

// Position returns the position of the value at path (of string keys and int
// indices), or of the nearest value around it.
func (f *File) Position(path []any) Position {
	for n := len(path); n > 0; n-- {
		if at, ok := f.places[pathKey(path[:n])]; ok {
			return at
		}
	}
	return Position{}
}

// decode reads the file and returns all mistakes.
func (f *File) decode(into reflect.Value, empty string) []Mistake {
	if found := checkText(f.source); len(found) > 0 {
		return found
	}
	body, err := parse(bytes.TrimPrefix(f.source, []byte("\ufeff")))
	if err != nil {
		if found := tabs(f.source); len(found) > 0 {
			return found
		}
		return []Mistake{syntaxMistake(err)}
	}
	if body == nil {
		return []Mistake{{Message: empty}}
	}
	d := decoder{anchors: map[string]ast.Node{}, places: f.places}
	ast.Walk(anchorVisitor{&d}, body)
	d.decode(body, into, nil)
	return d.mistakes
}

// checkText refuses files that are not text.
func checkText(source []byte) []Mistake {
	switch {
	case len(source) > MaxBytes:
		return []Mistake{{Message: fmt.Sprintf("the file is larger than %d MB; is it the right one?", MaxBytes>>20)}}
	case bytes.IndexByte(source, 0) >= 0:
		return []Mistake{{Message: "the file contains NUL bytes; save it as UTF-8 text"}}
	}
	var found []Mistake
	for i, line := range bytes.Split(source, []byte("\n")) {
		if bad := invalidUTF8(line); bad >= 0 && len(found) < maxMistakes {
			found = append(found, Mistake{Position{i + 1, bad + 1}, "this is not UTF-8; save the file as UTF-8"})
		}
	}
	return found
}

// tabs finds lines that are indented with tabs, about which the parser's own message is
// of no help.
func tabs(source []byte) []Mistake {
	var found []Mistake
	for i, line := range bytes.Split(source, []byte("\n")) {
		indent := line[:len(line)-len(bytes.TrimLeft(line, " \t"))]
		rest := bytes.TrimSpace(line)
		if tab := bytes.IndexByte(indent, '\t'); tab >= 0 && len(rest) > 0 && rest[0] != '#' && len(found) < maxMistakes {
			found = append(found, Mistake{Position{i + 1, tab + 1}, "a tab in the indentation; YAML is indented with spaces"})
		}
	}
	return found
}

// invalidUTF8 returns the first character of line that is not UTF-8; -1: there is none.
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

// parse returns the one document in source; nil: source is empty.
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

// syntaxMistake takes the position out of the library's error.
func syntaxMistake(err error) Mistake {
	var y yaml.Error
	if !errors.As(err, &y) {
		return Mistake{Message: "this is not YAML: " + wording.Text(err)}
	}
	m := Mistake{Message: "this is not YAML: " + strings.TrimSpace(y.GetMessage())}
	if t := y.GetToken(); t != nil && t.Position != nil {
		m.Position = Position{t.Position.Line, t.Position.Column}
	}
	return m
}

// anchorVisitor collects the anchors of a tree before it is decoded.
type anchorVisitor struct{ d *decoder }

func (v anchorVisitor) Visit(n ast.Node) ast.Visitor {
	if a, ok := n.(*ast.AnchorNode); ok && a.Name != nil {
		name := a.Name.GetToken().Value
		if _, twice := v.d.anchors[name]; twice {
			v.d.fail(a, "anchor &%s is defined twice; give each its own name", name)
		}
		v.d.anchors[name] = a.Value
	}
	return v
}
