package hls

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/beevik/etree"
)

const (
	// maxDepth is how deep the elements of an MPD may be. Those of the standard are 9 deep.
	maxDepth = 64
	// maxRepresentations is how many representations an MPD may have over all its periods.
	maxRepresentations = 2000
)

// MPD is a node's media presentation description (ISO/IEC 23009-1, 5.3), taken apart for
// [MergeMPD]. It is not changed any more, so it may be shared.
type MPD struct {
	// Warnings are what operators should know of the MPD: what it has that is replaced or left
	// out, and what players may not like.
	Warnings []string

	Dynamic   bool          // segments come and go: it is live (@type)
	Published time.Time     // @publishTime; zero: not told
	Update    time.Duration // after how long players read it again (@minimumUpdatePeriod); 0: they do not

	least      int64     // the lowest @bandwidth of a representation, in bit/s; 0: none tells it
	start      time.Time // @availabilityStartTime
	prefix     string    // of the names of elements: "mpd:", or nothing
	head, tail []byte    // the text before and after what MergeMPD writes
	base       string    // the absolute URL to which the periods' URLs refer
	baseAttrs  string    // the attributes of the BaseURL, escaped, with a blank before each
	periods    []period
}

// Least returns the @bandwidth of the representation that needs least, in bit/s; 0: it is not
// told.
func (m *MPD) Least() int64 { return m.least }

// An mpdReader takes an MPD apart.
type mpdReader struct {
	*document
	m     *MPD
	root  *etree.Element
	base  *url.URL
	count int // of representations
}

// ParseMPD parses an MPD that was read from the absolute URL at, to which its relative URLs
// refer. Its errors are of type *[Error], except for at itself.
func ParseMPD(text []byte, at *url.URL) (*MPD, error) {
	if at == nil || at.Host == "" || !isWeb(at.Scheme) {
		return nil, errors.New("the URL of an MPD must be an absolute one of http or https")
	}
	d := &document{at: at}
	doc, err := d.readXML(text)
	if err != nil {
		return nil, err
	}
	r := &mpdReader{document: d, m: &MPD{}, root: doc.Root()}
	for _, step := range []func() error{r.attributes, r.bases, r.replaced, func() error { return r.urls(r.root) }, r.readPeriods, func() error { return r.split(doc, string(text)) }} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	r.m.Warnings = d.warnings
	return r.m, nil
}

// readXML reads the text as a tree.
func (d *document) readXML(text []byte) (*etree.Document, error) {
	text = bytes.TrimSpace(bytes.TrimPrefix(text, []byte("\uFEFF")))
	switch {
	case len(text) > MaxText:
		return nil, d.fail(0, "more than %d MiB: no MPD", MaxText>>20)
	case len(text) == 0:
		return nil, d.fail(0, "is empty")
	case isPage(string(text[:min(len(text), 64)])):
		return nil, d.fail(1, "a page of HTML, and no MPD")
	case text[0] != '<':
		return nil, d.fail(1, "an MPD is XML, and this begins with %q", clip(string(text[:min(len(text), 60)])))
	case !utf8.Valid(text):
		return nil, d.fail(0, "is not UTF-8")
	}
	doc := etree.NewDocument()
	doc.ReadSettings = etree.ReadSettings{ValidateInput: true, MaxDepth: maxDepth}
	if err := doc.ReadFromBytes(text); err != nil {
		var syntax *xml.SyntaxError
		if errors.As(err, &syntax) {
			return nil, d.fail(syntax.Line, "is no XML: %s", syntax.Msg)
		}
		return nil, d.fail(0, "is no XML that can be read: %v", err)
	}
	for _, t := range doc.Child {
		if _, ok := t.(*etree.Directive); ok {
			return nil, d.fail(0, "has a DOCTYPE, which no MPD needs")
		}
	}
	root := doc.Root()
	if root == nil || root.Tag != "MPD" {
		return nil, d.fail(0, "its root is no MPD")
	}
	return doc, nil
}

