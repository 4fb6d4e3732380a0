package service

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web"
)

func someRecord() *web.Record {
	return &web.Record{
		Time: time.Date(2026, 3, 1, 12, 0, 0, 5e6, time.UTC), Duration: 87 * time.Microsecond,
		Method: "GET", Path: "/live.mp3", Mount: "/live.mp3", Status: 302,
		Answer: web.Redirect, Outcome: director.Spilled, Decided: true, Node: "fra1", Region: "germany", Step: "first",
		Country: director.Code{'D', 'E'}, Client: netip.MustParsePrefix("192.0.2.0/24"), Listener: 0xfeed,
		UserAgent: "VLC/3.0.24 LibVLC/3.0.24", HTTPS: true,
	}
}

func TestRecord(t *testing.T) {
	t.Parallel()
	carried := someRecord()
	carried.Answer, carried.Bytes, carried.End = web.Proxy, 1234, "listener_left"
	hostile := &web.Record{Path: "/\x00\"\\\n\xff\u2028日本" + strings.Repeat("x", 2000), UserAgent: strings.Repeat("é", 400), Fault: "no such mount"}
	for _, tc := range []struct {
		name string
		r    *web.Record
		want map[string]any
	}{
		{"redirect", someRecord(), map[string]any{
			"time": "2026-03-01T12:00:00.005Z", "us": 87.0, "status": 302.0, "method": "GET", "path": "/live.mp3",
			"answer": "redirect", "outcome": "spilled", "node": "fra1", "region": "germany", "step": "first",
			"country": "DE", "client": "192.0.2.0/24", "listener": "000000000000feed",
			"user_agent": "VLC/3.0.24 LibVLC/3.0.24", "https": true, "mount": nil, "bytes": nil,
		}},
		{"carried", carried, map[string]any{"bytes": 1234.0, "end": "listener_left"}},
		{"hostile", hostile, map[string]any{"fault": "no such mount", "outcome": nil, "client": nil, "country": nil}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			line := appendRecord(nil, tc.r)
			if n := bytes.Count(line, []byte("\n")); n != 1 || line[len(line)-1] != '\n' {
				t.Errorf("%d line ends, want one at the end: %q", n, line)
			}
			var got map[string]any
			if err := json.Unmarshal(line, &got); err != nil {
				t.Fatalf("%v in %s", err, line)
			}
			for key, want := range tc.want {
				if got[key] != want {
					t.Errorf("%s is %v, want %v", key, got[key], want)
				}
			}
		})
	}
}

func FuzzJSONString(f *testing.F) {
	for _, s := range []string{"", "a", "\"\\", "\x00\x1f\x7f", "\xff\xfe", "日本\u2028", strings.Repeat("é", 300)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var got string
		if err := json.Unmarshal(appendJSONString(nil, s), &got); err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		if want := string([]rune(s)); len(s) <= maxTextBytes && got != want {
			t.Errorf("%q became %q, want %q", s, got, want)
		}
	})
}

// goneReader is a pipe whose reader goes and comes back.
type goneReader struct{ gone bool }

func (r *goneReader) Write(b []byte) (int, error) {
	if r.gone {
		return 0, syscall.EPIPE
	}
	return len(b), nil
}

// Whoever reads the log hears once that records are lost, and later how many were.
func TestRecordsWithoutAReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		reader := &goneReader{gone: true}
		l := newRecordLog(reader, slog.New(slog.NewTextHandler(&said, nil)))
		d := &Service{records: l}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- l.Run(ctx) }()
		add := func() { l.add(someRecord()); time.Sleep(time.Second); synctest.Wait() } // virtual
		add()
		add()
		if text := outputTrouble("request records", d.records.writer()); !strings.Contains(text, "request records cannot be written: broken pipe; 2 were dropped") {
			t.Errorf("trouble: %q", text)
		}
		reader.gone = false
		add()
		stop()
		<-ended
		if text := outputTrouble("request records", d.records.writer()); text != "" || l.Dropped() != 2 {
			t.Errorf("back: %q, %d dropped", text, l.Dropped())
		}
		if text := said.String(); strings.Count(text, "level=") != 2 || !strings.Contains(text, "broken pipe") || !strings.Contains(text, "records=2") {
			t.Errorf("said:\n%s", text)
		}
	})
}

func BenchmarkRecord(b *testing.B) {
	r := someRecord()
	b.Run("own", func(b *testing.B) {
		b.ReportAllocs()
		l := newRecordLog(io.Discard, slog.New(slog.DiscardHandler))
		go func() { _ = l.Run(b.Context()) }()
		for b.Loop() {
			l.add(r)
		}
	})
	b.Run("slog", func(b *testing.B) {
		b.ReportAllocs()
		log := slog.New(slog.NewJSONHandler(io.Discard, nil)) //nolint:sloglint // what it costs is measured
		for b.Loop() {
			log.LogAttrs(b.Context(), slog.LevelInfo, "request",
				slog.Duration("took", r.Duration), slog.Int("status", r.Status), slog.String("method", r.Method),
				slog.String("path", r.Path), slog.String("answer", r.Answer.String()), slog.String("outcome", r.Outcome.String()),
				slog.String("node", string(r.Node)), slog.String("region", string(r.Region)), slog.String("step", r.Step),
				slog.String("country", r.Country.String()), slog.String("client", r.Client.String()),
				slog.Uint64("listener", r.Listener), slog.String("user_agent", r.UserAgent), slog.Bool("https", r.HTTPS))
		}
	})
}
