package lane

import (
	"bytes"
	"net/textproto"
	"strings"
)

// mend rewrites a crude request so that net/http accepts it, for radios that were tested
// only with Icecast. It returns the request's length in b and its replacement; nil: there
// is nothing to mend, or mending it would not be safe.
//
// It accepts what Icecast 2.4 accepts: extra blanks on the first line and before a colon,
// HTTP/1.1 without Host, the same Host twice, and an invalid Host. Invalid header lines,
// such as "Ultravox transport type: TCP", are dropped. None of these leaves a doubt about
// where the request ends. Requests that might are not mended: those with a method other
// than GET or HEAD, any sign of a body, two different Hosts, or continuation lines.
func mend(b []byte) (size int, mended []byte) {
	size = headLength(b)
	if size == 0 {
		return 0, nil
	}
	lines := strings.Split(strings.TrimRight(string(b[:size]), "\r\n"), "\n")
	first := strings.FieldsFunc(strings.TrimRight(lines[0], "\r\t "), func(r rune) bool { return r == ' ' })
	if len(first) != 3 || first[0] != "GET" && first[0] != "HEAD" || first[2] != "HTTP/1.0" && first[2] != "HTTP/1.1" {
		return 0, nil
	}
	line := strings.Join(first, " ")
	crude := line != strings.TrimSuffix(lines[0], "\r")
	out := append(make([]byte, 0, size+16), line...)
	host, hosts := "", 0
	for _, line := range lines[1:] {
		line = strings.TrimSuffix(line, "\r")
		written, value, ok := strings.Cut(line, ":")
		name := strings.TrimRight(written, " \t")
		value = strings.Trim(value, " \t")
		switch {
		case strings.ContainsAny(line, "\r\x00"), strings.HasPrefix(line, " "), strings.HasPrefix(line, "\t"):
			return 0, nil
		case !ok || !isToken(name) || !isText(value):
			if mayFrame(written) {
				return 0, nil
			}
			crude = true
			continue
		case mayFrame(name):
			return 0, nil
		case textproto.CanonicalMIMEHeaderKey(name) == "Host":
			if !isHost(value) {
				value, crude = "", true
			}
			if hosts++; hosts > 1 {
				if value != host {
					return 0, nil
				}
				crude = true
				continue
			}
			host = value
		}
		crude = crude || name != written
		out = append(out, "\r\n"...)
		out = append(out, name...)
		out = append(out, ": "...)
		out = append(out, value...)
	}
	if hosts == 0 && first[2] == "HTTP/1.1" {
		out, crude = append(out, "\r\nHost: "...), true
	}
	if !crude {
		return 0, nil
	}
	return size, append(out, "\r\n\r\n"...)
}

// headLength returns the length of the head at the beginning of b, including its empty
// line; 0: it is not complete. Lines end in LF, with or without CR.
func headLength(b []byte) int {
	for i := 0; ; {
		n := bytes.IndexByte(b[i:], '\n')
		if n < 0 {
			return 0
		}
		if line := bytes.TrimSuffix(b[i:i+n], []byte("\r")); len(line) == 0 && i > 0 {
			return i + n + 1
		}
		i += n + 1
	}
}

// mayFrame reports whether a header could determine where a message ends or switch to
// another protocol, however its name is disguised.
func mayFrame(name string) bool {
	name = strings.ToLower(name)
	for _, word := range []string{"content-", "transfer-", "length", "encoding", "trailer", "upgrade", "expect"} {
		if strings.Contains(name, word) && name != "accept-encoding" {
			return true
		}
	}
	return false
}
