package quick

import (
	"bytes"
	"net/textproto"
	"strings"
)

// mend rewrites a crude request so that net/http takes it, for radios whose makers tried
// them at Icecast only. It returns the request's length in b and what stands for it; nil:
// there is nothing to mend, or it is not for us to mend it.
//
// Mended are, as in Icecast 2.4: blanks in excess on the first line and before a colon,
// HTTP/1.1 without Host, one Host said twice, a Host that is none, and header lines that
// are none, such as "Ultravox transport type: TCP", which are left out. None of that
// leaves a doubt where the request ends. Where it could, nothing is mended: with another
// method than GET or HEAD, with any word of a body, with two Hosts that differ, and with
// lines that go on another one.
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

// headLength is how long the head at the beginning of b is, with its empty line; 0: it is
// not complete. Lines end in LF, with or without CR.
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

// mayFrame says whether a header could tell where a message ends, or another protocol,
// however its name is disguised.
func mayFrame(name string) bool {
	name = strings.ToLower(name)
	for _, word := range []string{"content-", "transfer-", "length", "encoding", "trailer", "upgrade", "expect"} {
		if strings.Contains(name, word) && name != "accept-encoding" {
			return true
		}
	}
	return false
}
