package hls

import (
	"net/url"
	"strconv"
	"strings"
)

// ContentType is the type of a steering manifest (section 7.1).
const ContentType = "application/json"

// Steering is a steering manifest: what a steering server answers (section 7.1, and ETSI TS
// 103 998, clause 6).
type Steering struct {
	// TTL is after how many seconds the player asks again. It is always written: without one
	// the specification says 300, and hls.js asks without pause.
	TTL int
	// Reload is the URL to ask next, an absolute one: Shaka ends steering at a relative one.
	Reload string
	// Priority is the pathways' IDs, the best first. With a single one hls.js does not fail
	// over by itself.
	Priority []string
}

// Append appends the manifest to dst and returns it. Nothing is allocated if dst has room.
// dash adds the priority under the name that it had in drafts of DASH's content steering,
// too, which is the only one that some older players know.
func (s *Steering) Append(dst []byte, dash bool) []byte {
	dst = append(dst, `{"VERSION":1,"TTL":`...)
	dst = strconv.AppendInt(dst, int64(s.TTL), 10)
	if s.Reload != "" {
		dst = append(dst, `,"RELOAD-URI":`...)
		dst = appendJSON(dst, s.Reload)
	}
	dst = append(dst, `,"PATHWAY-PRIORITY":`...)
	dst = s.appendPriority(dst)
	if dash {
		dst = append(dst, `,"SERVICE-LOCATION-PRIORITY":`...)
		dst = s.appendPriority(dst)
	}
	return append(dst, '}')
}

func (s *Steering) appendPriority(dst []byte) []byte {
	dst = append(dst, '[')
	for i, id := range s.Priority {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendJSON(dst, id)
	}
	return append(dst, ']')
}

// appendJSON appends a string as JSON has it (RFC 8259, 7).
func appendJSON(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"', c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

// SessionParameter is the query parameter in which a player brings back the session that it
// was told in RELOAD-URI or SERVER-URI.
const SessionParameter = "s"

// Asked is what a player tells a steering server in its query. The zero value is that of a
// player that told nothing, as Shaka's first question does.
type Asked struct {
	// Pathway is the one that the player plays from now. It is anything the player wrote.
	Pathway string
	// Several is all pathways that the player names, as a list with commas, if it names more
	// than one: it has changed lately. It is anything the player wrote, too.
	Several string
	// Throughput is at how many bit/s the player got its last segments from it; 0: not told. If
	// there are several pathways, it may be another one's.
	Throughput int64
	Dash       bool   // it asked with parameters of DASH
	Session    string // as it was given to the player; it may be forged
}

// ParseAsked reads the query of a player (section 7.1: _HLS_pathway and _HLS_throughput; ETSI
// TS 103 998, clause 8: _DASH_pathway and _DASH_throughput). It never fails: what it does not
// understand it leaves out. It takes values with or without the quotation marks of the
// specifications. Of a parameter that is there twice, the last one with a value counts.
//
// dash.js names every pathway that it has used since it asked last, the fastest first and
// those without a throughput last. So the last one is where it plays, if it has only just
// changed; later it may be either.
//
// Nothing is allocated unless a value of ours is escaped.
func ParseAsked(rawQuery string) Asked {
	var out Asked
	for rest := rawQuery; rest != ""; {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		key, value, _ := strings.Cut(pair, "=")
		switch key {
		case SessionParameter:
			set(&out.Session, unescape(value))
		case "_HLS_pathway":
			out.plays(unescape(value))
		case "_DASH_pathway":
			out.Dash = true
			out.plays(unescape(value))
		case "_HLS_throughput":
			out.Throughput = throughput(unescape(value), out.Throughput)
		case "_DASH_throughput":
			out.Dash = true
			out.Throughput = throughput(unescape(value), out.Throughput)
		}
	}
	return out
}

// plays notes the pathways that a player names.
func (a *Asked) plays(list string) {
	last := lastOf(list)
	if last == "" {
		return
	}
	a.Pathway, a.Several = last, ""
	if one := strings.Trim(list, "\", "); one != last {
		a.Several = list
	}
}

// Names says whether a pathway is among several that the player names.
func (a *Asked) Names(pathway string) bool {
	for one := range strings.SplitSeq(a.Several, ",") {
		if one = strings.Trim(one, "\" "); one != "" && one == pathway {
			return true
		}
	}
	return false
}

// set replaces what is there, unless by nothing.
func set(dst *string, s string) {
	if s != "" {
		*dst = s
	}
}

// unescape returns a value of a query; empty: it is escaped wrongly.
func unescape(s string) string {
	if !strings.ContainsAny(s, "%+") {
		return s
	}
	out, err := url.QueryUnescape(s)
	if err != nil {
		return ""
	}
	return out
}

// lastOf returns the last member of a list that is not empty, without quotation marks.
func lastOf(list string) string {
	for {
		i := strings.LastIndexByte(list, ',')
		if one := strings.Trim(list[i+1:], "\" "); one != "" || i < 0 {
			return one
		}
		list = list[:i]
	}
}

// maxThroughput is 1 Tbit/s: more is no measurement.
const maxThroughput = 1_000_000_000_000

// throughput returns the last member of a list of throughputs; was: it is empty or no number.
// If a member before it has a number, that is another pathway's.
func throughput(list string, was int64) int64 {
	last := strings.Trim(list[strings.LastIndexByte(list, ',')+1:], "\" ")
	whole, _, _ := strings.Cut(last, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n <= 0 || n > maxThroughput {
		return was
	}
	return n
}
