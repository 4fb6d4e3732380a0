package hls

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Pathway is one node's version of a mount's playlist. Its ID is the node's: the letters,
// digits, "-", "_" and "." that a node's id may have are those of a pathway's.
type Pathway struct {
	ID       string
	Playlist *Multivariant
}

// An Odd is a pathway that players cannot be moved to from others.
type Odd struct {
	ID  string
	Why string // names the other pathway
}

// Agree divides a mount's pathways into those between which players can be moved, since
// they offer the same variants, and the others. The agreed ones are the largest such group;
// of two that are equally large, that of the earlier pathway. So all directors that give the
// same order agree, too.
func Agree(all []Pathway) (agreed []Pathway, odd []Odd) {
	return agree(all, func(p *Pathway) (string, *Multivariant) { return p.ID, p.Playlist })
}

func agree[P any, T interface{ Differs(T) string }](all []P, of func(*P) (string, T)) (agreed []P, odd []Odd) {
	var groups [][]P // by the first of each
	for i := range all {
		_, a := of(&all[i])
		g := slices.IndexFunc(groups, func(g []P) bool {
			_, first := of(&g[0])
			return a.Differs(first) == ""
		})
		if g < 0 {
			g, groups = len(groups), append(groups, nil)
		}
		groups[g] = append(groups[g], all[i])
	}
	for _, g := range groups {
		if len(g) > len(agreed) {
			agreed = g
		}
	}
	for i := range all {
		id, a := of(&all[i])
		chosen, first := of(&agreed[0])
		if why := a.Differs(first); why != "" {
			odd = append(odd, Odd{id, fmt.Sprintf("unlike %s: %s", chosen, why)})
		}
	}
	return agreed, odd
}

// bandwidthSlack is how far the BANDWIDTH of one variant may differ between nodes: packagers
// measure it, each by its own encoder's output.
const bandwidthSlack = 0.2

// Differs says in a few words in what a playlist differs from another so that players
// cannot be moved between them; empty: they can. The variants and renditions must be the
// same, and their bandwidths nearly.
func (m *Multivariant) Differs(from *Multivariant) string {
	switch {
	case m == from:
		return ""
	case !slices.Equal(m.defines, from.defines):
		return "its EXT-X-DEFINE differ, and players take one value for all pathways"
	case m.variants != from.variants:
		return fmt.Sprintf("it offers %d variants instead of %d", m.variants, from.variants)
	}
	for i := range max(len(m.slots), len(from.slots)) {
		switch {
		case i == len(m.slots) || i < len(from.slots) && m.slots[i].what > from.slots[i].what:
			return "it does not offer " + from.slots[i].what
		case i == len(from.slots) || m.slots[i].what < from.slots[i].what:
			return "it offers " + m.slots[i].what + " besides"
		}
		a, b := &m.slots[i], &from.slots[i]
		if (a.uri == "") != (b.uri == "") {
			return "only one of them has a URI for " + a.what
		}
		if low, high := min(a.bandwidth, b.bandwidth), max(a.bandwidth, b.bandwidth); float64(low) < float64(high)*(1-bandwidthSlack) {
			return fmt.Sprintf("it offers %s of %d bit/s instead of %d", a.what, a.bandwidth, b.bandwidth)
		}
	}
	return ""
}

// Merge appends one multivariant playlist to dst, with each variant, its renditions and its
// I-frame variants once per pathway, and returns it. The pathways stand in the given order,
// the first choice first, so that a player without steering plays that one. All URIs are
// absolute.
//
// Nodes may write the same variant in their own words: with a BANDWIDTH as measured, in
// another order. Players must find it again in each pathway, and Shaka does so by equal
// attributes, so that all attributes are those of the first pathway.
//
// server is the steering server's absolute URL; EXT-X-CONTENT-STEERING names it and the
// first pathway (4.4.6.6). Shaka does not steer without that name. What a playlist has once
// (session data, variables, tags that are not known) is that of the first pathway; session
// keys are those of all, without repeats (4.4.6.5).
//
// Whether the pathways fit together is for [Agree] to say: Merge refuses them if they do not.
func Merge(dst []byte, pathways []Pathway, server string) ([]byte, error) {
	if err := checkMerge(len(pathways), func(i int) string { return pathways[i].ID }, server); err != nil {
		return dst, err
	}
	first := pathways[0].Playlist
	version, independent := 0, true
	for i := range pathways {
		p := pathways[i].Playlist
		if why := p.Differs(first); why != "" {
			return dst, fmt.Errorf("pathway %s is unlike %s: %s", pathways[i].ID, pathways[0].ID, why)
		}
		version = max(version, p.version)
		independent = independent && p.independent
	}
	dst = append(dst, "#EXTM3U\n"...)
	if version > 0 {
		dst = append(dst, "#EXT-X-VERSION:"...)
		dst = append(strconv.AppendInt(dst, int64(version), 10), '\n')
	}
	if independent {
		dst = append(dst, "#EXT-X-INDEPENDENT-SEGMENTS\n"...)
	}
	if first.start != "" {
		dst = append(append(dst, first.start...), '\n')
	}
	for _, line := range first.defines {
		dst = append(append(dst, line...), '\n')
	}
	dst = append(dst, `#EXT-X-CONTENT-STEERING:SERVER-URI="`...)
	dst = append(dst, server...)
	dst = append(dst, `",PATHWAY-ID="`...)
	dst = append(dst, pathways[0].ID...)
	dst = append(dst, '"', '\n')
	for i := range pathways {
		for _, key := range pathways[i].Playlist.keys {
			if !slices.ContainsFunc(pathways[:i], func(p Pathway) bool { return slices.Contains(p.Playlist.keys, key) }) {
				dst = append(append(dst, key...), '\n')
			}
		}
	}
	dst = append(dst, first.once...)
	for i := range pathways {
		dst = first.appendOwn(dst, &pathways[i])
	}
	return dst, nil
}

// appendOwn appends the lines that each pathway has.
func (m *Multivariant) appendOwn(dst []byte, p *Pathway) []byte {
	rest, uris := m.own, 0
	for {
		at := bytes.IndexAny(rest, string([]byte{idHere, uriHere}))
		if at < 0 {
			return append(dst, rest...)
		}
		dst = append(dst, rest[:at]...)
		if rest[at] == idHere {
			dst = append(dst, p.ID...)
		} else {
			dst = append(dst, p.Playlist.slots[m.ranks[uris]].uri...)
			uris++
		}
		rest = rest[at+1:]
	}
}

// checkMerge checks what HLS and DASH have in common.
func checkMerge(n int, id func(int) string, server string) error {
	if n == 0 {
		return errors.New("no pathway")
	}
	for i := range n {
		if !isPathwayID(id(i)) {
			return fmt.Errorf("%q is no pathway's ID: letters, digits, -, _ and . only", id(i))
		}
		for j := range i {
			if id(j) == id(i) {
				return fmt.Errorf("two pathways have the ID %s", id(i))
			}
		}
	}
	return checkAbsolute(server, "the steering server's URL")
}

// checkAbsolute checks a URL that is written as it is given.
func checkAbsolute(text, what string) error {
	u, err := url.Parse(text)
	if err != nil || !isWeb(u.Scheme) || u.Host == "" || strings.ContainsFunc(text, func(r rune) bool { return r == '"' || r == ' ' || isControl(r) }) {
		return fmt.Errorf("%s must be an absolute one of http or https, and is %q", what, clip(text))
	}
	return nil
}

// isPathwayID says whether a text is the ID of a pathway (section 7.1).
func isPathwayID(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.')
	})
}
