package hls

import (
	"errors"
	"fmt"
	"iter"
	"net/url"
	"strings"
	"unicode/utf8"
)

const (
	// MaxText is the size of the largest playlist or MPD that is parsed, in bytes: a
	// media playlist of a whole day, of segments of 2 s with their dates, has some 3.6 MB. Who
	// reads one needs to read no more than one byte beyond it.
	MaxText = 4 << 20
	// maxTags is how many tags that belong to no segment a playlist may have, variants
	// included.
	maxTags = 4000
	// maxVariants is how many variants and I-frame variants a playlist may have. Ladders for
	// films, with several codecs and audio groups, have some 300.
	maxVariants = 500
)

// An Error says what is wrong with a playlist or an MPD, and where.
type Error struct {
	URL    string // from where it was read, without a password
	Line   int    // from 1; 0: the whole text
	Reason string
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.URL, e.Reason)
	}
	return fmt.Sprintf("%s, line %d: %s", e.URL, e.Line, e.Reason)
}

// A document is the text of a playlist that is being parsed.
type document struct {
	text      string
	at        *url.URL
	defined   map[string]string // variables by EXT-X-DEFINE (4.4.2.3)
	askedFrom map[string]bool   // the same, for those with QUERYPARAM, which the player knows
	warnings  []string
}

// open checks what all playlists have in common (4.1, 4.4.1.1).
func open(text []byte, at *url.URL) (*document, error) {
	d := &document{at: at}
	switch {
	case at == nil || at.Host == "" || !isWeb(at.Scheme):
		return nil, errors.New("the URL of a playlist must be an absolute one of http or https")
	case len(text) > MaxText:
		return nil, d.fail(0, "more than %d MiB: no playlist", MaxText>>20)
	}
	// A BOM is forbidden (4.1), and some editors write one.
	d.text = strings.TrimLeft(strings.TrimPrefix(string(text), "\uFEFF"), "\r\n\t ")
	switch first, _, _ := strings.Cut(d.text, "\n"); {
	case d.text == "":
		return nil, d.fail(0, "is empty")
	case isPage(d.text):
		return nil, d.fail(1, "a page of HTML, and no playlist")
	case !strings.HasPrefix(first, "#EXTM3U"):
		return nil, d.fail(1, "a playlist begins with #EXTM3U (4.4.1.1), and this with %q", clip(first))
	}
	// The lines are counted in the text as it was read.
	d.text = strings.Repeat("\n", strings.Count(string(text[:len(text)-len(d.text)]), "\n")) + d.text
	for n, line := range d.lines() {
		if i := strings.IndexFunc(line, isControl); i >= 0 {
			r, _ := utf8.DecodeRuneInString(line[i:])
			return nil, d.fail(n, "has the control character %q (forbidden by 4.1)", r)
		}
	}
	return d, nil
}

func isPage(text string) bool {
	text = strings.ToLower(text[:min(len(text), 64)])
	return strings.HasPrefix(text, "<!doctype html") || strings.HasPrefix(text, "<html")
}

func isControl(r rune) bool { return r < ' ' && r != '\t' || r >= 0x7f && r <= 0x9f }

func isWeb(scheme string) bool { return scheme == "http" || scheme == "https" }

func clip(s string) string {
	if len(s) > 60 {
		s = strings.ToValidUTF8(s[:60], "") + "..."
	}
	return strings.TrimSpace(s)
}

func (d *document) fail(line int, format string, args ...any) error {
	return &Error{d.at.Redacted(), line, fmt.Sprintf(format, args...)}
}

// warn notes once what operators should know of a text that is used all the same.
func (d *document) warn(format string, args ...any) {
	w := fmt.Sprintf(format, args...)
	for _, old := range d.warnings {
		if old == w {
			return
		}
	}
	d.warnings = append(d.warnings, w)
}

// lines returns the lines with their numbers, without those that are blank (4.1).
func (d *document) lines() iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		n := 0
		for line := range strings.Lines(d.text) {
			n++
			if line = strings.TrimSpace(line); line != "" && !yield(n, line) {
				return
			}
		}
	}
}

// tag splits a line into the name of its tag and the tag's value. name is empty for a
// comment or a URI.
func tag(line string) (name, value string) {
	if !strings.HasPrefix(line, "#EXT") {
		return "", ""
	}
	name, value, _ = strings.Cut(line[1:], ":")
	return strings.TrimSpace(name), strings.TrimSpace(value)
}

// An attribute is one of an attribute list (4.2). A value that was quoted has no quotes.
type attribute struct {
	name, value string
	quoted      bool
	bare        bool // it has no value, which 4.2 does not allow
}

func (a *attribute) appendTo(dst []byte) []byte {
	dst = append(dst, a.name...)
	if a.bare {
		return dst
	}
	dst = append(dst, '=')
	if a.quoted {
		dst = append(dst, '"')
	}
	dst = append(dst, a.value...)
	if a.quoted {
		dst = append(dst, '"')
	}
	return dst
}

