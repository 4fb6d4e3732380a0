package web

import (
	"errors"
	"regexp"
	"regexp/syntax"
	"strings"
)

const (
	// maxPattern is the greatest length of a glob or a regular expression, in bytes. The
	// longest user agents in the field have about 300.
	maxPattern = 1000
	// maxMatched is how many bytes of a header are matched against a pattern. No player
	// sends more, and the work of a match stays bounded.
	maxMatched = 1024
)

// A glob matches a whole string without regard to ASCII case: '*' stands for any
// run of bytes, '?' for any one, and '\' takes the next byte literally.
type glob []uint16 // bytes in lower case, and the two below

const (
	anyRun = 256 + iota
	anyByte
)

func parseGlob(s string) (glob, error) {
	if len(s) > maxPattern {
		return nil, errors.New("pattern is longer than 1,000 bytes")
	}
	var g glob
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '*':
			if len(g) == 0 || g[len(g)-1] != anyRun {
				g = append(g, anyRun)
			}
		case '?':
			g = append(g, anyByte)
		case '\\':
			i++
			if i == len(s) {
				return nil, errors.New(`pattern ends in '\'; write '\\' for a backslash`)
			}
			g = append(g, uint16(lower(s[i])))
		default:
			g = append(g, uint16(lower(c)))
		}
	}
	return g, nil
}

// match needs at most len(g) x len(s) steps: it backtracks only to the last run.
func (g glob) match(s string) bool {
	p, i, run, from := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case p < len(g) && (g[p] == anyByte || g[p] == uint16(lower(s[i]))):
			p++
			i++
		case p < len(g) && g[p] == anyRun:
			run, from = p, i
			p++
		case run >= 0:
			from++
			p, i = run+1, from
		default:
			return false
		}
	}
	return p == len(g) || p == len(g)-1 && g[p] == anyRun
}

// literals returns the runs of bytes, in lower case, that every match contains.
func (g glob) literals() []string {
	var out []string
	var run []byte
	for _, c := range append(g[:len(g):len(g)], anyRun) {
		switch {
		case c < 256:
			run = append(run, byte(c))
		case len(run) > 0:
			out = append(out, string(run))
			run = nil
		}
	}
	return out
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c | 0x20
	}
	return c
}

// lowered writes s in lower case (ASCII) into buf and returns it.
func lowered(buf []byte, s string) []byte {
	buf = buf[:0]
	for i := range len(s) {
		buf = append(buf, lower(s[i]))
	}
	return buf
}

// parseRegexp compiles an RE2 expression. It also returns literals in lower case, of which
// every match contains at least one; none: nothing is known.
func parseRegexp(s string) (*regexp.Regexp, []string, error) {
	if len(s) > maxPattern {
		return nil, nil, errors.New("expression is longer than 1,000 bytes")
	}
	re, err := regexp.Compile(s)
	if err != nil {
		return nil, nil, err
	}
	tree, err := syntax.Parse(s, syntax.Perl)
	if err != nil {
		return nil, nil, err
	}
	return re, anyOf(tree.Simplify()), nil
}

// maxAlternatives bounds how many literals one expression puts into the index.
const maxAlternatives = 64

// anyOf returns literals of which every match of re contains at least one.
func anyOf(re *syntax.Regexp) []string {
	switch re.Op {
	case syntax.OpLiteral:
		return literalRun(re)
	case syntax.OpCapture, syntax.OpPlus:
		return anyOf(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			return anyOf(re.Sub[0])
		}
	case syntax.OpConcat:
		var best []string
		for _, sub := range re.Sub {
			if lits := anyOf(sub); shortest(lits) > shortest(best) {
				best = lits
			}
		}
		return best
	case syntax.OpAlternate:
		var all []string
		for _, sub := range re.Sub {
			lits := anyOf(sub)
			if lits == nil || len(all)+len(lits) > maxAlternatives {
				return nil
			}
			all = append(all, lits...)
		}
		return all
	}
	return nil
}

// literalRun returns the longest part of a literal that can be looked up in a user agent
// whose ASCII letters are in lower case. Characters beyond ASCII cannot: an invalid byte
// matches U+FFFD. Neither can K and S without regard to case: they fold with the Kelvin sign
// and the long s.
func literalRun(re *syntax.Regexp) []string {
	var best, run string
	for _, r := range re.Rune {
		if r >= 0x80 || re.Flags&syntax.FoldCase != 0 && strings.ContainsRune("kKsS", r) {
			run = ""
			continue
		}
		if run += string(rune(lower(byte(r)))); len(run) > len(best) {
			best = run
		}
	}
	if best == "" {
		return nil
	}
	return []string{best}
}

func shortest(lits []string) int {
	if len(lits) == 0 {
		return 0
	}
	n := len(lits[0])
	for _, l := range lits[1:] {
		n = min(n, len(l))
	}
	return n
}