func (r *mpdReader) attributes() error {
	m := r.m
	m.Dynamic = r.root.SelectAttrValue("type", "static") == "dynamic"
	m.Published = dateTime(r.root.SelectAttrValue("publishTime", ""))
	if u := r.root.SelectAttrValue("minimumUpdatePeriod", ""); u != "" {
		var err error
		if m.Update, err = parseDuration(u); err != nil {
			return r.fail(0, "@minimumUpdatePeriod: %v", err)
		}
	}
	if m.Dynamic {
		delay, given := parseDuration(r.root.SelectAttrValue("suggestedPresentationDelay", ""))
		buffer, told := parseDuration(r.root.SelectAttrValue("minBufferTime", ""))
		if given == nil && told == nil && delay < buffer { // ffmpeg writes so, with other numbers each time
			r.warn("its suggestedPresentationDelay is less than its minBufferTime: players have next to nothing in their buffers, and stall")
		}
	}
	start := r.root.SelectAttrValue("availabilityStartTime", "")
	if m.start = dateTime(start); m.start.IsZero() && (m.Dynamic || start != "") {
		return r.fail(0, "@availabilityStartTime %q is no time, and a dynamic MPD needs one (5.3.1.2)", clip(start))
	}
	if r.root.Space != "" {
		m.prefix = r.root.Space + ":"
	}
	return nil
}

// bases takes the BaseURL of the whole MPD out of it (5.6).
func (r *mpdReader) bases() error {
	r.base = r.at
	for i, e := range r.root.SelectElements("BaseURL") {
		r.root.RemoveChild(e)
		if i > 0 {
			r.warn("of its own BaseURLs only the first is used")
			continue
		}
		u, err := r.resolve(r.at, e.Text())
		if err != nil {
			return r.fail(0, "BaseURL: %v", err)
		}
		r.base = u
		if u.Host != r.at.Host {
			r.warn("it leads players to %s, where they are whatever node is chosen", u.Host)
		}
		for _, a := range e.Attr {
			if a.Key != "serviceLocation" && a.Key != "byteRange" {
				r.m.baseAttrs += " " + a.FullKey() + `="` + string(appendXML(nil, a.Value)) + `"`
			}
		}
	}
	// A BaseURL is a folder: what is after its last slash is not part of it (RFC 3986, 5.2.3).
	r.base = r.base.ResolveReference(&url.URL{Path: "./"})
	r.m.base = r.base.String()
	return nil
}

func (r *mpdReader) resolve(base *url.URL, ref string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(ref))
	if err != nil {
		return nil, fmt.Errorf("%q is no URL: %w", clip(ref), reason(err))
	}
	u = base.ResolveReference(u)
	if !isWeb(u.Scheme) || u.Host == "" {
		return nil, fmt.Errorf("%q: players get what they play by http or https only", clip(ref))
	}
	return u, nil
}

// replaced takes out what MergeMPD writes anew, and what would fit one node only.
func (r *mpdReader) replaced() error {
	for _, parent := range append([]*etree.Element{r.root}, r.root.SelectElements("ServiceDescription")...) {
		for _, e := range parent.SelectElements("ContentSteering") {
			r.warn("its ContentSteering by %s is replaced", clip(e.Text()))
			parent.RemoveChild(e)
		}
	}
	for _, e := range r.root.SelectElements("Location") {
		r.root.RemoveChild(e)
	}
	for _, e := range r.root.SelectElements("PatchLocation") {
		r.warn("its PatchLocation is left out, since players get another MPD than the node's; they read it whole")
		r.root.RemoveChild(e)
	}
	return nil
}

// urlAttributes are the attributes that are URLs of what players play, or templates of such
// (5.3.9).
var urlAttributes = []string{"media", "initialization", "index", "bitstreamSwitching", "sourceURL"}

