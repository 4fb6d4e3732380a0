package proxy

import (
	"strconv"
	"strings"
)

// exposed are the headers that scripts in browsers may read, to find the metadata.
const exposed = "Icy-Br, Icy-Description, Icy-Genre, Icy-MetaInt, Icy-Name, Icy-Pub, Icy-Url"

// An answer is the head that a listener gets.
type answer struct {
	line   string
	fields []field
}

// newAnswer makes the listener's head from the node's: its media type, its Server field,
// and what it says of the station. HTTP/1.0, whatever version the listener speaks, means
// that the body ends with the connection and no Range is served. Field names are in
// canonical case, because some players recognise no other.
func newAnswer(h head, fallback string, icy, metadata bool) answer {
	a := answer{line: "HTTP/1.0 200 OK"}
	if icy {
		a.line = "ICY 200 OK"
	}
	typ := h.get("Content-Type")
	if isUntold(mediaType(typ)) {
		if typ = fallback; typ == "" {
			typ = "audio/mpeg"
		}
	}
	a.add("Content-Type", typ)
	if s := h.get("Server"); s != "" {
		a.add("Server", s) // VLC, for one, decides by it how to pace and to reconnect
	}
	a.add("Cache-Control", "no-cache, no-store")
	a.add("Pragma", "no-cache")
	a.add("Access-Control-Allow-Origin", "*")
	a.add("Access-Control-Expose-Headers", exposed)
	a.add("Connection", "close")
	for _, f := range h.fields {
		if isStation(f.name) && !strings.EqualFold(f.name, "icy-metaint") {
			a.fields = append(a.fields, f)
		}
	}
	if metadata {
		a.add("icy-metaint", strconv.Itoa(metaint))
	}
	return a
}

// isStation reports whether a field describes the station or its stream.
func isStation(name string) bool {
	return hasPrefixFold(name, "icy-") || hasPrefixFold(name, "ice-")
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

func (a *answer) add(name, value string) { a.fields = append(a.fields, field{name, value}) }

// wire returns the head as bytes. ICY fields have no space after the colon, as SHOUTcast
// and Icecast write them.
func (a *answer) wire() []byte {
	b := append(make([]byte, 0, 1024), a.line...)
	b = append(b, "\r\n"...)
	for _, f := range a.fields {
		b = append(append(b, f.name...), ':')
		if !isStation(f.name) {
			b = append(b, ' ')
		}
		b = append(append(b, f.value...), "\r\n"...)
	}
	return append(b, "\r\n"...)
}
