package web

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/signpost-fm/signpost/director"
)

// entry is an entry of a playlist: a title and the URL of the stream.
type entry struct {
	node  director.NodeID // empty: not a node's
	url   string
	title string
}

// document is the content of a playlist, from which each format is written. The first entry
// is the one to play.
type document struct {
	title   string
	entries []entry
	resolve resolve // for JSON, besides the entries
}

// resolve is the JSON answer for apps that connect to a node by themselves.
type resolve struct {
	Mount      string            `json:"mount"`
	Title      string            `json:"title"`
	Type       string            `json:"type"`
	Region     director.RegionID `json:"region,omitempty"`
	Outcome    director.Outcome  `json:"outcome"`
	KeepS      int               `json:"keep_s"` // how long the answer may be kept, in seconds
	Node       director.NodeID   `json:"node,omitempty"`
	URL        string            `json:"url"`
	Alternates []alternate       `json:"alternates"`
}

type alternate struct {
	Node director.NodeID `json:"node,omitempty"`
	URL  string          `json:"url"`
}

const (
	// keepPlaced, in seconds, is about the time in which a director notices that a node is
	// down, so that an answer is not kept much longer than it is right.
	keepPlaced = 30
	// keepOther, in seconds, is for answers that are second choices: better ones come.
	keepOther = 10
)

// formats are the media types of playlists and the functions that write them. Every player
// knows these types. They have no parameters, because some players compare them literally.
var formats = [numAnswers]struct {
	mediaType []string
	write     func([]byte, *document) []byte
}{
	M3U:  {[]string{"audio/x-mpegurl"}, writeM3U},
	PLS:  {[]string{"audio/x-scpls"}, writePLS},
	XSPF: {[]string{"application/xspf+xml"}, writeXSPF},
	ASX:  {[]string{"video/x-ms-asf"}, writeASX},
	JSON: {[]string{"application/json"}, writeJSON},
}

// playlist answers with a document that leads to the stream.
func (s *Server) playlist(x *exchange) error {
	doc := x.plan.document(&x.request)
	f := &formats[x.plan.Answer]
	x.body = f.write(x.body[:0], &doc)
	if doc.entries[0].node != "" {
		s.count(x) // the listener will go to this node
	}
	h := x.header()
	x.streamHeaders()
	h["Content-Type"] = f.mediaType
	h["Content-Length"] = []string{strconv.Itoa(len(x.body))}
	x.w.WriteHeader(http.StatusOK)
	if x.r.Method != http.MethodHead {
		x.w.Write(x.body)
	}
	return nil
}

// document returns the content of a planned playlist.
func (p *Plan) document(q *request) document {
	m := q.view.Mount(p.to.d.Mount)
	doc := document{title: m.Title}
	if doc.title == "" {
		doc.title = m.Name
	}
	doc.entries = p.listEntries(q, doc.title)
	doc.resolve = resolve{
		Mount: m.Name, Title: cleanText(doc.title), Type: p.to.mediaType(q),
		Region: p.to.d.Region, Outcome: p.to.d.Outcome, KeepS: keepOther,
	}
	if p.to.d.Outcome == director.Placed {
		doc.resolve.KeepS = keepPlaced
	}
	return doc
}

// listEntries returns at least one entry. An app that asks for JSON gets nodes, unless it
// cannot be sent to one.
func (p *Plan) listEntries(q *request, title string) []entry {
	if p.to.overflow != "" {
		return []entry{{url: q.withQuery(p.to.overflow), title: title}}
	}
	carried := p.mismatch || q.inlineByRule()
	if p.entries == EntriesDirector && (p.Answer != JSON || carried) {
		if own := q.directorURL(); own != "" {
			return []entry{{url: own, title: title}}
		}
	}
	entries := make([]entry, 0, len(p.to.d.Ranked))
	for i, c := range p.to.d.Ranked {
		entries = append(entries, entry{node: q.view.NodeID(c.Node), url: p.to.url(q, i), title: title})
	}
	return entries
}

// Lines end in LF, as in Icecast's own playlists. Every player that was measured reads them.

