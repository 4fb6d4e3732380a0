package yamlfile

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// A Mapping is to be written, its keys in their order.
type Mapping []Key

// A Key is one key of a [Mapping] that is to be written.
type Key struct {
	Name  string
	Value any // a string, int, float64 or bool, a list of strings, a Mapping, or a List
	// Above are the lines of a comment above the key, and Beside is one that stands
	// behind the value, which must be a scalar then.
	Above  []string
	Beside string
}

// A List is a list of mappings that is to be written.
type List []Item

// An Item is a mapping in a [List], with the lines of a comment above it.
type Item struct {
	Mapping
	Above []string
}

// Write returns a file in YAML, which begins with the lines of a comment, and has a blank
// line before each key. The same content is always written as the same bytes.
//
// The library that reads files is not used here: what it writes without quotes, such as
// "? a" or a tab at the front, it reads as something else (goccy/go-yaml 1.19.2).
func Write(head []string, m Mapping) []byte {
	var w writer
	w.comment("", head)
	for _, k := range m {
		if w.Len() > 0 {
			w.WriteByte('\n')
		}
		w.key("", "", k)
	}
	return []byte(w.String())
}

type writer struct{ strings.Builder }

func (w *writer) comment(indent string, lines []string) {
	for _, l := range lines {
		w.WriteString(strings.TrimRight(indent+"# "+commentText(l), " ") + "\n")
	}
}

// key writes a key and its value. first stands in place of the indent in the line of the
// key itself: "- " begins an item of a list.
func (w *writer) key(indent, first string, k Key) {
	w.comment(indent, k.Above)
	if first == "" {
		first = indent
	}
	w.WriteString(first + scalar(k.Name) + ":")
	deeper := indent + "  "
	switch v := k.Value.(type) {
	case Mapping:
		w.WriteByte('\n')
		for _, k := range v {
			w.key(deeper, "", k)
		}
	case List:
		w.WriteByte('\n')
		for n, item := range v {
			if n > 0 && len(item.Above) > 0 {
				w.WriteByte('\n')
			}
			w.comment(deeper, item.Above)
			for i, k := range item.Mapping {
				if i == 0 {
					w.key(deeper+"  ", deeper+"- ", k)
				} else {
					w.key(deeper+"  ", "", k)
				}
			}
		}
	case []string:
		all := make([]string, len(v))
		for i, s := range v {
			all[i] = quote(s) // brackets and commas would mean something here
		}
		w.WriteString(" [" + strings.Join(all, ", ") + "]\n")
	default:
		w.WriteString(" " + scalar(v))
		if k.Beside != "" {
			w.WriteString(" # " + commentText(k.Beside))
		}
		w.WriteByte('\n')
	}
}

// plain is text that needs no quotes, unless it is like a number or a word of YAML's.
var (
	plain = regexp.MustCompile(`^[A-Za-z/][A-Za-z0-9/_.@+-]*(:[A-Za-z0-9/_.@+-]+)*( [A-Za-z0-9/_.@+-]+)*$`)
	words = regexp.MustCompile(`^(?i:null|true|false|yes|no|on|off|y|n)$`)
)

func scalar(v any) string {
	switch v := v.(type) {
	case string:
		if plain.MatchString(v) && !words.MatchString(v) {
			return v
		}
		return quote(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return fmt.Sprint(v) // a whole number, or a bool
}

// quote writes a string in double quotes, without any character that could end the line.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case endsLine(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// commentText makes one line of text, whatever is in it.
func commentText(text string) string {
	return strings.Map(func(r rune) rune {
		if endsLine(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}

// endsLine reports whether a character may end a line of YAML, or have no place in it.
func endsLine(r rune) bool {
	return r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' || r == '\ufeff' || r == 0xfffe || r == 0xffff
}
