package probe

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/signpost-fm/signpost/director/wording"
)

// maxDepth is how deep elements or values may be nested; real pages stay below 8.
const maxDepth = 32

// parseStats parses the XML of /admin/stats. It first replaces what Icecast lets through
// and encoding/xml refuses: bytes that are not UTF-8, and characters that XML does not
// allow.
func parseStats(page []byte) (statistics, error) {
	d := xml.NewDecoder(bytes.NewReader(cleanXML(page)))
	d.Strict = false
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	r := statsReader{statistics: newStatistics()}
	for {
		// Raw tokens: namespaces and matching end tags do not matter here.
		token, err := d.RawToken()
		switch {
		case err != nil && r.done:
			return r.statistics, nil
		case errors.Is(err, io.EOF):
			return statistics{}, errors.New("the statistics are cut off")
		case err != nil:
			return statistics{}, fmt.Errorf("not Icecast's statistics: %s", clip(wording.Text(err)))
		}
		if err := r.take(token); err != nil {
			return statistics{}, err
		}
	}
}

// statsReader follows the tokens of a statistics page:
//
//	<icestats> <field/>... <source mount="/live.mp3"> <field/>... </source>... </icestats>
//
// Fields contain only text; deeper elements, such as the play list of Icecast 2.5, are
// skipped.
type statsReader struct {
	statistics
	source source
	inside []string // names of the elements that are open
	text   strings.Builder
	done   bool // the root element was closed
}

func (r *statsReader) take(token xml.Token) error {
	switch t := token.(type) {
	case xml.StartElement:
		r.inside = append(r.inside, t.Name.Local)
		r.text.Reset()
		return r.open(t)
	case xml.CharData:
		if len(r.inside) == 2 || len(r.inside) == 3 {
			r.text.Write(t)
		}
	case xml.EndElement:
		return r.close()
	}
	return nil
}

func (r *statsReader) open(t xml.StartElement) error {
	switch {
	case r.done || len(r.inside) > maxDepth:
		return errors.New("not Icecast's statistics: elements in disorder")
	case len(r.inside) == 1 && t.Name.Local != "icestats":
		return fmt.Errorf("not Icecast's statistics: a page of <%s>", clip(t.Name.Local))
	case len(r.inside) == 2 && t.Name.Local == "source":
		r.source = newSource()
		for _, a := range t.Attr {
			if a.Name.Local == "mount" {
				r.source.Path = a.Value
			}
		}
	}
	return nil
}

func (r *statsReader) close() error {
	depth := len(r.inside)
	if depth == 0 {
		return errors.New("not Icecast's statistics: elements in disorder")
	}
	name, text := r.inside[depth-1], strings.TrimSpace(r.text.String())
	r.inside = r.inside[:depth-1]
	r.text.Reset()
	switch {
	case depth == 1:
		r.done = true
	case depth == 2 && name == "source":
		return r.add(r.source)
	case depth == 2:
		r.set(name, text)
	case depth == 3 && r.inside[1] == "source":
		r.source.set(name, text)
	}
	return nil
}

var charRef = regexp.MustCompile(`&#x?[0-9a-fA-F]+;`)

// cleanXML replaces characters that XML 1.0 does not allow (section 2.2, Char), whether
// literal or as a numeric reference, with U+FFFD.
func cleanXML(b []byte) []byte {
	b = bytes.Map(func(r rune) rune {
		if !isXMLChar(r) {
			return utf8.RuneError
		}
		return r
	}, b) // bytes.Map turns bytes that are not UTF-8 into U+FFFD
	return charRef.ReplaceAllFunc(b, func(ref []byte) []byte {
		digits, base := string(ref[2:len(ref)-1]), 10
		if digits[0] == 'x' {
			digits, base = digits[1:], 16
		}
		if n, err := strconv.ParseInt(digits, base, 32); err != nil || !isXMLChar(rune(n)) {
			return []byte("\uFFFD")
		}
		return ref
	})
}

func isXMLChar(r rune) bool {
	return r >= ' ' && r != '\uFFFE' && r != '\uFFFF' && r <= utf8.MaxRune || r == '\t' || r == '\n' || r == '\r'
}