func writeM3U(b []byte, d *document) []byte {
	b = append(b, "#EXTM3U\n"...)
	for _, e := range d.entries {
		b = append(b, "#EXTINF:-1,"...)
		b = appendText(b, e.title)
		b = append(b, '\n')
		b = appendURL(b, e.url)
		b = append(b, '\n')
	}
	return b
}

func writePLS(b []byte, d *document) []byte {
	b = append(b, "[playlist]\nNumberOfEntries="...)
	b = strconv.AppendInt(b, int64(len(d.entries)), 10)
	b = append(b, '\n')
	field := func(name string, i int) {
		b = append(b, name...)
		b = strconv.AppendInt(b, int64(i+1), 10)
		b = append(b, '=')
	}
	for i, e := range d.entries {
		field("File", i)
		b = appendURL(b, e.url)
		b = append(b, '\n')
		field("Title", i)
		b = appendText(b, e.title)
		b = append(b, '\n')
		field("Length", i)
		b = append(b, "-1\n"...)
	}
	return append(b, "Version=2\n"...)
}

func writeXSPF(b []byte, d *document) []byte {
	b = append(b, `<?xml version="1.0" encoding="UTF-8"?>`+"\n"...)
	b = append(b, `<playlist version="1" xmlns="http://xspf.org/ns/0/">`+"\n  <title>"...)
	b = appendXML(b, d.title)
	b = append(b, "</title>\n  <trackList>\n"...)
	for _, e := range d.entries {
		b = append(b, "    <track>\n      <location>"...)
		b = appendXML(b, escapeURL(e.url))
		b = append(b, "</location>\n      <title>"...)
		b = appendXML(b, e.title)
		b = append(b, "</title>\n    </track>\n"...)
	}
	return append(b, "  </trackList>\n</playlist>\n"...)
}

func writeASX(b []byte, d *document) []byte {
	b = append(b, "<asx version=\"3.0\">\n  <title>"...)
	b = appendXML(b, d.title)
	b = append(b, "</title>\n"...)
	for _, e := range d.entries {
		b = append(b, "  <entry>\n    <title>"...)
		b = appendXML(b, e.title)
		b = append(b, "</title>\n    <ref href=\""...)
		b = appendXML(b, escapeURL(e.url))
		b = append(b, "\"/>\n  </entry>\n"...)
	}
	return append(b, "</asx>\n"...)
}

func writeJSON(b []byte, d *document) []byte {
	out := d.resolve
	out.Node, out.URL = d.entries[0].node, escapeURL(d.entries[0].url)
	out.Alternates = make([]alternate, 0, len(d.entries)-1)
	for _, e := range d.entries[1:] {
		out.Alternates = append(out.Alternates, alternate{Node: e.node, URL: escapeURL(e.url)})
	}
	var text strings.Builder
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false) // it is not HTML, and "&" in URLs stays readable
	_ = enc.Encode(out)      // cannot fail: strings and numbers
	return append(b, text.String()...)
}

// appendText appends a title as one line of plain text.
func appendText(b []byte, s string) []byte {
	for _, r := range s {
		b = utf8.AppendRune(b, printable(r))
	}
	return b
}

func cleanText(s string) string { return string(appendText(nil, s)) }

// printable replaces characters that end a line or are not allowed in XML with a space.
// Invalid bytes have already become U+FFFD by ranging over the string.
func printable(r rune) rune {
	if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r == 0xFFFE || r == 0xFFFF {
		return ' '
	}
	return r
}

// appendXML appends a text, escaped for an XML element or attribute.
func appendXML(b []byte, s string) []byte {
	for _, r := range s {
		switch r = printable(r); r {
		case '<':
			b = append(b, "&lt;"...)
		case '>':
			b = append(b, "&gt;"...)
		case '&':
			b = append(b, "&amp;"...)
		case '"':
			b = append(b, "&#34;"...)
		case '\'':
			b = append(b, "&#39;"...)
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return b
}

// escapeURL escapes spaces, control characters and bytes beyond ASCII. Paths are already
// escaped; a query is as the listener wrote it, raw bytes included.
func escapeURL(s string) string {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return string(appendURL(nil, s))
		}
	}
	return s
}

func appendURL(b []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f {
			b = append(b, '%', hex[c>>4], hex[c&15])
		} else {
			b = append(b, c)
		}
	}
	return b
}