type attributes []attribute

// parseAttributes parses a list. It tolerates blanks around names and values, and empty
// members.
func parseAttributes(list string) (attributes, error) {
	var out attributes
	for list = strings.TrimLeft(list, ", \t"); list != ""; list = strings.TrimLeft(list, ", \t") {
		end := strings.IndexAny(list, "=,")
		if end < 0 || list[end] == ',' {
			if end < 0 {
				end = len(list)
			}
			out = append(out, attribute{name: strings.TrimSpace(list[:end]), bare: true})
			list = list[end:]
			continue
		}
		a := attribute{name: strings.TrimSpace(list[:end])}
		list = strings.TrimLeft(list[end+1:], " \t")
		if quoted, ok := strings.CutPrefix(list, `"`); ok {
			a.quoted = true
			if a.value, list, ok = strings.Cut(quoted, `"`); !ok {
				return nil, fmt.Errorf("the quotation mark of %s is not closed (4.2)", clip(a.name))
			}
			_, list, _ = strings.Cut(list, ",")
		} else {
			a.value, list, _ = strings.Cut(list, ",")
			a.value = strings.TrimSpace(a.value)
		}
		out = append(out, a)
	}
	return out, nil
}

// get returns the value of an attribute; empty: there is none.
func (l attributes) get(name string) string {
	for i := range l {
		if l[i].name == name {
			return l[i].value
		}
	}
	return ""
}

// define notes the variable of an EXT-X-DEFINE (4.4.2.3).
func (d *document) define(l attributes) {
	if d.defined == nil {
		d.defined, d.askedFrom = map[string]string{}, map[string]bool{}
	}
	if name := l.get("NAME"); name != "" {
		d.defined[name] = l.get("VALUE")
	}
	if name := l.get("QUERYPARAM"); name != "" {
		d.askedFrom[name] = true
	}
}

// absolute returns a URI of the text as an absolute one (RFC 3986, 5.2), with the variables
// replaced that have a value here (4.3). "../" leads no higher than the server's root, as
// for players. anyScheme is for keys and data, which players' libraries understand; what
// players play must be of http or https.
func (d *document) absolute(line int, ref string, anyScheme bool) (string, error) {
	ref = strings.TrimSpace(ref)
	known, rest, err := d.substitute(ref)
	switch {
	case err != nil:
		return "", d.fail(line, "%v", err)
	case ref == "":
		return "", d.fail(line, "an empty URI")
	}
	u, err := url.Parse(known)
	if err != nil {
		return "", d.fail(line, "%q is no URI: %v", clip(ref), reason(err))
	}
	if u.IsAbs() && !isWeb(u.Scheme) {
		if anyScheme {
			return strings.ReplaceAll(known+rest, `"`, "%22"), nil
		}
		return "", d.fail(line, "%q: players get what they play by http or https only", clip(ref))
	}
	last := u.Path[strings.LastIndexByte(u.Path, '/')+1:]
	if rest != "" && (known == "" || last == "." || last == ".." || u.IsAbs() && u.Host == "") {
		return "", d.fail(line, "%q: where it leads depends on a variable that only the player knows (QUERYPARAM, 4.4.2.3)", clip(ref))
	}
	full := d.at.ResolveReference(u)
	switch {
	case full.Host == "":
		return "", d.fail(line, "%q has no host", clip(ref))
	case full.Scheme == "http" && d.at.Scheme == "https":
		d.warn("its URIs at http://%s are not played by browsers, since the playlist is at https", full.Host)
	case full.Host != d.at.Host:
		d.warn("it leads players to %s, where they are whatever node is chosen", full.Host)
	}
	return full.String() + rest, nil
}

// reason is an error of url.Parse without the URL.
func reason(err error) error {
	var in *url.Error
	if errors.As(err, &in) {
		return in.Err
	}
	return err
}

// substitute replaces the variables of a URI (4.3). rest is what begins with the first
// variable that only the player knows; empty: there is none.
func (d *document) substitute(ref string) (known, rest string, err error) {
	var out strings.Builder
	for {
		start := strings.Index(ref, "{$")
		length := strings.IndexByte(ref[max(start, 0):], '}')
		if start < 0 || length < 0 {
			out.WriteString(ref)
			return out.String(), "", nil
		}
		name := ref[start+2 : start+length]
		value, ok := d.defined[name]
		out.WriteString(ref[:start])
		switch {
		case d.askedFrom[name]:
			return out.String(), ref[start:], nil
		case !ok:
			return "", "", fmt.Errorf("the variable %q is not defined (4.3)", clip(name))
		}
		out.WriteString(value)
		ref = ref[start+length+1:]
	}
}
