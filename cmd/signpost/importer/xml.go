package importer

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"github.com/signpost-fm/signpost/director/wording"
)

// Bounds of what is read. An icecast.xml of 1,000 mounts is about 400 KB.
const (
	maxSource   = 4 << 20 // bytes of a file, or of an answer
	maxDepth    = 32
	maxElements = 200_000
)

// An element is one of an XML file.
type element struct {
	name     string
	attrs    []xml.Attr
	text     string
	children []*element
	line     int
}

// all returns the children of that name, or of one of the names.
func (e *element) all(names ...string) (out []*element) {
	for _, c := range e.children {
		for _, n := range names {
			if c.name == n {
				out = append(out, c)
			}
		}
	}
	return out
}

// get returns the last child of one of the names, which is the one that Icecast goes by;
// an empty element if there is none.
func (e *element) get(names ...string) *element {
	if all := e.all(names...); len(all) > 0 {
		return all[len(all)-1]
	}
	return &element{line: e.line}
}

// value returns the text of the child of one of the names, or of the attribute. Icecast-KH
// takes either for the other.
func (e *element) value(names ...string) string {
	if all := e.all(names...); len(all) > 0 {
		return all[len(all)-1].text
	}
	for _, n := range names {
		if v := e.attr(n); v != "" {
			return v
		}
	}
	return ""
}

func (e *element) attr(name string) string {
	for _, a := range e.attrs {
		if a.Name.Local == name {
			return strings.TrimSpace(a.Value)
		}
	}
	return ""
}

// truth reads what Icecast takes for true: true, yes, on, and a number but 0.
func truth(s string) bool {
	switch strings.ToLower(s) {
	case "true", "yes", "on":
		return true
	}
	n, err := strconv.Atoi(leadingDigits(s))
	return err == nil && n != 0
}

// leadingDigits returns the number at the front of s, which is what C's atoi reads.
func leadingDigits(s string) string {
	end := 0
	for end < len(s) && (s[end] >= '0' && s[end] <= '9' || end == 0 && s[end] == '-') {
		end++
	}
	return s[:end]
}

// parseXML reads a file as a tree. Errors name it and the line. It refuses entities:
// Icecast itself may read other files by them, and no configuration needs one.
func parseXML(file string, source []byte) (*element, error) {
	fail := func(line int, format string, args ...any) error {
		return fmt.Errorf("%s:%d: "+format, append([]any{file, line}, args...)...)
	}
	source, err := asUTF8(source)
	if err != nil {
		return nil, fail(1, "%s", wording.Text(err))
	}
	d := xml.NewDecoder(bytes.NewReader(source))
	d.CharsetReader = charsetReader
	top := &element{}
	open := []*element{top}
	for count := 0; ; {
		line, _ := d.InputPos()
		token, err := d.Token()
		if errors.Is(err, io.EOF) && len(open) == 1 {
			break
		}
		if err != nil {
			at, _ := d.InputPos()
			return nil, fail(at, "%s", xmlTrouble(err, open[len(open)-1]))
		}
		here := open[len(open)-1]
		switch t := token.(type) {
		case xml.Directive:
			if upper := bytes.ToUpper(t); bytes.Contains(upper, []byte("ENTITY")) || bytes.ContainsRune(t, '[') {
				return nil, fail(line, "it defines entities, which are not read; write the values where they are used")
			}
		case xml.StartElement:
			if count++; count > maxElements || len(open) > maxDepth {
				return nil, fail(line, "more or deeper elements than any configuration has; is it the right file?")
			}
			e := &element{name: t.Name.Local, attrs: t.Attr, line: line}
			here.children = append(here.children, e)
			open = append(open, e)
		case xml.EndElement:
			here.text = strings.TrimSpace(here.text)
			open = open[:len(open)-1]
		case xml.CharData:
			if len(open) > 1 {
				here.text += string(t)
			}
		}
	}
	if len(top.children) == 0 {
		return nil, fail(1, "it has no element at all; is it the right file?")
	}
	return top.children[0], nil
}

// xmlTrouble says in plain words what is wrong with XML, within the element that was open.
func xmlTrouble(err error, open *element) string {
	text := wording.Text(err)
	var s *xml.SyntaxError
	if errors.As(err, &s) {
		text = s.Msg
	}
	var unknown *encodingError
	switch {
	case errors.As(err, &unknown):
		return unknown.Error()
	case strings.Contains(text, "invalid UTF-8"):
		return `it is not UTF-8; if it is Latin-1, its first line must say so: <?xml version="1.0" encoding="ISO-8859-1"?>`
	case strings.Contains(text, "unexpected EOF") && open.name != "":
		return fmt.Sprintf("the file ends within <%s>, which begins in line %d; is it cut off?", open.name, open.line)
	case strings.Contains(text, "invalid character entity"):
		return text + "; entities are not read: write the value itself, and & as &amp;"
	}
	return "it is no XML: " + text + "; Icecast would refuse it too"
}

// asUTF8 converts UTF-16, which begins with a mark of its own.
func asUTF8(source []byte) ([]byte, error) {
	if len(source) > maxSource {
		return nil, fmt.Errorf("it is larger than %d MB; is it the right file?", maxSource>>20)
	}
	if bytes.HasPrefix(source, []byte{0xff, 0xfe}) || bytes.HasPrefix(source, []byte{0xfe, 0xff}) {
		return unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewDecoder().Bytes(source)
	}
	return bytes.TrimPrefix(source, []byte("\ufeff")), nil
}

// charsetReader reads the encodings that have one byte for a letter, under the names that
// the IANA registers and those in common use (ISO-8859-1, latin1, windows-1252).
func charsetReader(label string, in io.Reader) (io.Reader, error) {
	plain := func(s string) string {
		return strings.Map(func(r rune) rune {
			if r >= utf8.RuneSelf || !(r >= '0' && r <= '9' || r >= 'a' && r <= 'z') {
				return -1
			}
			return r
		}, strings.ToLower(s))
	}
	name := plain(label)
	switch name {
	case "utf8", "usascii", "ascii", "utf16": // UTF-16 was converted before
		return in, nil
	case "latin1":
		name = "iso88591"
	case "latin2":
		name = "iso88592"
	case "latin9":
		name = "iso885915"
	}
	name = strings.Replace(name, "cp125", "windows125", 1)
	for _, e := range charmap.All {
		if c, ok := e.(*charmap.Charmap); ok && plain(c.String()) == name {
			return c.NewDecoder().Reader(in), nil
		}
	}
	return nil, &encodingError{label}
}

type encodingError struct{ label string }

func (e *encodingError) Error() string {
	return fmt.Sprintf("the encoding %q is not known; save the file as UTF-8, and say so on its first line", e.label)
}
