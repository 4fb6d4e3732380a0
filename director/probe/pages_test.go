package probe

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/signpost-fm/signpost/director"
)

// labMounts are the mounts of the recordings named "many", as /admin/stats
// lists them. Public pages leave the hidden one out.
var labMounts = []director.MountReport{
	{Path: "/auth.mp3", Type: "audio/mpeg", Name: "Radio /auth.mp3"},
	{Path: "/fallback.mp3", Type: "audio/mpeg", Name: "Radio /fallback.mp3"},
	{Path: "/hidden.mp3", Type: "audio/mpeg", Name: "Radio /hidden.mp3"},
	{Path: "/limfb.mp3", Type: "audio/mpeg", Name: "Radio /limfb.mp3", Limit: 1},
	{Path: "/limited.mp3", Type: "audio/mpeg", Name: "Radio /limited.mp3", Limit: 1},
	{Path: "/live.mp3", Type: "audio/mpeg", Name: "Radio /live.mp3"},
	{Path: "/live.opus", Type: "application/ogg", Name: "Radio /live.opus"},
}

// notStarted leaves aside what differs from recording to recording;
// TestPeakAndStart looks at it.
var notStarted = cmpopts.IgnoreFields(director.MountReport{}, "Started")

func publicMounts() (out []director.MountReport) {
	for _, m := range labMounts {
		if m.Path != "/hidden.mp3" {
			m.Limit = 0 // not told
			out = append(out, m)
		}
	}
	return out
}

func TestParseStats(t *testing.T) {
	t.Parallel()
	live := []director.MountReport{{Path: "/live.mp3", Type: "audio/mpeg", Name: "Radio /live.mp3"}}
	fallback := []director.MountReport{
		{Path: "/dü %.mp3", Type: "audio/mpeg", Name: "Unspecified name"},
		{Path: "/fb.mp3", Type: "audio/mpeg", Name: "Unspecified name"},
		{Path: "/live.mp3"}, // whose source is dead
	}
	cases := map[string]struct {
		server string
		kbit   float64
		mounts []director.MountReport
	}{
		"icecast-2.4.4-nosource.xml": {server: "Icecast 2.4.4", mounts: []director.MountReport{}},
		"icecast-2.4.4-one.xml":      {server: "Icecast 2.4.4", mounts: live},
		"icecast-2.4.4-many.xml":     {server: "Icecast 2.4.4", mounts: labMounts},
		"icecast-2.4.4-fallback.xml": {server: "Icecast 2.4.4", mounts: fallback},
		"icecast-2.5.0-nosource.xml": {server: "Icecast 2.5.0", mounts: []director.MountReport{}},
		"icecast-2.5.0-one.xml":      {server: "Icecast 2.5.0", mounts: live},
		"icecast-2.5.0-many.xml":     {server: "Icecast 2.5.0", mounts: labMounts},
		"icecast-kh-nosource.xml":    {server: "Icecast 2.4.0-kh22", mounts: []director.MountReport{}},
		"icecast-kh-one.xml":         {server: "Icecast 2.4.0-kh22", mounts: live},
		"icecast-kh-many.xml":        {server: "Icecast 2.4.0-kh22", mounts: labMounts, kbit: 11},
		"icecast-kh-badutf8.xml":     {server: "Icecast 2.4.0-kh22", mounts: live},
	}
	everySample(t, "stats", func(t *testing.T, name string, page []byte) {
		want, ok := cases[name]
		if !ok {
			t.Fatal("no expectation for this recording")
		}
		s, err := parseStats(page)
		if err != nil {
			t.Fatal(err)
		}
		a := s.answer(statsPath)
		if a.server != want.server || a.kbit != want.kbit || a.listeners != 0 || a.limit != 0 {
			t.Errorf("server %q, %v kbit/s, %d listeners, limit %d", a.server, a.kbit, a.listeners, a.limit)
		}
		if d := cmp.Diff(want.mounts, a.mounts, notStarted); d != "" {
			t.Error(d)
		}
	})
}

