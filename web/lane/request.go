package lane

import (
	"bytes"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
)

const (
	// maxHead is the size of the largest request that is answered here, in bytes. It must
	// not exceed net/http's buffer, so that one Read takes in a request that is passed on.
	maxHead    = 4 << 10
	maxHeaders = 32
	// maxNames bounds how many header names are cached in canonical form.
	maxNames = 128
)

// reader parses requests. It reuses its memory for the next one.
type reader struct {
	req    *http.Request
	url    url.URL
	header http.Header
	values [maxHeaders]string // what the slices in header point into
	names  map[string]string  // canonical header names, by the name as written
}

func (d *reader) init(base *http.Request) {
	d.req, d.header, d.names = base, http.Header{}, map[string]string{}
}

var endOfHead = []byte("\r\n\r\n")

// read parses the request at the beginning of b and returns its length. If it returns 0,
// b is for net/http: it is not complete, not plain, or not a request.
func (d *reader) read(b []byte) int {
	if len(b) < 4 || string(b[:4]) != "GET " {
		return 0
	}
	end := bytes.Index(b, endOfHead)
	if end < 0 {
		return 0
	}
	text := string(b[:end+2]) // the request's strings point into it
	line, rest, _ := strings.Cut(text, "\r\n")
	r := d.req
	target, ok := d.readLine(line[len("GET "):])
	if !ok || !d.readTarget(target) || !d.readHeaders(rest) {
		return 0
	}
	r.Method, r.URL, r.RequestURI, r.Header = http.MethodGet, &d.url, target, d.header
	r.Body, r.ContentLength = http.NoBody, 0
	return end + 4
}

// readLine parses what follows the method on the first line.
func (d *reader) readLine(s string) (target string, ok bool) {
	r := d.req
	target, version, _ := strings.Cut(s, " ")
	switch version {
	case "HTTP/1.1":
		r.Proto, r.ProtoMajor, r.ProtoMinor, r.Close = "HTTP/1.1", 1, 1, false
	case "HTTP/1.0":
		r.Proto, r.ProtoMajor, r.ProtoMinor, r.Close = "HTTP/1.0", 1, 0, true
	default:
		return "", false
	}
	return target, true
}

// readTarget accepts absolute paths that need no unescaping.
func (d *reader) readTarget(target string) bool {
	path, query, asked := strings.Cut(target, "?")
	if path == "" || path[0] != '/' || strings.HasPrefix(path, "//") || asked && query == "" {
		return false
	}
	for i := range len(path) {
		if !is(path[i], plainInPath) {
			return false
		}
	}
	for i := range len(query) {
		if query[i] <= ' ' || query[i] >= 0x7f {
			return false
		}
	}
	d.url = url.URL{Path: path, RawQuery: query}
	return true
}

func (d *reader) readHeaders(rest string) bool {
	clear(d.header)
	r, hosts := d.req, 0
	r.Host = ""
	for n := 0; rest != ""; n++ {
		var line string
		line, rest, _ = strings.Cut(rest, "\r\n")
		written, value, ok := strings.Cut(line, ":")
		if !ok || n == maxHeaders || !isToken(written) {
			return false
		}
		value = strings.Trim(value, " \t")
		if !isText(value) {
			return false
		}
		name := d.canonical(written)
		switch name {
		case "Host":
			hosts++
			r.Host = value
			continue // like net/http, which keeps it out of the map
		case "Connection":
			if r.ProtoMinor == 0 || d.header[name] != nil || !d.readConnection(value) {
				return false
			}
		case "Content-Length", "Transfer-Encoding", "Trailer", "Expect", "Upgrade", "Pragma":
			return false
		}
		d.values[n] = value
		if before := d.header[name]; before != nil {
			d.header[name] = append(before, value)
		} else {
			d.header[name] = d.values[n : n+1 : n+1]
		}
	}
	return hosts == 1 && isHost(r.Host) || hosts == 0 && r.ProtoMinor == 0
}

// readConnection accepts the two values that clients send: close and keep-alive.
func (d *reader) readConnection(value string) bool {
	d.req.Close = strings.EqualFold(value, "close")
	return d.req.Close || strings.EqualFold(value, "keep-alive")
}

func (d *reader) canonical(written string) string {
	if name, ok := d.names[written]; ok {
		return name
	}
	name := textproto.CanonicalMIMEHeaderKey(written)
	if len(d.names) < maxNames {
		d.names[strings.Clone(written)] = strings.Clone(name)
	}
	return name
}

// What a byte may be part of.
const (
	plainInPath = 1 << iota // the same in both forms of a path that net/url has, Path and RawPath
	inToken                 // RFC 9110, 5.6.2
	inHost
)

var classes = func() (c [256]uint8) {
	for b := range c {
		switch {
		case 'a' <= b|0x20 && b|0x20 <= 'z', '0' <= b && b <= '9':
			c[b] = plainInPath | inToken | inHost
		}
	}
	mark := func(class uint8, bytes string) {
		for i := range len(bytes) {
			c[bytes[i]] |= class
		}
	}
	mark(plainInPath, "/-._~;,=&+$@:")
	mark(inToken, "!#$%&'*+-.^_`|~")
	mark(inHost, "-._:[]")
	return c
}()

func is(b, class uint8) bool { return classes[b]&class != 0 }

func isToken(s string) bool {
	for i := range len(s) {
		if !is(s[i], inToken) {
			return false
		}
	}
	return s != ""
}

func isHost(s string) bool {
	for i := range len(s) {
		if !is(s[i], inHost) {
			return false
		}
	}
	return s != ""
}

// isText reports whether s may be a header's value (RFC 9110, 5.5).
func isText(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
			return false
		}
	}
	return true
}
