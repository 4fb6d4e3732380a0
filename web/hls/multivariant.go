package hls

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// In Multivariant.own these bytes stand for what each pathway has of its own. No playlist
// has them, since control characters are refused.
const (
	idHere  = 0 // the pathway's ID
	uriHere = 1 // the URI of the next slot that has one
)

// groupMark is between a GROUP-ID of the node's and the pathway's ID. No ID has it.
const groupMark = '@'

// Multivariant is a node's multivariant playlist (4.4.6), taken apart for [Merge]. It is not
// changed any more, so it may be shared.
type Multivariant struct {
	// Warnings are what operators should know of the playlist: what it has that is replaced
	// or left out, and what players may not like.
	Warnings []string

	version     int
	independent bool     // EXT-X-INDEPENDENT-SEGMENTS
	start       string   // the EXT-X-START; empty: there is none
	defines     []string // the EXT-X-DEFINE, in order
	keys        []string // the EXT-X-SESSION-KEY
	once        []byte   // lines that a playlist has once, whatever the pathways
	own         []byte   // lines that each pathway has, with idHere and uriHere
	slots       []slot   // those of own, in an order that is that of all nodes with the same
	ranks       []int    // the index in slots of each uriHere of own
	variants    int
	least       int64 // the lowest BANDWIDTH of a variant, in bit/s; 0: none tells it
	first       string
}

// Variants returns how many variants the playlist offers, without I-frame variants.
func (m *Multivariant) Variants() int { return m.variants }

// Least returns the BANDWIDTH of the variant that needs least, in bit/s (4.4.6.2: the peak rate
// of its segments); 0: it is not told.
func (m *Multivariant) Least() int64 { return m.least }

// First returns the absolute URI of the first variant's media playlist: the one that a
// player without a preference plays.
func (m *Multivariant) First() string { return m.first }

// A slot is a variant or a rendition, which all pathways have, each with its own URI.
type slot struct {
	what      string // for players: its tag, codecs, resolution, groups, language and name
	bandwidth int64  // bit/s (BANDWIDTH); 0: not told
	uri       string // absolute; empty: it has none, as closed captions
}

// An entry is a line of a playlist, or a variant with its URI.
type entry struct {
	line    int
	tag     string // empty: a comment
	text    string // the whole line, where it is passed on as it is
	list    attributes
	between []string // comments between the tag and its URI
	uri     string   // of an EXT-X-STREAM-INF, from the line after it; empty: it has none
}

// isVariant says whether a tag is a variant of its own: EXT-X-STREAM-INF,
// EXT-X-I-FRAME-STREAM-INF, and EXT-X-IMAGE-STREAM-INF, which is no part of the
// specification.
func isVariant(tag string) bool { return strings.HasSuffix(tag, "-STREAM-INF") }

// IsMultivariant says whether a text is a multivariant playlist, and no media playlist.
// It does not say whether either is without mistakes.
func IsMultivariant(text []byte) bool {
	for line := range strings.Lines(string(text[:min(len(text), MaxText)])) {
		if name, _ := tag(strings.TrimSpace(line)); name == "EXT-X-STREAM-INF" {
			return true
		}
	}
	return false
}

// ParseMultivariant parses a multivariant playlist that was read from the absolute URL at,
// to which its relative URIs refer. Its errors are of type *[Error], except for at itself.
func ParseMultivariant(text []byte, at *url.URL) (*Multivariant, error) {
	d, err := open(text, at)
	if err != nil {
		return nil, err
	}
	all, err := d.entries()
	if err != nil {
		return nil, err
	}
	m := &Multivariant{}
	all = m.onePathway(d, all)
	for i := range all {
		if err := m.add(d, &all[i]); err != nil {
			return nil, err
		}
	}
	m.sort()
	m.Warnings = d.warnings
	if m.variants == 0 {
		return nil, d.fail(0, "has no variant (EXT-X-STREAM-INF): no multivariant playlist")
	}
	return m, nil
}

