// Package yamlfile reads strict YAML files into structs. It finds every mistake in a
// file and not only the first, each with its position and the remedy, and bounds what
// a file may ask for.
//
// In a struct, a tag `yaml` is a key, and `default` its value when the key is absent.
// An unknown key is a mistake. A list may be given as a single value. Types that can
// be written in several ways implement [Unmarshaler], those of a single value
// [encoding.TextUnmarshaler].
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
)

// MaxBytes bounds a file: 1,000 nodes in 50 regions with all their weights come to
// about 1 MB.
const MaxBytes = 4 << 20

// The parser follows nesting by recursion, so it is bounded before: brackets by
// their depth, blocks by their column, for each level takes one at least.
const (
	maxBrackets = 100
	maxColumn   = 2000
)

// A File is a YAML file that was read, and the position of each of its values.
type File struct {
	name   string // for messages, as the operator wrote it
	source []byte
	places map[string]Position
}

// Source reads the text of a file, and not much more than [MaxBytes] of it.
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

// Parse reads source into the struct that v points to, its defaults first. name and
// empty are for messages: what the file is called, and what to do about an empty one.
// The error is an [*Error] with every mistake in it.
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

// Error returns the mistakes of a file as an error, in the order of the file.
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

// decode returns all mistakes. empty is what is wrong with nothing.
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

// checkText refuses what is no YAML text at all.
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

// tabs finds lines that are indented with tabs, of which the parser says only
// that something cannot start there.
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
func syntaxMistake(err error) Mistake {
	var y yaml.Error
	if !errors.As(err, &y) {
		return Mistake{Message: "this is not YAML: " + err.Error()}
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
			v.d.fail(a, "anchor &%s is defined twice; give each a name of its own", name)
		}
		v.d.anchors[name] = a.Value
	}
	return v
}
