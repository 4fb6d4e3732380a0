package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// maxHead bounds a node's head, in bytes; Icecast's takes about 500. A single line is
// bounded by the reader's buffer.
const maxHead = 16 << 10

// head is the head of a node's answer. Unlike net/http's, it accepts SHOUTcast's
// "ICY 200 OK" and keeps field names as they were sent.
type head struct {
	proto  string // "HTTP/1.0", "HTTP/1.1", "ICY"
	code   int
	status string // code and phrase: "200 OK"
	fields []field
}

type field struct{ name, value string }

// get returns the first field of that name, in any case, or "".
func (h *head) get(name string) string {
	for _, f := range h.fields {
		if strings.EqualFold(f.name, name) {
			return f.value
		}
	}
	return ""
}

// all returns the fields of that name, in any case.
func (h *head) all(name string) (values []string) {
	for _, f := range h.fields {
		if strings.EqualFold(f.name, name) {
			values = append(values, f.value)
		}
	}
	return values
}

// readHead reads the head including its empty line. It ignores lines that are not fields,
// and fields with control characters: a node's odd line must neither keep its audio from
// listeners nor reach them.
func readHead(br *bufio.Reader) (head, error) {
	line, err := readLine(br)
	if err != nil {
		return head{}, err
	}
	h, err := parseStatus(string(line))
	if err != nil {
		return head{}, err
	}
	for size := len(line); ; {
		if line, err = readLine(br); err != nil {
			return head{}, err
		}
		if len(line) == 0 {
			return h, nil
		}
		if size += len(line) + len("\r\n"); size > maxHead {
			return head{}, fmt.Errorf("the head is longer than %d bytes", maxHead)
		}
		if f, ok := parseField(line); ok {
			h.fields = append(h.fields, f)
		}
	}
}

// readLine returns a line without its line end, which may be LF alone. The slice is valid
// until the next read.
func readLine(br *bufio.Reader) ([]byte, error) {
	line, err := br.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, fmt.Errorf("a line of the head is longer than %d bytes", br.Size())
	case errors.Is(err, io.EOF):
		return nil, io.ErrUnexpectedEOF
	case err != nil:
		return nil, err
	}
	return bytes.TrimSuffix(line[:len(line)-1], []byte{'\r'}), nil
}

func parseStatus(line string) (head, error) {
	proto, status, _ := strings.Cut(line, " ")
	status = strings.TrimSpace(status)
	digits, _, _ := strings.Cut(status, " ")
	code, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || code < 100 || code > 599 || proto != "ICY" && !strings.HasPrefix(proto, "HTTP/1.") {
		return head{}, fmt.Errorf("the answer begins with %.40q, which is neither HTTP/1 nor ICY", line)
	}
	return head{proto: proto, code: int(code), status: status}, nil
}

func parseField(line []byte) (field, bool) {
	name, value, ok := bytes.Cut(line, []byte{':'})
	value = bytes.Trim(value, " \t")
	if !ok || !isToken(name) || bytes.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return field{}, false
	}
	return field{string(name), string(value)}, true
}

// isToken reports whether b is a field name (RFC 9110, 5.6.2). Continuation lines are not,
// because they begin with a space.
func isToken(b []byte) bool {
	for _, c := range b {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return len(b) > 0
}