// urls makes what is below the whole MPD fit all nodes: its URLs have to be relative.
func (r *mpdReader) urls(e *etree.Element) error {
	for i := range e.Attr {
		a := &e.Attr[i]
		switch {
		case a.Space == "xlink" && a.Key == "href" && !strings.HasPrefix(a.Value, "urn:"):
			u, err := r.resolve(r.at, a.Value)
			if err != nil {
				return r.fail(0, "%s: xlink:href: %v", e.Tag, err)
			}
			a.Value = u.String()
		case a.Space == "" && slices.Contains(urlAttributes, a.Key) && strings.Contains(a.Value, "/"):
			value, err := r.relative(a.Value)
			if err != nil {
				return r.fail(0, "%s: @%s: %v", e.Tag, a.Key, err)
			}
			a.Value = value
		}
	}
	for _, c := range e.ChildElements() {
		var err error
		switch c.Tag {
		case "BaseURL":
			var value string
			value, err = r.relative(strings.TrimSpace(c.Text()))
			c.SetText(value)
		case "UTCTiming":
			err = r.clock(c)
		}
		if err != nil {
			return r.fail(0, "%s: %s: %v", e.Tag, c.Tag, err)
		}
		if err := r.urls(c); err != nil {
			return err
		}
	}
	return nil
}

// clock makes the URLs of a clock absolute (5.8.4.11): they refer to that of the MPD, which is
// the director's from now on.
func (r *mpdReader) clock(e *etree.Element) error {
	a := e.SelectAttr("value")
	if a == nil || !strings.Contains(e.SelectAttrValue("schemeIdUri", ""), ":utc:http-") {
		return nil
	}
	urls := strings.Fields(a.Value)
	for i, one := range urls {
		u, err := r.resolve(r.at, one)
		if err != nil {
			return err
		}
		urls[i] = u.String()
	}
	a.Value = strings.Join(urls, " ")
	return nil
}

// relative returns a URL as one that refers to each node's base. One at another server stays
// as it is. It may be a template, so it is not taken apart as a URL.
func (r *mpdReader) relative(ref string) (string, error) {
	scheme, rest, abs := strings.Cut(ref, "://")
	if !abs || strings.ContainsAny(scheme, "/?#") {
		if strings.HasPrefix(ref, "//") {
			return r.relative(r.base.Scheme + ":" + ref)
		}
		if strings.HasPrefix(ref, "/") {
			return r.fromRoot(ref)
		}
		if u, err := url.Parse(ref); err == nil && u.IsAbs() {
			return "", fmt.Errorf("%q: players get what they play by http or https only", clip(ref))
		}
		return ref, nil
	}
	if !isWeb(strings.ToLower(scheme)) {
		return "", fmt.Errorf("%q: players get what they play by http or https only", clip(ref))
	}
	host, path, _ := strings.Cut(rest, "/")
	if !strings.EqualFold(host, r.base.Host) && !strings.EqualFold(host, r.at.Host) {
		r.warn("it leads players to %s, where they are whatever node is chosen", clip(host))
		return ref, nil
	}
	return r.fromRoot("/" + path)
}

// fromRoot returns a path from the server's root as one from the base.
func (r *mpdReader) fromRoot(ref string) (string, error) {
	below, ok := strings.CutPrefix(ref, r.base.EscapedPath())
	if !ok || below == "" || strings.HasPrefix(below, "/") {
		return "", fmt.Errorf("%q is at this node only; write it relative to the MPD, so that it is valid at all nodes", clip(ref))
	}
	return below, nil
}

// split writes the tree as text, and notes where MergeMPD writes: after ProgramInformation,
// where BaseURL and Location stand (5.3.1.3).
func (r *mpdReader) split(doc *etree.Document, text string) error {
	mark := "here"
	for strings.Contains(text, mark) {
		mark += "-here"
	}
	index := 0
	for _, e := range r.root.SelectElements("ProgramInformation") {
		index = e.Index() + 1
	}
	r.root.InsertChildAt(index, etree.NewComment(mark))
	out, err := doc.WriteToBytes()
	if err != nil {
		return r.fail(0, "%v", err)
	}
	var found bool
	if r.m.head, r.m.tail, found = bytes.Cut(out, []byte("<!--"+mark+"-->")); !found {
		return r.fail(0, "is no MPD that can be written again")
	}
	return nil
}

// MPDPathway is one node's version of a mount's MPD.
type MPDPathway struct {
	ID  string
	MPD *MPD
}

// AgreeMPD is [Agree] for MPDs.
func AgreeMPD(all []MPDPathway) (agreed []MPDPathway, odd []Odd) {
	return agree(all, func(p *MPDPathway) (string, *MPD) { return p.ID, p.MPD })
}

