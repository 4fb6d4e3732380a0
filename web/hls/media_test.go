package hls

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// sample returns a file that a real packager wrote.
func sample(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestMediaOfPackagers: what ffmpeg and Liquidsoap write is understood.
func TestMediaOfPackagers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name           string
		sequence, next int64
		end            bool
		last, init     string
		length         time.Duration
		time           string
	}{
		{"ffmpeg-5.1.9-fmp4-ended.m3u8", 2, 5, true, "live4.m4s", "init.mp4", 1012336 * time.Microsecond, "0001-01-01T00:00:00Z"},
		{"ffmpeg-5.1.9-ts-ended.m3u8", 2, 5, true, "live4.ts", "", 1012433 * time.Microsecond, "2026-11-30T11:41:14.939Z"},
		{"liquidsoap-2.1.3-mp3.m3u8", 0, 2, false, "mp3_2.mp3", "", 2040 * time.Millisecond, "0001-01-01T00:00:00Z"},
		{"liquidsoap-2.1.3-fmp4.m3u8", 0, 2, false, "aac_hifi_2.m4s", "aac_hifi_0.m4s", 2040 * time.Millisecond, "0001-01-01T00:00:00Z"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m, err := ParseMedia(sample(t, c.name), at(t, "http://n1.test/hls/live.m3u8"))
			if err != nil {
				t.Fatal(err)
			}
			if m.Target != 2*time.Second || m.Sequence != c.sequence || m.Next() != c.next || m.End != c.end || len(m.Warnings) > 0 {
				t.Errorf("%+v", m)
			}
			if c.init != "" {
				c.init = "http://n1.test/hls/" + c.init
			}
			last := m.Last()
			if last == nil || last.URI != "http://n1.test/hls/"+c.last || last.Init != c.init || last.Duration != c.length || last.Time.UTC().Format(time.RFC3339Nano) != c.time {
				t.Errorf("last: %+v", last)
			}
		})
	}
}

// lowLatency has what low-latency HLS adds (4.4.3.7, 4.4.3.8, 4.4.4.9, 4.4.5.2, 4.4.5.3).
const lowLatency = `#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:4
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=24,PART-HOLD-BACK=1.002,HOLD-BACK=12
#EXT-X-PART-INF:PART-TARGET=0.334
#EXT-X-MEDIA-SEQUENCE:100
#EXT-X-DISCONTINUITY-SEQUENCE:7
#EXT-X-SKIP:SKIPPED-SEGMENTS=3
#EXT-X-KEY:METHOD=AES-128,URI="https://keys.test/k"
#EXT-X-MAP:URI="init.mp4",BYTERANGE="720@0"
#EXTINF:4,
a.mp4
#EXT-X-DISCONTINUITY
#EXT-X-KEY:METHOD=NONE
#EXT-X-BYTERANGE:1000@720
#EXTINF:4.0,a title, with a comma
all.mp4
#EXT-X-BYTERANGE:500
#EXTINF:4.00000,
all.mp4
#EXT-X-PART:DURATION=0.334,URI="p.0.mp4",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.334,URI="p.1.mp4",BYTERANGE="100@0"
#EXT-X-GAP
#EXTINF:4,
p.mp4
#EXT-X-PART:DURATION=0.334,URI="q.0.mp4",GAP=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="q.1.mp4"
#EXT-X-RENDITION-REPORT:URI="../b.m3u8",LAST-MSN=106,LAST-PART=0
#EXT-X-DATERANGE:ID="x"
#EXT-X-NOT-KNOWN
`

