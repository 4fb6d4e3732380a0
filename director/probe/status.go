package probe

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/signpost-fm/signpost/director/wording"
)

// parseStatus parses the page /status-json.xsl. It has a scanner of its own, because
// Icecast does not quote titles that look like numbers or literals, and so writes invalid
// JSON: - and .5 and -01 and 1e999 and true have all been seen after "title":, and control
// characters within strings. Values keep their text, whatever their type.
func parseStatus(page []byte) (statistics, error) {
	s := statusScanner{rest: string(page)}
	stats := newStatistics()
	found := false
	s.object(func(key string) {
		if key != "icestats" {
			s.skip()
			return
		}
		found = true
		s.object(func(key string) {
			if key == "source" {
				s.each(func() { s.source(&stats) })
				return
			}
			stats.set(key, s.text())
		})
	})
	switch {
	case s.err == nil && s.space() != 0:
		s.fail("text behind the end")
	case s.err == nil && !found:
		s.fail("no icestats in it")
	}
	if s.err != nil {
		return statistics{}, fmt.Errorf("not Icecast's status page: %w; it begins with %.60q", s.err, clip(string(page[:min(len(page), 60)])))
	}
	return stats, nil
}

// statusScanner consumes values from the front of rest. After the first error it
// consumes nothing more.
type statusScanner struct {
	rest  string
	depth int
	err   error
}

func (s *statusScanner) fail(msg string) {
	if s.err == nil {
		s.err = errors.New(msg)
	}
	s.rest = ""
}

// space skips white space and returns the byte after it, 0 at the end.
func (s *statusScanner) space() byte {
	s.rest = strings.TrimLeft(s.rest, " \t\r\n")
	if s.rest == "" {
		return 0
	}
	return s.rest[0]
}

// took consumes c if it is the next byte after white space, and says whether it is.
func (s *statusScanner) took(c byte) bool {
	if s.space() != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

// list consumes a bracketed list; item consumes each item.
func (s *statusScanner) list(opening, closing byte, item func()) {
	if !s.took(opening) {
		s.fail("no " + string(opening) + " where one is due")
		return
	}
	if s.depth++; s.depth > maxDepth {
		s.fail("too many brackets")
	}
	defer func() { s.depth-- }()
	if s.took(closing) {
		return
	}
	for s.err == nil {
		item()
		if s.took(closing) {
			return
		}
		if !s.took(',') {
			s.fail("cut off, or no comma where one is due")
		}
	}
}

// object consumes an object; field consumes the value of each key.
func (s *statusScanner) object(field func(key string)) {
	s.list('{', '}', func() {
		if s.space() != '"' {
			s.fail("no key where one is due")
			return
		}
		key := s.quoted()
		if !s.took(':') {
			s.fail("no colon behind a key")
			return
		}
		field(key)
	})
}

// each consumes a value, or each value of an array: with only one source, Icecast writes
// it without an array.
func (s *statusScanner) each(value func()) {
	if s.space() == '[' {
		s.list('[', ']', value)
		return
	}
	value()
}

func (s *statusScanner) source(stats *statistics) {
	if s.space() != '{' {
		s.skip()
		return
	}
	src := newSource()
	s.object(func(key string) { src.set(key, s.text()) })
	if s.err != nil {
		return
	}
	if err := stats.add(src); err != nil {
		s.fail(wording.Text(err))
	}
}

func (s *statusScanner) skip() { s.text() }

// text consumes any value and returns its text, "" for null, objects and arrays.
func (s *statusScanner) text() string {
	switch s.space() {
	case '{':
		s.object(func(string) { s.skip() })
		return ""
	case '[':
		s.list('[', ']', s.skip)
		return ""
	case '"':
		return s.quoted()
	}
	end := strings.IndexAny(s.rest, `,}]{["`)
	if end < 0 {
		s.fail("cut off")
		return ""
	}
	bare := strings.TrimSpace(s.rest[:end])
	s.rest = s.rest[end:]
	if bare == "null" {
		return ""
	}
	return bare
}

// quoted consumes a string that begins at the front of rest.
func (s *statusScanner) quoted() string {
	in := s.rest[1:]
	var out strings.Builder
	for {
		i := strings.IndexAny(in, `"\`)
		if i < 0 || in[i] == '\\' && i+1 == len(in) {
			s.fail("a string is cut off")
			return ""
		}
		out.WriteString(in[:i])
		if in[i] == '"' {
			s.rest = in[i+1:]
			return out.String()
		}
		n := unescape(&out, in[i+1:])
		in = in[i+1+n:]
	}
}

// unescape decodes the escape sequence at the front of in, after the backslash, and
// returns its length. Control characters become spaces; an unknown sequence stands for
// its first byte.
func unescape(out *strings.Builder, in string) int {
	switch c := in[0]; c {
	case 'n', 'r', 't', 'b', 'f':
		out.WriteByte(' ')
		return 1
	case 'u':
		r, ok := hex4(in[1:])
		if !ok {
			break
		}
		if utf16.IsSurrogate(r) && strings.HasPrefix(in[5:], `\u`) {
			if low, ok := hex4(in[7:]); ok {
				if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
					out.WriteRune(pair)
					return 11
				}
			}
		}
		out.WriteRune(r) // half a surrogate pair is written as U+FFFD
		return 5
	}
	out.WriteByte(in[0])
	return 1
}

func hex4(s string) (rune, bool) {
	if len(s) < 4 {
		return 0, false
	}
	n, err := strconv.ParseUint(s[:4], 16, 32)
	return rune(n), err == nil
}