func TestParseStatus(t *testing.T) {
	t.Parallel()
	live := director.MountReport{Path: "/live.mp3", Type: "audio/mpeg", Name: "Radio /live.mp3"}
	titled := func(title string) []director.MountReport {
		return []director.MountReport{{Path: "/fallback.mp3", Type: "audio/mpeg", Name: "Radio /fallback.mp3", Title: title}}
	}
	cases := map[string][]director.MountReport{
		"icecast-2.4.4-nosource.json": {},
		"icecast-2.4.4-one.json":      {live},
		"icecast-2.4.4-many.json":     publicMounts(),
		"icecast-2.4.4-fallback.json": {
			{Path: "/dü %.mp3", Type: "audio/mpeg", Name: "Unspecified name"},
			{Path: "/fb.mp3", Type: "audio/mpeg", Name: "Unspecified name"},
			{Path: "/live.mp3"},
		},
		"icecast-2.4.4-artist-title.json": titled("Artist - Title"),
		"icecast-2.4.4-bigexp.json":       titled("1e999"),
		"icecast-2.4.4-ctrl01.json":       titled("a b"),
		"icecast-2.4.4-dash.json":         titled("-"),
		"icecast-2.4.4-dotfive.json":      titled(".5"),
		"icecast-2.4.4-fivedot.json":      titled("5."),
		"icecast-2.4.4-int.json":          titled("99"),
		"icecast-2.4.4-newline.json":      titled("a b"),
		"icecast-2.4.4-true.json":         titled("true"),
		"icecast-2.4.4-unicode.json":      titled("Björk – 日本 🎵"),
		"icecast-2.5.0-ctrl01.json":       titled("a b"),
		"icecast-2.5.0-nosource.json":     {},
		"icecast-2.5.0-one.json":          {live},
		"icecast-2.5.0-many.json":         publicMounts(),
	}
	everySample(t, "status", func(t *testing.T, name string, page []byte) {
		want, ok := cases[name]
		if !ok {
			t.Fatal("no expectation for this recording")
		}
		s, err := parseStatus(page)
		if err != nil {
			t.Fatal(err)
		}
		a := s.answer(statusPath)
		if !strings.HasPrefix(a.server, "Icecast 2.") || a.listeners != 0 {
			t.Errorf("server %q, %d listeners", a.server, a.listeners)
		}
		if d := cmp.Diff(want, a.mounts, notStarted); d != "" {
			t.Error(d)
		}
	})
}

// statsPage and statusPage are pages with one source and the given fields.
func statsPage(fields string) []byte {
	return []byte(`<?xml version="1.0"?><icestats><server_id>X</server_id><listeners>7</listeners>` +
		`<source mount="/a"><server_type>audio/mpeg</server_type>` + fields + `</source></icestats>`)
}

func statusPage(fields string) []byte {
	return []byte(`{"icestats":{"server_id":"X","source":{"listenurl":"http://h:8000/a","server_type":"audio/mpeg",` +
		fields + `,"dummy":null}}}`)
}

func TestNumbersThatCannotBeTrue(t *testing.T) {
	t.Parallel()
	cases := []struct {
		text             string
		listeners, limit int
	}{
		{"0", 0, 0},
		{"12", 12, 12},
		{"10000000", 10000000, 10000000},
		{"10000001", 7, 0}, // the server's own sum instead
		{"1844674407370955161", 7, 0},
		{"18446744073709551615", 7, 0},
		{"-1", 7, 0},
		{"unlimited", 7, 0},
		{"1.5", 7, 0},
		{"", 7, 0},
	}
	for _, c := range cases {
		s, err := parseStats(statsPage("<listeners>" + c.text + "</listeners><max_listeners> " + c.text + "\n</max_listeners>"))
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		a := s.answer(statsPath)
		if a.listeners != c.listeners || a.limit != c.limit {
			t.Errorf("%q: %d listeners, limit %d; want %d, %d", c.text, a.listeners, a.limit, c.listeners, c.limit)
		}
	}
	s, err := parseStatus(statusPage(`"listeners":18446744073709551615`))
	if err != nil || s.answer(statusPath).listeners != -1 {
		t.Errorf("a wrapped counter on the public page: %+v, %v", s, err)
	}
	s, err = parseStats([]byte(`<icestats><outgoing_kbitrate>-5</outgoing_kbitrate></icestats>`))
	if err != nil || s.kbit != 0 {
		t.Errorf("a negative bitrate: %v, %v", s.kbit, err)
	}
}

