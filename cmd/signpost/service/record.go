package service

import (
	"io"
	"log/slog"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/signpost-fm/signpost/cmd/signpost/output"
	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web"
)

// A recordLog writes one line of JSON for each request. Encoding by hand costs a
// sixth of what slog's JSON handler does (0.4 us against 2.6) and allocates
// nothing. It is safe for concurrent use.
type recordLog struct{ *output.Writer }

// newRecordLog returns one that writes to out. What becomes of that goes to log.
func newRecordLog(out io.Writer, log *slog.Logger) *recordLog {
	l := &recordLog{output.New(out)}
	l.News = func(err error, dropped uint64) {
		switch {
		case err != nil:
			log.Error("request records cannot be written and are dropped; it is tried again with the next", "err", err)
		case dropped > 0:
			log.Warn("request records are written again; some were dropped, for their reader was too slow, full or gone", "records", dropped)
		}
	}
	return l
}

// writer returns what l writes through; nil: there is no l.
func (l *recordLog) writer() *output.Writer {
	if l == nil {
		return nil
	}
	return l.Writer
}

// add adds a record. It does not block, and does not keep r.
func (l *recordLog) add(r *web.Record) {
	l.Append(func(b []byte) []byte { return appendRecord(b, r) })
}

// appendTime appends t in milliseconds. Package time formats only RFC 3339 without
// parsing a layout, and that with all digits of the fraction or none.
func appendTime(b []byte, t time.Time) []byte {
	t = t.UTC()
	b = t.AppendFormat(b, time.RFC3339)
	ms := t.Nanosecond() / 1e6
	return append(b[:len(b)-1], '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10), 'Z')
}

// appendRecord appends r as a line of JSON, without its empty fields.
func appendRecord(b []byte, r *web.Record) []byte {
	b = append(b, `{"time":"`...)
	b = appendTime(b, r.Time)
	b = append(b, `","us":`...)
	b = strconv.AppendInt(b, r.Duration.Microseconds(), 10)
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(r.Status), 10)
	b = appendText(b, `,"method":`, r.Method)
	b = appendText(b, `,"path":`, r.Path)
	b = appendText(b, `,"answer":`, r.Answer.String())
	if r.Decided {
		b = appendText(b, `,"outcome":`, r.Outcome.String())
	}
	b = appendText(b, `,"fault":`, r.Fault)
	if r.Mount != r.Path {
		b = appendText(b, `,"mount":`, r.Mount)
	}
	b = appendText(b, `,"node":`, string(r.Node))
	b = appendText(b, `,"region":`, string(r.Region))
	b = appendText(b, `,"rule":`, r.Rule)
	b = appendText(b, `,"step":`, r.Step)
	b = appendCountry(b, r.Country)
	if r.Client.IsValid() {
		b = append(b, `,"client":"`...)
		b = r.Client.AppendTo(b)
		b = append(b, `","listener":"`...)
		b = appendHex(b, r.Listener)
		b = append(b, '"')
	}
	b = appendText(b, `,"user_agent":`, r.UserAgent)
	if r.HTTPS {
		b = append(b, `,"https":true`...)
	}
	if r.End != "" {
		b = append(b, `,"bytes":`...)
		b = strconv.AppendInt(b, r.Bytes, 10)
		b = appendText(b, `,"end":`, r.End)
	}
	return append(b, '}', '\n')
}

const hexDigits = "0123456789abcdef"

func appendHex(b []byte, v uint64) []byte {
	for shift := 60; shift >= 0; shift -= 4 {
		b = append(b, hexDigits[v>>shift&15])
	}
	return b
}

// maxTextBytes bounds a header or path in a line.
const maxTextBytes = 512

// appendText appends a key and its value, if there is one. key has its punctuation.
func appendText(b []byte, key, value string) []byte {
	if value == "" {
		return b
	}
	return appendJSONString(append(b, key...), value)
}

func appendCountry(b []byte, c director.Code) []byte {
	if c == (director.Code{}) {
		return b
	}
	b = append(b, `,"country":"`...)
	return append(append(b, c[:]...), '"')
}

// appendJSONString appends s as a JSON string, cut to maxTextBytes. Bytes that are not
// UTF-8 become U+FFFD.
func appendJSONString(b []byte, s string) []byte {
	if len(s) > maxTextBytes {
		s = s[:maxTextBytes]
	}
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' && c != 0x7f {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				b = append(b, s[start:i]...)
				b = append(b, "\ufffd"...)
				start = i + 1
			}
			i += size
			continue
		}
		b = append(b, s[start:i]...)
		if c == '"' || c == '\\' {
			b = append(b, '\\', c)
		} else {
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		start = i
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}