func TestMediaLowLatency(t *testing.T) {
	t.Parallel()
	m, err := ParseMedia([]byte(lowLatency), at(t, "https://n1.test/a/b.m3u8?_HLS_skip=YES"))
	if err != nil {
		t.Fatal(err)
	}
	const dir = "https://n1.test/a/"
	want := &Media{
		Target: 4 * time.Second, Sequence: 100, Rounds: 7, Skipped: 3, PartTarget: 334 * time.Millisecond, CanBlockReload: true,
		HoldBack: 12 * time.Second, PartHoldBack: 1002 * time.Millisecond, Hint: dir + "q.1.mp4",
		Segments: []Segment{
			{URI: dir + "a.mp4", Sequence: 103, Duration: 4 * time.Second, Key: "AES-128", Init: dir + "init.mp4"},
			{URI: dir + "all.mp4", Sequence: 104, Duration: 4 * time.Second, Init: dir + "init.mp4", Discontinuity: true, Range: Range{720, 1000}},
			{URI: dir + "all.mp4", Sequence: 105, Duration: 4 * time.Second, Init: dir + "init.mp4", Range: Range{1720, 500}},
			{URI: dir + "p.mp4", Sequence: 106, Duration: 4 * time.Second, Init: dir + "init.mp4", Gap: true},
		},
		Parts: []Part{{URI: dir + "q.0.mp4", Duration: 334 * time.Millisecond, Gap: true}},
	}
	if diff := cmp.Diff(want, m, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
	if m.Next() != 107 || m.Last().Sequence != 105 {
		t.Errorf("next %d, last %d", m.Next(), m.Last().Sequence)
	}
}

func TestMediaRefused(t *testing.T) {
	t.Parallel()
	head := "#EXTM3U\n#EXT-X-TARGETDURATION:2\n"
	for _, c := range []struct {
		name, text string
		line       int
		why        string
	}{
		{"HTML", "<html>", 1, "HTML"},
		{"multivariant", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nx\n", 2, "multivariant"},
		{"no target duration", "#EXTM3U\n#EXTINF:2,\nx\n", 0, "EXT-X-TARGETDURATION"},
		{"a target duration of nothing", "#EXTM3U\n#EXT-X-TARGETDURATION:0\n", 2, "no duration"},
		{"a target duration of words", "#EXTM3U\n#EXT-X-TARGETDURATION:NaN\n", 2, "no duration"},
		{"no EXTINF", head + "x.ts\n", 3, "no EXTINF"},
		{"no URI", head + "#EXTINF:2,\n", 3, "no URI"},
		{"no duration", head + "#EXTINF:,\nx\n", 3, "no number of seconds"},
		{"an endless duration", head + "#EXTINF:Inf,\nx\n", 3, "no number of seconds"},
		{"itself", head + "#EXTINF:2,\nlive.m3u8\n", 4, "itself"},
		{"a file", head + "#EXTINF:2,\nfile:///x\n", 4, "http or https only"},
		{"a sequence below 0", head + "#EXT-X-MEDIA-SEQUENCE:-1\n", 3, "no number"},
		{"a sequence too large", head + "#EXT-X-MEDIA-SEQUENCE:9223372036854775807\n", 0, "too large"},
		{"a range", head + "#EXT-X-BYTERANGE:9223372036854775807@9223372036854775807\n", 3, "no range"},
		{"a part", head + "#EXT-X-PART:DURATION=x,URI=\"p\"\n", 3, "DURATION"},
		{"a part without a URI", head + "#EXT-X-PART:DURATION=1\n", 3, "empty URI"},
		{"skipped", head + "#EXT-X-SKIP:SKIPPED-SEGMENTS=-1\n", 3, "no number"},
		{"skipped too many", head + "#EXT-X-SKIP:SKIPPED-SEGMENTS=9999999\n", 3, "more than 100000"},
		{"an open quotation mark", head + "#EXT-X-KEY:METHOD=AES-128,URI=\"x\n", 3, "not closed"},
		{"too many segments", head + strings.Repeat("#EXTINF:1,\na\n", 100_001), 200_004, "more than 100000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseMedia([]byte(c.text), at(t, "https://n1.test/live.m3u8"))
			var e *Error
			if !errors.As(err, &e) || e.Line != c.line || !strings.Contains(e.Reason, c.why) {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestMediaImports: a variable of the multivariant playlist is not known here, and may stand in
// a URI all the same.
func TestMediaImports(t *testing.T) {
	t.Parallel()
	m, err := ParseMedia([]byte("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-DEFINE:IMPORT=\"t\"\n#EXTINF:2,\nx.ts?{$t}\n"), at(t, "https://n1.test/live.m3u8"))
	if err != nil || m.Last().URI != "https://n1.test/x.ts?{$t}" {
		t.Errorf("%+v, %v", m, err)
	}
}

func FuzzMedia(f *testing.F) {
	f.Add([]byte(lowLatency))
	for _, name := range []string{"ffmpeg-5.1.9-fmp4-ended.m3u8", "ffmpeg-5.1.9-ts-ended.m3u8", "liquidsoap-2.1.3-mp3.m3u8"} {
		f.Add(sample(f, name))
	}
	here := at(f, "https://n1.test/live.m3u8")
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := ParseMedia(text, here)
		if err != nil {
			return
		}
		if m.Target <= 0 || m.Next() < m.Sequence {
			t.Fatalf("%+v", m)
		}
		for _, s := range m.Segments {
			if !strings.HasPrefix(s.URI, "http://") && !strings.HasPrefix(s.URI, "https://") || s.Range.Offset < 0 || s.Range.Length < 0 || s.Duration < 0 {
				t.Fatalf("%+v", s)
			}
		}
	})
}