// MergeMPD appends one MPD to dst and returns it: that of the first pathway, with a BaseURL
// for each pathway, the first choice first, whose serviceLocation is the pathway's ID (ETSI TS
// 103 998, clause 5).
//
// server is the steering server's absolute URL. location is the absolute URL of the merged MPD
// itself, where players read it again: without it dash.js and Shaka would go on at a node that
// the director once sent them to.
//
// Segments must be the same under all BaseURLs (ISO/IEC 23009-1, 5.6.5). Whether they are is
// for [AgreeMPD] to say: MergeMPD refuses pathways of which it is known that they are not.
func MergeMPD(dst []byte, pathways []MPDPathway, server, location string) ([]byte, error) {
	err := checkMerge(len(pathways), func(i int) string { return pathways[i].ID }, server)
	if err == nil {
		err = checkAbsolute(location, "the MPD's own URL")
	}
	if err != nil {
		return dst, err
	}
	first := pathways[0].MPD
	for i := range pathways {
		if why := pathways[i].MPD.Differs(first); why != "" {
			return dst, fmt.Errorf("pathway %s is unlike %s: %s", pathways[i].ID, pathways[0].ID, why)
		}
	}
	open := func(name string) {
		dst = append(append(append(dst, '<'), first.prefix...), name...)
	}
	end := func(text, name string) {
		dst = append(appendXML(append(dst, '>'), text), "</"...)
		dst = append(append(append(dst, first.prefix...), name...), '>')
	}
	dst = append(dst, first.head...)
	for i := range pathways {
		p := &pathways[i]
		open("BaseURL")
		dst = append(append(append(dst, ` serviceLocation="`...), p.ID...), '"')
		dst = append(dst, p.MPD.baseAttrs...)
		end(p.MPD.base, "BaseURL")
	}
	open("Location")
	end(location, "Location")
	open("ContentSteering")
	dst = append(append(append(dst, ` defaultServiceLocation="`...), pathways[0].ID...), '"')
	end(server, "ContentSteering")
	return append(dst, first.tail...), nil
}

// appendXML appends a text as XML has it, in an element or between quotation marks.
func appendXML(dst []byte, s string) []byte {
	for i := range len(s) {
		switch s[i] {
		case '&':
			dst = append(dst, "&amp;"...)
		case '<':
			dst = append(dst, "&lt;"...)
		case '>':
			dst = append(dst, "&gt;"...)
		case '"':
			dst = append(dst, "&quot;"...)
		default:
			dst = append(dst, s[i])
		}
	}
	return dst
}

// parseDuration parses a duration of XML Schema, such as PT2.5S or P1DT12H. Years and months,
// which have no fixed length, are refused.
func parseDuration(s string) (time.Duration, error) {
	bad := fmt.Errorf("%q is no duration such as PT2.5S", clip(s))
	rest, ok := strings.CutPrefix(strings.TrimSpace(s), "P")
	if !ok || rest == "" {
		return 0, bad
	}
	date, clock, isClock := strings.Cut(rest, "T")
	if isClock && clock == "" {
		return 0, bad
	}
	var sum float64 // seconds
	take := func(text, units string, lengths ...float64) bool {
		for text != "" {
			i := strings.IndexFunc(text, func(c rune) bool { return (c < '0' || c > '9') && c != '.' })
			if i <= 0 {
				return false
			}
			unit := strings.IndexByte(units, text[i])
			n, err := strconv.ParseFloat(text[:i], 64)
			if unit < 0 || err != nil {
				return false
			}
			sum += n * lengths[unit]
			units, lengths, text = units[unit+1:], lengths[unit+1:], text[i+1:]
		}
		return true
	}
	const day = 24 * 60 * 60
	if !take(date, "D", day) || !take(clock, "HMS", 3600, 60, 1) || sum > 100*365*day {
		return 0, bad
	}
	return time.Duration(sum * float64(time.Second)), nil
}

// key is by what a period is found again in another MPD: its id, else its start.
func (p *period) key() string { return cmp.Or(p.id, p.start.String()) }