func TestPeakAndStart(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 11, 22, 4, 47, 40, 0, time.UTC)
	for _, c := range []struct {
		peak, start string
		wantPeak    int
		wantStart   time.Time
	}{
		{"31", "2026-11-22T06:47:40+0200", 31, start},
		{"18446744073709551615", "2026-11-22", 0, time.Time{}},
		{"-1", "", 0, time.Time{}},
	} {
		xml, err := parseStats(statsPage("<listener_peak>" + c.peak + "</listener_peak><stream_start_iso8601>" + c.start + "</stream_start_iso8601>"))
		if err != nil {
			t.Fatal(err)
		}
		json, err := parseStatus(statusPage(`"listener_peak":` + c.peak + `,"stream_start_iso8601":"` + c.start + `"`))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []statistics{xml, json} {
			if m := s.sources[0]; m.Peak != c.wantPeak || !m.Started.Equal(c.wantStart) {
				t.Errorf("peak %q, start %q: %d, %v", c.peak, c.start, m.Peak, m.Started)
			}
		}
	}
}

func TestTitles(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ü", 1000)
	cases := []struct{ name, xml, json, want string }{
		{"quotes", `a&quot;b&#39;&amp;&lt;`, `"a\"b'&<"`, `a"b'&<`},
		{"backslash", `a\b`, `"a\\b"`, `a\b`},
		{"escapes", "a\tb/", `"a\tb\/"`, "a b/"},
		{"surrogates", "&#127925;x", `"\ud83c\udf75x"`, "🍵x"},
		{"half a pair", "\xed\xa0\xbc", `"\ud83c"`, "\uFFFD"},
		{"references", "&amp;#8211; &amp;#1114112; &amp;#10;", `"&#8211; &#1114112; &#10;"`, "– &#1114112;"},
		{"not UTF-8", "caf\xe9", "\"caf\xe9\"", "caf\uFFFD"},
		{"control character", "a\x01b", "\"a\x01b\"", "a b"},
		{"null", "", "null", ""},
		{"minus", "-", "-", "-"},
		{"spaces", " - ", " - ", "-"},
		{"like a key", `"},{"listenurl":"http://x/forged"`, `"\"},{\"listenurl\":\"http://x/forged\""`, `"},{"listenurl":"http://x/forged"`},
		{"too long", long, `"` + long + `"`, long[:maxText]},
	}
	fixes := map[string]string{ // XML has no such character: it becomes U+FFFD
		"surrogates": "\U0001F3B5x", "control character": "a\uFFFDb", "half a pair": "\uFFFD\uFFFD\uFFFD",
	}
	for _, c := range cases {
		want := c.want
		if fix, ok := fixes[c.name]; ok {
			want = fix
		}
		s, err := parseStats(statsPage("<title>" + c.xml + "</title>"))
		if err != nil || len(s.sources) != 1 || s.sources[0].Title != want {
			t.Errorf("%s in XML: %+v, %v", c.name, s.sources, err)
		}
		s, err = parseStatus(statusPage(`"title":` + c.json))
		if err != nil || len(s.sources) != 1 || s.sources[0].Title != c.want {
			t.Errorf("%s in JSON: %+v, %v", c.name, s.sources, err)
		}
	}
	s, err := parseStats(statsPage(`<artist>A</artist><title>T</title><x>&#1;&#xFFFF;&#x1F;&bad;</x><playlist><trackList><track><title>old</title></track></trackList></playlist>`))
	if err != nil || s.sources[0].Title != "A - T" {
		t.Errorf("artist and title: %+v, %v", s.sources, err)
	}
}

func TestWhatIsAMount(t *testing.T) {
	t.Parallel()
	const url, plays = `"listenurl":"http://h/a",`, `"server_type":"audio/mpeg"`
	for fields, want := range map[string][3]int{ // listed, of them without a source, of them relays on demand
		url + plays:                                {1, 0, 0},
		url + `"stream_start":"now"`:               {1, 0, 0},
		url + `"on_demand":1`:                      {1, 1, 1}, // a relay that waits for its first listener
		url + `"on_demand":1,` + plays:             {1, 0, 0}, // which has come
		url + `"on_demand":0`:                      {1, 1, 0},
		url + `"listener_peak":0,"listeners":0`:    {1, 1, 1}, // before the first one of all
		url + `"listeners":3`:                      {1, 1, 0}, // its fallback plays, not it
		plays:                                      {},
		`"listenurl":"http://h",` + plays:          {},
		`"listenurl":"/a",` + plays:                {},
		`"listenurl":"http://h/a\u000ab",` + plays: {},
		`"listenurl":"http://h/` + strings.Repeat("a", 1100) + `",` + plays: {},
	} {
		s, err := parseStatus([]byte(`{"icestats":{"source":{` + fields + `}}}`))
		a := s.answer(statusPath)
		if got := [3]int{len(a.mounts), len(a.sourceless), len(a.onDemand)}; err != nil || got != want {
			t.Errorf("%s: %d mounts, %v; want %d", fields, got, err, want)
		}
	}
}