// entries reads the lines.
func (d *document) entries() ([]entry, error) {
	var all []entry
	var open *entry // a variant that waits for its URI
	variants := 0
	for n, line := range d.lines() {
		name, value := tag(line)
		switch {
		case strings.HasPrefix(name, "EXTM3U"):
			continue
		case name == "EXTINF", name == "EXT-X-TARGETDURATION", name == "EXT-X-MEDIA-SEQUENCE":
			return nil, d.fail(n, "%s is of a media playlist, and this is a multivariant one (4.1 forbids both in one)", name)
		case open != nil && line[0] != '#':
			open.uri = line
			all = append(all, *open)
			open = nil
			continue
		case open != nil && isVariant(name):
			return nil, d.fail(open.line, "no URI follows the variant (4.4.6.2)")
		case open != nil && name == "":
			open.between = append(open.between, line)
			continue
		case line[0] != '#':
			return nil, d.fail(n, "the URI %q belongs to no variant", clip(line))
		case len(all) >= maxTags:
			return nil, d.fail(n, "more than %d tags: no playlist for players", maxTags)
		}
		e := entry{line: n, tag: name, text: line}
		switch {
		case isVariant(name):
			if variants++; variants > maxVariants {
				return nil, d.fail(n, "more than %d variants: no playlist for players", maxVariants)
			}
			fallthrough
		case name == "EXT-X-MEDIA", name == "EXT-X-SESSION-DATA", name == "EXT-X-SESSION-KEY", name == "EXT-X-CONTENT-STEERING", name == "EXT-X-DEFINE",
			strings.HasPrefix(name, "EXT") && strings.Contains(value, "URI="):
			var err error
			if e.list, err = parseAttributes(value); err != nil {
				return nil, d.fail(n, "%s: %v", name, err)
			}
		}
		if name == "EXT-X-DEFINE" {
			d.define(e.list)
		}
		if name == "EXT-X-STREAM-INF" {
			open = &e
			continue
		}
		all = append(all, e)
	}
	if open != nil {
		return nil, d.fail(open.line, "no URI follows the variant (4.4.6.2)")
	}
	return all, nil
}

// onePathway drops the steering tag of the playlist's own, and all but the first of its own
// pathways: players are steered by one server between nodes.
func (m *Multivariant) onePathway(d *document, all []entry) []entry {
	chosen, known := "", false
	names := map[string]bool{}
	for i := range all {
		switch e := &all[i]; {
		case e.tag == "EXT-X-CONTENT-STEERING":
			d.warn("its EXT-X-CONTENT-STEERING by %s is replaced", clip(e.list.get("SERVER-URI")))
			chosen = e.list.get("PATHWAY-ID")
			known = chosen != ""
		case e.tag == "EXT-X-STREAM-INF":
			names[pathwayOf(e)] = true
		}
	}
	for i := range all {
		if e := &all[i]; e.tag == "EXT-X-STREAM-INF" && (!known || !names[chosen]) {
			chosen, known = pathwayOf(e), true
		}
	}
	groups := map[string]bool{}
	for i := range all {
		if e := &all[i]; isVariant(e.tag) && pathwayOf(e) == chosen {
			for _, a := range e.list {
				if isGroup(a.name) {
					groups[a.name+a.value] = true
				}
			}
		}
	}
	if len(names) > 1 {
		d.warn("of its own %d pathways only %q is used", len(names), clip(chosen))
	}
	return slices.DeleteFunc(all, func(e entry) bool {
		switch {
		case e.tag == "EXT-X-CONTENT-STEERING":
			return true
		case len(names) < 2:
			return false
		case e.tag == "EXT-X-MEDIA":
			return !groups[e.list.get("TYPE")+e.list.get("GROUP-ID")]
		}
		return isVariant(e.tag) && pathwayOf(&e) != chosen
	})
}

// pathwayOf returns the pathway of a variant; without a PATHWAY-ID that is "." (4.4.6.2).
func pathwayOf(e *entry) string {
	if id := e.list.get("PATHWAY-ID"); id != "" {
		return id
	}
	return "."
}

// isGroup says whether an attribute of a variant names a group of renditions (4.4.6.2).
func isGroup(name string) bool {
	switch name {
	case "AUDIO", "VIDEO", "SUBTITLES", "CLOSED-CAPTIONS":
		return true
	}
	return false
}

// add takes an entry into the playlist.
func (m *Multivariant) add(d *document, e *entry) error {
	_, value := tag(e.text)
	var err error
	switch e.tag {
	case "EXT-X-VERSION":
		if m.version, err = strconv.Atoi(value); err != nil || m.version < 1 {
			return d.fail(e.line, "EXT-X-VERSION:%s is no version (4.4.1.2)", clip(value))
		}
	case "EXT-X-INDEPENDENT-SEGMENTS":
		m.independent = true
	case "EXT-X-START":
		m.start = e.text
	case "EXT-X-DEFINE":
		m.defines = append(m.defines, e.text)
	case "EXT-X-SESSION-KEY":
		line, err := m.line(d, e)
		m.keys = append(m.keys, string(line))
		return err
	default:
		return m.addLine(d, e)
	}
	return nil
}

func (m *Multivariant) addLine(d *document, e *entry) error {
	block := &m.once
	if e.slot() {
		block = &m.own
	}
	line, err := m.line(d, e)
	if err != nil {
		return err
	}
	*block = append(append(*block, line...), '\n')
	for _, b := range e.between {
		*block = append(append(*block, b...), '\n')
	}
	if e.tag != "EXT-X-STREAM-INF" {
		return nil
	}
	m.variants++
	uri, err := m.playable(d, e.line, e.uri)
	if m.first == "" {
		m.first = uri
	}
	s := &m.slots[len(m.slots)-1]
	s.uri = uri
	m.least = lesser(m.least, s.bandwidth)
	*block = append(*block, uriHere, '\n')
	return err
}

