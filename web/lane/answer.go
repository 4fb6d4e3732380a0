package lane

import (
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"
)

// answer is the ResponseWriter. It collects what the handler writes, which is sent after
// the handler has returned.
type answer struct {
	header http.Header
	status int // 0: not set yet
	body   []byte
	passed bool
	note   any

	names []string  // header names, sorted while they are written
	now   time.Time // for the Date header
	date  dateLine
}

func (a *answer) begin() {
	clear(a.header)
	a.status, a.body, a.passed, a.note = 0, a.body[:0], false, nil
}

// Header implements [http.ResponseWriter].
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements [http.ResponseWriter]. It ignores informational statuses.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= 200 {
		a.status = status
	}
}

// Write implements [http.ResponseWriter].
func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	if !hasBody(a.status) {
		return 0, http.ErrBodyNotAllowed
	}
	a.body = append(a.body, b...)
	return len(b), nil
}

// PassOn implements [Passer].
func (a *answer) PassOn(note any) { a.passed, a.note = true, note }

func hasBody(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}

// appendTo appends the answer to b, and says whether the connection ends with it.
func (a *answer) appendTo(b []byte, r *http.Request, last bool) (out []byte, ends bool) {
	a.WriteHeader(http.StatusOK)
	h := a.header
	ends = last || r.Close || isClose(h["Connection"])
	b = append(b, r.Proto...)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(a.status), 10)
	b = append(b, ' ')
	b = append(b, statusText(a.status)...)
	b = append(b, "\r\n"...)
	a.names = a.names[:0]
	for name := range h {
		a.names = append(a.names, name)
	}
	slices.Sort(a.names)
	for _, name := range a.names {
		for _, v := range h[name] {
			b = appendHeader(b, name, v)
		}
	}
	b = a.finishHeaders(b, r, ends)
	b = append(b, "\r\n"...)
	return append(b, a.body...), ends
}

// finishHeaders appends the headers that a handler may leave to the server.
func (a *answer) finishHeaders(b []byte, r *http.Request, ends bool) []byte {
	h := a.header
	if len(h["Date"]) == 0 {
		b = append(b, a.date.at(a.now)...)
	}
	if hasBody(a.status) {
		if len(h["Content-Length"]) == 0 {
			b = append(b, "Content-Length: "...)
			b = strconv.AppendInt(b, int64(len(a.body)), 10)
			b = append(b, "\r\n"...)
		}
		if len(h["Content-Type"]) == 0 && len(a.body) > 0 {
			b = appendHeader(b, "Content-Type", http.DetectContentType(a.body))
		}
	}
	if ends && r.ProtoMinor == 1 && !isClose(h["Connection"]) {
		b = append(b, "Connection: close\r\n"...)
	}
	return b
}

func isClose(connection []string) bool { return len(connection) > 0 && connection[0] == "close" }

func statusText(code int) string {
	if text := http.StatusText(code); text != "" {
		return text
	}
	return "status code " + strconv.Itoa(code)
}

var oneLine = strings.NewReplacer("\n", " ", "\r", " ")

func appendHeader(b []byte, name, value string) []byte {
	if strings.IndexByte(value, '\n') >= 0 || strings.IndexByte(value, '\r') >= 0 {
		value = oneLine.Replace(value)
	}
	b = append(b, name...)
	b = append(b, ": "...)
	b = append(b, textproto.TrimString(value)...)
	return append(b, "\r\n"...)
}

// dateLine is a Date header. It is rebuilt once a second at most.
type dateLine struct {
	second int64
	line   []byte
}

func (d *dateLine) at(now time.Time) []byte {
	if s := now.Unix(); s != d.second || d.line == nil {
		d.second = s
		d.line = now.UTC().AppendFormat(append(d.line[:0], "Date: "...), http.TimeFormat)
		d.line = append(d.line, "\r\n"...)
	}
	return d.line
}
