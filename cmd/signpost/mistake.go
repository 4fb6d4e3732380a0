package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/signpost-fm/signpost/director"
)

// A position is a place in a file; lines and columns count from 1. Zero: the
// file as a whole.
type position struct{ line, col int }

func positionOf(n ast.Node) position {
	if a, ok := n.(*ast.AnchorNode); ok {
		n = a.Value
	}
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) > 0 && !m.IsFlowStyle {
		n = m.Values[0].Key
	}
	if m, ok := n.(*ast.MappingValueNode); ok {
		n = m.Key
	}
	if n == nil {
		return position{}
	}
	t := n.GetToken()
	if t == nil || t.Position == nil {
		return position{}
	}
	return position{t.Position.Line, t.Position.Column}
}

// A mistake is one thing wrong with a configuration: its place, what it is, and
// what to do.
type mistake struct {
	at  position
	msg string
}

// A fileError is everything wrong with one configuration file.
type fileError struct {
	name     string
	source   []byte
	mistakes []mistake
}

func newFileError(name string, source []byte, mistakes []mistake) *fileError {
	e := &fileError{name: name, source: source, mistakes: mistakes}
	e.sort()
	return e
}

// Error shows every mistake as name:line:column with the line itself.
func (e *fileError) Error() string {
	lines := strings.Split(string(e.source), "\n")
	var b strings.Builder
	for i, m := range e.mistakes {
		if i > 0 {
			b.WriteByte('\n')
		}
		if m.at.line == 0 {
			fmt.Fprintf(&b, "%s: %s", e.name, m.msg)
			continue
		}
		fmt.Fprintf(&b, "%s:%d:%d: %s", e.name, m.at.line, m.at.col, m.msg)
		if m.at.line <= len(lines) {
			b.WriteString(excerpt(lines[m.at.line-1], m.at))
		}
	}
	if len(e.mistakes) >= maxMistakes {
		fmt.Fprintf(&b, "\n%s: only the first %d mistakes are shown", e.name, maxMistakes)
	}
	return b.String()
}

// sort puts the mistakes into the order of the file. The parser counts a lone
// carriage return as a line, so that a place may lie behind the end.
func (e *fileError) sort() {
	last := 1 + bytes.Count(e.source, []byte("\n"))
	for i := range e.mistakes {
		e.mistakes[i].at.line = min(e.mistakes[i].at.line, last)
	}
	slices.SortStableFunc(e.mistakes, func(a, b mistake) int {
		return cmp.Or(cmp.Compare(a.at.line, b.at.line), cmp.Compare(a.at.col, b.at.col))
	})
}

// lines gives every mistake in one line, for a log.
func (e *fileError) lines() []string {
	out := make([]string, len(e.mistakes))
	for i, m := range e.mistakes {
		out[i] = fmt.Sprintf("%s:%d:%d: %s", e.name, m.at.line, m.at.col, m.msg)
	}
	return out
}

// excerpt shows the line of a mistake with a mark below its column.
func excerpt(line string, at position) string {
	const widest = 120 // characters of a line that are shown
	runes := []rune(strings.TrimRight(line, "\r"))
	column := max(0, min(at.col-1, len(runes)))
	start := 0
	if column > widest-20 {
		start = column - widest/2
	}
	shown := runes[start:min(len(runes), start+widest)]
	for i, r := range shown {
		if r < ' ' || r == 0x7f {
			shown[i] = ' '
		}
	}
	return fmt.Sprintf("\n%5d | %s\n      | %*s", at.line, string(shown), column-start+1, "^")
}

// annotate turns what other packages say about a configuration into mistakes at
// their places in the file.
func (l *loaded) annotate(err error) error {
	if err == nil {
		return nil
	}
	e := &fileError{name: l.name, source: l.source}
	for _, one := range flatten(err) {
		var c *director.ConfigError
		if errors.As(one, &c) {
			c = translate(c)
			e.mistakes = append(e.mistakes, mistake{l.find(c.Path), c.Error()})
		} else {
			e.mistakes = append(e.mistakes, mistake{msg: one.Error()})
		}
	}
	e.sort()
	return e
}

// flatten takes joined errors apart.
func flatten(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, one := range joined.Unwrap() {
		all = append(all, flatten(one)...)
	}
	return all
}

// find returns where the value at path stands, or the nearest part of the file
// around it.
func (l *loaded) find(path []any) position {
	for n := len(path); n > 0; n-- {
		if at, ok := l.places[pathKey(path[:n])]; ok {
			return at
		}
	}
	return position{}
}

// pathKey makes a path a map key.
func pathKey(path []any) string {
	b := make([]byte, 0, 64)
	for _, p := range path {
		if i, ok := p.(int); ok {
			b = strconv.AppendInt(b, int64(i), 10)
		} else {
			b = fmt.Append(b, p)
		}
		b = append(b, 0)
	}
	return string(b)
}