func TestNotStatistics(t *testing.T) {
	t.Parallel()
	many := func(item string) string { return strings.Repeat(item, maxMounts+1) }
	for name, c := range map[string]struct{ stats, status string }{
		"nothing":    {"", ""},
		"html":       {"<!DOCTYPE html><html><body>It works!</body></html>", "<!DOCTYPE html><html>"},
		"text":       {"hello", "Could not provide XSLT file"},
		"cut off":    {`<icestats><source mount="/a"><server_type>x</server_type></source>`, `{"icestats":{"source":{"listenurl":"http://h/a"`},
		"other root": {"<report><icestats/></report>", `{"stats":{}}`},
		"two roots":  {"<icestats></icestats><icestats></icestats>", `{"icestats":{}}{}`},
		"deep": {
			"<icestats>" + strings.Repeat("<a>", 40) + strings.Repeat("</a>", 40) + "</icestats>",
			`{"icestats":{"a":` + strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 42),
		},
		"deep lists":   {"</icestats>", `{"icestats":{"a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + "}}"},
		"many mounts":  {"<icestats>" + many(`<source mount="/a"><stream_start>x</stream_start></source>`) + "</icestats>", `{"icestats":{"source":[` + many(`{"listenurl":"http://h/a","stream_start":"x"},`) + `1]}}`},
		"half a quote": {`<icestats a="`, `{"icestats":{"a":"b\`},
		"no comma":     {"<icestats", `{"icestats":{"a":1 "b":2}}`},
		"no colon":     {"<", `{"icestats" {}}`},
		"no key":       {">", `{icestats:{}}`},
	} {
		if s, err := parseStats([]byte(c.stats)); err == nil {
			t.Errorf("%s: taken for statistics: %+v", name, s)
		}
		if s, err := parseStatus([]byte(c.status)); err == nil {
			t.Errorf("%s: taken for a status page: %+v", name, s)
		}
	}
}

func everySample(t *testing.T, dir string, check func(t *testing.T, name string, page []byte)) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", dir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings in testdata/%s: %v", dir, err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, name, sample(t, dir, name))
		})
	}
}

func sample(t testing.TB, dir, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func FuzzParseStats(f *testing.F) { fuzzPages(f, "stats", parseStats) }

func FuzzParseStatus(f *testing.F) { fuzzPages(f, "status", parseStatus) }

// fuzzPages checks that whatever comes out of a page can be reported.
func fuzzPages(f *testing.F, dir string, parse func([]byte) (statistics, error)) {
	files, _ := filepath.Glob(filepath.Join("testdata", dir, "*"))
	for _, file := range files {
		f.Add(sample(f, dir, filepath.Base(file)))
	}
	f.Add(statsPage("<title>&#1;]]></title>"))
	f.Add(statusPage(`"title":"\ud83c\udf75\u00`))
	f.Fuzz(func(t *testing.T, page []byte) {
		s, err := parse(page)
		if err != nil {
			if msg := err.Error(); len(msg) > 1000 || strings.ContainsAny(msg, "\r\n\x00") {
				t.Errorf("an error that nobody can read: %q", msg)
			}
			return
		}
		a := s.answer("/")
		if a.listeners < -1 || a.limit < 0 || a.kbit < 0 || len(a.server) > maxText+3 {
			t.Errorf("answer %+v", a)
		}
		for _, m := range a.mounts {
			if !isMount(m.Path) || m.Listeners < -1 || m.Listeners > maxCount || m.Limit < 0 {
				t.Errorf("mount %+v", m)
			}
			for _, text := range []string{m.Title, m.Name, m.Type} {
				if text != clip(text) {
					t.Errorf("text %q", text)
				}
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for dir, parse := range map[string]func([]byte) (statistics, error){"stats": parseStats, "status": parseStatus} {
		ext := map[string]string{"stats": "xml", "status": "json"}[dir]
		page := sample(b, dir, "icecast-2.4.4-many."+ext)
		b.Run(fmt.Sprintf("%s/%d_bytes", dir, len(page)), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := parse(page); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
