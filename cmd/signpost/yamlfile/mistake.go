package yamlfile

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// A Position is a line and a column in a file, both from 1, the column in characters.
// Zero: the file as a whole.
type Position struct{ Line, Column int }

func positionOf(n ast.Node) Position {
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
		return Position{}
	}
	t := n.GetToken()
	if t == nil || t.Position == nil {
		return Position{}
	}
	return Position{t.Position.Line, t.Position.Column}
}

// A Mistake is one thing that is wrong in a file. The message names the remedy.
type Mistake struct {
	Position
	Message string
}

// An Error has all mistakes in one file.
type Error struct {
	Name     string
	Mistakes []Mistake // in the order of the file
	// Partial says that the file is YAML, so that all values without a mistake were read.
	Partial bool

	source []byte
}

// Error returns every mistake as name:line:column with an excerpt of the line.
func (e *Error) Error() string {
	lines := strings.Split(string(e.source), "\n")
	var b strings.Builder
	for i, m := range e.Mistakes {
		if i > 0 {
			b.WriteByte('\n')
		}
		if m.Line == 0 {
			fmt.Fprintf(&b, "%s: %s", e.Name, m.Message)
			continue
		}
		fmt.Fprintf(&b, "%s:%d:%d: %s", e.Name, m.Line, m.Column, m.Message)
		if m.Line <= len(lines) {
			b.WriteString(excerpt(lines[m.Line-1], m.Position))
		}
	}
	if len(e.Mistakes) >= maxMistakes {
		fmt.Fprintf(&b, "\n%s: only the first %d mistakes are shown", e.Name, maxMistakes)
	}
	return b.String()
}

// sort puts the mistakes into the order of the file. The parser counts a lone carriage
// return as a line, so that a position may be behind the end.
func (e *Error) sort() {
	last := 1 + bytes.Count(e.source, []byte("\n"))
	for i := range e.Mistakes {
		e.Mistakes[i].Line = min(e.Mistakes[i].Line, last)
	}
	slices.SortStableFunc(e.Mistakes, func(a, b Mistake) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// Lines returns each mistake as one line without an excerpt, for a log.
func (e *Error) Lines() []string {
	out := make([]string, len(e.Mistakes))
	for i, m := range e.Mistakes {
		out[i] = fmt.Sprintf("%s:%d:%d: %s", e.Name, m.Line, m.Column, m.Message)
	}
	return out
}

// excerpt returns the line of a mistake with a mark below its column.
func excerpt(line string, at Position) string {
	const widest = 120 // characters
	runes := []rune(strings.TrimRight(line, "\r"))
	column := max(0, min(at.Column-1, len(runes)))
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
	return fmt.Sprintf("\n%5d | %s\n      | %*s", at.Line, string(shown), column-start+1, "^")
}

// pathKey makes a map key of a path.
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