// lesser returns the smaller of two numbers, of which 0 is one that is not told.
func lesser(a, b int64) int64 {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// playable returns the absolute URI of a media playlist.
func (m *Multivariant) playable(d *document, line int, ref string) (string, error) {
	uri, err := d.absolute(line, ref, false)
	if err == nil && sameResource(uri, d.at.String()) {
		return "", d.fail(line, "%q leads to this playlist itself", clip(ref))
	}
	return uri, err
}

func sameResource(a, b string) bool {
	a, _, _ = strings.Cut(a, "#")
	b, _, _ = strings.Cut(b, "#")
	return a == b
}

// slot says whether an entry is one that each pathway has.
func (e *entry) slot() bool { return e.tag == "EXT-X-MEDIA" || isVariant(e.tag) }

// line returns an entry's tag as it stands in a merged playlist: with absolute URIs, and of
// variants and renditions with the pathway's ID in the names of groups (a group must not
// have two renditions of one name, 4.4.6.1.1, and each pathway has all names). It notes the
// slot.
func (m *Multivariant) line(d *document, e *entry) ([]byte, error) {
	if e.list == nil && !e.slot() {
		return []byte(e.text), nil
	}
	var s slot
	out := append([]byte{'#'}, e.tag...)
	sep := byte(':')
	for i := range e.list {
		a := e.list[i]
		var err error
		isURI := a.name == "URI" && !a.bare
		a.quoted = a.quoted || isURI // some leave the quotation marks out
		switch {
		case a.name == "PATHWAY-ID" && isVariant(e.tag):
			continue
		case isURI && e.slot() && (s.uri != "" || e.tag == "EXT-X-STREAM-INF"):
			continue // its URI is on the line after it; a second one counts for nothing (4.2)
		case isURI && e.slot():
			s.uri, err = m.playable(d, e.line, a.value)
			a.value = string(rune(uriHere))
		case isURI:
			a.value, err = d.absolute(e.line, a.value, true)
		case a.quoted && (a.name == "GROUP-ID" && e.tag == "EXT-X-MEDIA" || isGroup(a.name) && isVariant(e.tag)):
			a.value += string([]byte{groupMark, idHere})
		}
		if err != nil {
			return nil, err
		}
		out = a.appendTo(append(out, sep))
		sep = ','
	}
	if isVariant(e.tag) {
		out = append(append(out, sep), `PATHWAY-ID="`...)
		out = append(out, idHere, '"')
	}
	if e.slot() {
		s.what = what(e)
		bandwidth, _ := strconv.ParseInt(e.list.get("BANDWIDTH"), 10, 64)
		s.bandwidth = max(0, bandwidth)
		m.slots = append(m.slots, s)
	}
	return out, nil
}

// compared are the attributes by which a player tells whether it can play a variant or a
// rendition, and which it is (4.4.6.1, 4.4.6.2).
var compared = []string{
	"CODECS", "SUPPLEMENTAL-CODECS", "RESOLUTION", "FRAME-RATE", "VIDEO-RANGE", "HDCP-LEVEL", "ALLOWED-CPC", "REQ-VIDEO-LAYOUT",
	"AUDIO", "VIDEO", "SUBTITLES", "CLOSED-CAPTIONS",
	"TYPE", "GROUP-ID", "NAME", "LANGUAGE", "CHANNELS", "FORCED", "INSTREAM-ID",
}

// what describes a variant or a rendition, as it is at all nodes that have it.
func what(e *entry) string {
	out := []string{strings.TrimPrefix(e.tag, "EXT-X-")}
	for _, name := range compared {
		v := e.list.get(name)
		if strings.HasSuffix(name, "CODECS") {
			codecs := strings.FieldsFunc(strings.ToLower(v), func(r rune) bool { return r == ',' || r == ' ' })
			slices.Sort(codecs)
			v = strings.Join(codecs, ",")
		}
		if v != "" {
			out = append(out, name+"="+v)
		}
	}
	return strings.Join(out, " ")
}

// sort brings the slots into their order.
func (m *Multivariant) sort() {
	order := make([]int, len(m.slots))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		x, y := &m.slots[a], &m.slots[b]
		return cmp.Or(strings.Compare(x.what, y.what), cmp.Compare(x.bandwidth, y.bandwidth))
	})
	sorted, ranks := make([]slot, len(order)), make([]int, len(order))
	for rank, i := range order {
		sorted[rank], ranks[i] = m.slots[i], rank
	}
	for i := range m.slots {
		if m.slots[i].uri != "" {
			m.ranks = append(m.ranks, ranks[i])
		}
	}
	m.slots = sorted
}
