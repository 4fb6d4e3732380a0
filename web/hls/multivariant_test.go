package hls

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func at(t testing.TB, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// nodes returns a playlist as read from nodes n1, n2, ... at hosts of the same name.
func nodes(t testing.TB, texts ...string) (out []Pathway) {
	t.Helper()
	for i, text := range texts {
		id := fmt.Sprintf("n%d", i+1)
		m, err := ParseMultivariant([]byte(text), at(t, "https://"+id+".test/live/master.m3u8"))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, Pathway{id, m})
	}
	return out
}

const server = "https://dir.test/live.m3u8.steer?s=abc"

// merged merges and returns the lines.
func merged(t testing.TB, p []Pathway) string {
	t.Helper()
	out, err := Merge(nil, p, server)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

const film = `#EXTM3U
#EXT-X-VERSION:7
#EXT-X-INDEPENDENT-SEGMENTS
## a comment
#EXT-X-SESSION-DATA:DATA-ID="com.test.lyrics",URI="lyrics.json"
#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI="skd://key1",KEYFORMAT="com.apple.streamingkeydelivery"
#EXT-X-UNKNOWN:URI="../elsewhere.bin",X=1
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac",NAME="Deutsch",LANGUAGE="de",DEFAULT=YES,URI="de/a.m3u8"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac",NAME="English",LANGUAGE="en",URI="/en/a.m3u8?t=a~b=/c"
#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID="cc",NAME="CC1",INSTREAM-ID="CC1"
#EXT-X-STREAM-INF:BANDWIDTH=1280000,AVERAGE-BANDWIDTH=1000000,CODECS="avc1.4d401f,mp4a.40.2",RESOLUTION=640x360,AUDIO="aac",CLOSED-CAPTIONS="cc"
low/v.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=128000,CODECS="mp4a.40.2",AUDIO="aac",CLOSED-CAPTIONS=NONE
../audio.m3u8
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=86000,CODECS="avc1.4d401f",URI="low/iframe.m3u8"
`

// TestMerge: each variant, rendition and I-frame variant is there once per pathway with
// absolute URIs and groups of its own, and the rest once.
func TestMerge(t *testing.T) {
	t.Parallel()
	p := nodes(t, film, film)
	p[0], p[1] = p[1], p[0] // n2 is the first choice
	want := `#EXTM3U
#EXT-X-VERSION:7
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-CONTENT-STEERING:SERVER-URI="https://dir.test/live.m3u8.steer?s=abc",PATHWAY-ID="n2"
#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI="skd://key1",KEYFORMAT="com.apple.streamingkeydelivery"
## a comment
#EXT-X-SESSION-DATA:DATA-ID="com.test.lyrics",URI="https://n2.test/live/lyrics.json"
#EXT-X-UNKNOWN:URI="https://n2.test/elsewhere.bin",X=1
`
	for _, n := range []string{"n2", "n1"} {
		want += strings.NewReplacer("%", n).Replace(`#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac@%",NAME="Deutsch",LANGUAGE="de",DEFAULT=YES,URI="https://%.test/live/de/a.m3u8"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac@%",NAME="English",LANGUAGE="en",URI="https://%.test/en/a.m3u8?t=a~b=/c"
#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID="cc@%",NAME="CC1",INSTREAM-ID="CC1"
#EXT-X-STREAM-INF:BANDWIDTH=1280000,AVERAGE-BANDWIDTH=1000000,CODECS="avc1.4d401f,mp4a.40.2",RESOLUTION=640x360,AUDIO="aac@%",CLOSED-CAPTIONS="cc@%",PATHWAY-ID="%"
https://%.test/live/low/v.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=128000,CODECS="mp4a.40.2",AUDIO="aac@%",CLOSED-CAPTIONS=NONE,PATHWAY-ID="%"
https://%.test/audio.m3u8
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=86000,CODECS="avc1.4d401f",URI="https://%.test/live/low/iframe.m3u8",PATHWAY-ID="%"
`)
	}
	if diff := cmp.Diff(want, merged(t, p)); diff != "" {
		t.Error(diff)
	}
}

const audio = `#EXTM3U
#EXT-X-STREAM-INF:BANDWIDTH=70400,CODECS="mp4a.40.2"
low.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=140800,CODECS="mp4a.40.2"
high.m3u8
`

// TestMergeSameWords: what nodes write differently of the same variants is the same in all
// pathways, each with its own URI.
func TestMergeSameWords(t *testing.T) {
	t.Parallel()
	other := `#EXTM3U
#EXT-X-STREAM-INF:CODECS="MP4A.40.2",BANDWIDTH=139999
best.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=71000,CODECS="mp4a.40.2"
worst.m3u8
`
	want := `#EXTM3U
#EXT-X-CONTENT-STEERING:SERVER-URI="https://dir.test/live.m3u8.steer?s=abc",PATHWAY-ID="n1"
#EXT-X-STREAM-INF:BANDWIDTH=70400,CODECS="mp4a.40.2",PATHWAY-ID="n1"
https://n1.test/live/low.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=140800,CODECS="mp4a.40.2",PATHWAY-ID="n1"
https://n1.test/live/high.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=70400,CODECS="mp4a.40.2",PATHWAY-ID="n2"
https://n2.test/live/worst.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=140800,CODECS="mp4a.40.2",PATHWAY-ID="n2"
https://n2.test/live/best.m3u8
`
	if diff := cmp.Diff(want, merged(t, nodes(t, audio, other))); diff != "" {
		t.Error(diff)
	}
}

// TestAgree: the larger group of nodes that offer the same goes on, whatever the order; the
// others are left out, with the reason and both names.
func TestAgree(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, other, why string }{
		{"fewer variants", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=70400,CODECS=\"mp4a.40.2\"\nlow.m3u8\n", "1 variants instead of 2"},
		{"another codec", strings.ReplaceAll(audio, "mp4a.40.2", "mp4a.40.5"), "does not offer STREAM-INF CODECS=mp4a.40.2"},
		{"another rate", strings.ReplaceAll(audio, "140800", "211200"), "of 211200 bit/s instead of 140800"},
		{"renditions", audio + "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"x\",URI=\"x.m3u8\"\n", "GROUP-ID=a NAME=x besides"},
		{"variables", strings.Replace(audio, "\n", "\n#EXT-X-DEFINE:NAME=\"a\",VALUE=\"b\"\n", 1), "EXT-X-DEFINE"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for odd := range 3 {
				texts := []string{audio, audio, audio}
				texts[odd] = c.other
				all := nodes(t, texts...)
				agreed, out := Agree(all)
				id := fmt.Sprintf("n%d", odd+1)
				if len(agreed) != 2 || len(out) != 1 || out[0].ID != id || !strings.Contains(out[0].Why, c.why) {
					t.Errorf("odd %s: %v, %v", id, agreed, out)
				}
				if _, err := Merge(nil, all, server); err == nil || !strings.Contains(err.Error(), "n1") || !strings.Contains(err.Error(), "unlike") {
					t.Errorf("Merge of all: %v", err)
				}
			}
		})
	}
	if agreed, odd := Agree(nil); len(agreed)+len(odd) != 0 {
		t.Errorf("of none: %v, %v", agreed, odd)
	}
}

// TestMultivariantRefused: what would harm players is refused with its line and a reason.
func TestMultivariantRefused(t *testing.T) {
	t.Parallel()
	variant := "#EXT-X-STREAM-INF:BANDWIDTH=1\n"
	for _, c := range []struct {
		name, text string
		line       int
		why        string
	}{
		{"empty", "", 0, "empty"},
		{"blank", "\r\n \n", 0, "empty"},
		{"HTML", "\n<!DOCTYPE html><html>", 1, "HTML"},
		{"no header", "#EXT-X-STREAM-INF:BANDWIDTH=1\nx\n", 1, "#EXTM3U"},
		{"an MPD", "<?xml version=\"1.0\"?><MPD/>", 1, "#EXTM3U"},
		{"audio", "ID3\x04\x00\x00", 1, "#EXTM3U"},
		{"control characters", "#EXTM3U\n#EXT-X-MEDIA:NAME=\"a\x00b\"\n", 2, "control character"},
		{"C1 controls", "#EXTM3U\n#\u0085x\n", 2, "control character"},
		{"media", "#EXTM3U\n\n#EXT-X-TARGETDURATION:2\n", 3, "media playlist"},
		{"no variant", "#EXTM3U\n#EXT-X-VERSION:3\n", 0, "no variant"},
		{"no URI", "#EXTM3U\n" + variant + variant + "x\n", 2, "no URI follows"},
		{"no URI at the end", "#EXTM3U\n" + variant, 2, "no URI follows"},
		{"a stray URI", "#EXTM3U\nx.m3u8\n" + variant + "y\n", 2, "no variant"},
		{"itself", "#EXTM3U\n" + variant + "../live/master.m3u8#x\n", 2, "itself"},
		{"itself as a rendition", "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"x\",URI=\"master.m3u8\"\n" + variant + "y\n", 2, "itself"},
		{"a file", "#EXTM3U\n" + variant + "file:///etc/passwd\n", 2, "http or https only"},
		{"a script", "#EXTM3U\n" + variant + "javascript:alert(1)\n", 2, "http or https only"},
		{"no host", "#EXTM3U\n" + variant + "https:///x\n", 2, "no host"},
		{"no URI at all", "#EXTM3U\n" + variant + "http://[::1\n", 2, "no URI"},
		{"an open quotation mark", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS=\"mp4a\nx\n", 2, "CODECS is not closed"},
		{"an unknown variable", "#EXTM3U\n" + variant + "{$host}/x\n", 2, `"host" is not defined`},
		{"a variable of the query as a host", "#EXTM3U\n#EXT-X-DEFINE:QUERYPARAM=\"h\"\n" + variant + "https://{$h}/x\n", 3, "only the player knows"},
		{"a variable of the query as a folder", "#EXTM3U\n#EXT-X-DEFINE:QUERYPARAM=\"h\"\n" + variant + "a/..{$h}/x\n", 3, "only the player knows"},
		{"no version", "#EXTM3U\n#EXT-X-VERSION:x\n" + variant + "y\n", 2, "no version"},
		{"too many variants", "#EXTM3U\n" + strings.Repeat(variant+"x\n", 10_000), 1002, "more than 500 variants"},
		{"too many tags", "#EXTM3U\n" + strings.Repeat("#EXT-X-SESSION-DATA:DATA-ID=\"a\"\n", 10_000), 4002, "more than 4000 tags"},
		{"endless", "#EXTM3U\n" + strings.Repeat("#", MaxText), 0, "more than 4 MiB"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseMultivariant([]byte(c.text), at(t, "https://u:secret@n1.test/live/master.m3u8"))
			var e *Error
			if !errors.As(err, &e) || e.Line != c.line || !strings.Contains(e.Reason, c.why) || strings.Contains(e.Error(), "secret") {
				t.Errorf("%v", err)
			}
		})
	}
	for _, bad := range []string{"", "/live.m3u8", "ftp://n1.test/x", "https:///x"} {
		if _, err := ParseMultivariant([]byte(audio), at(t, bad)); err == nil {
			t.Errorf("read from %q", bad)
		}
	}
	if _, err := ParseMultivariant([]byte(audio), nil); err == nil {
		t.Error("read from nowhere")
	}
}

// TestMultivariantTolerated: what harms nobody is used, and what operators should know is
// told.
func TestMultivariantTolerated(t *testing.T) {
	t.Parallel()
	inf := `#EXT-X-STREAM-INF:BANDWIDTH=1,PATHWAY-ID="n1"` + "\n"
	for _, c := range []struct{ name, text, want, warning string }{
		{"BOM and CRLF", "\uFEFF#EXTM3U\r\n#EXT-X-STREAM-INF:BANDWIDTH=1\r\nx.m3u8\r\n", inf + "https://n1.test/live/x.m3u8\n", ""},
		{"no newline at the end", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nx.m3u8", inf + "https://n1.test/live/x.m3u8\n", ""},
		{"no attributes", "#EXTM3U\n#EXT-X-STREAM-INF\nx.m3u8\n", "#EXT-X-STREAM-INF:PATHWAY-ID=\"n1\"\nhttps://n1.test/live/x.m3u8\n", ""},
		{"blanks", "#EXTM3U x=y\n\n#EXT-X-STREAM-INF: BANDWIDTH = 1 , ,\n\n x.m3u8 \n", inf + "https://n1.test/live/x.m3u8\n", ""},
		{"climbing out", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n../../../../x.m3u8\n", inf + "https://n1.test/x.m3u8\n", ""},
		{"no scheme", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n//n1.test/x.m3u8\n", inf + "https://n1.test/x.m3u8\n", ""},
		{"letters", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nhö r.m3u8\n", inf + "https://n1.test/live/h%C3%B6%20r.m3u8\n", ""},
		{"a pathway of its own", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,PATHWAY-ID=\"x\"\nx.m3u8\n", inf + "https://n1.test/live/x.m3u8\n", ""},
		{"a signature", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nx.m3u8?hdnts=st=1~exp=2~acl=/*~hmac=a%2fb\n", inf + "https://n1.test/live/x.m3u8?hdnts=st=1~exp=2~acl=/*~hmac=a%2fb\n", ""},
		{"a comment before the URI", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n# high\nx.m3u8\n", inf + "# high\nhttps://n1.test/live/x.m3u8\n", ""},
		{"a second URI", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,URI=\"y\"\nx.m3u8\n", inf + "https://n1.test/live/x.m3u8\n", ""},
		{"no quotation marks", "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"x\",URI=a.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=1\nx.m3u8\n",
			"#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a@n1\",NAME=\"x\",URI=\"https://n1.test/live/a.m3u8\"\n" + inf + "https://n1.test/live/x.m3u8\n", ""},
		{"another server", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nhttps://cdn.test/x.m3u8\n", inf + "https://cdn.test/x.m3u8\n", "leads players to cdn.test"},
		{"mixed content", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nhttp://n1.test/x.m3u8\n", inf + "http://n1.test/x.m3u8\n", "not played by browsers"},
		{"a variable", "#EXTM3U\n#EXT-X-DEFINE:NAME=\"a\",VALUE=\"b/c\"\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{$a}/{$a}.m3u8?x={y}\n",
			inf + "https://n1.test/live/b/c/b/c.m3u8?x={y}\n", ""},
		{"a variable of the query", "#EXTM3U\n#EXT-X-DEFINE:QUERYPARAM=\"t\"\n#EXT-X-STREAM-INF:BANDWIDTH=1\nx.m3u8?t={$t}&u=1\n",
			inf + "https://n1.test/live/x.m3u8?t={$t}&u=1\n", ""},
		{"a steering tag of its own", "#EXTM3U\n#EXT-X-CONTENT-STEERING:SERVER-URI=\"/steer\"\n#EXT-X-STREAM-INF:BANDWIDTH=1\nx.m3u8\n",
			inf + "https://n1.test/live/x.m3u8\n", "by /steer is replaced"},
		{"pathways of its own", "#EXTM3U\n#EXT-X-CONTENT-STEERING:SERVER-URI=\"/steer\",PATHWAY-ID=\"B\"\n" +
			"#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"x\",URI=\"a.m3u8\"\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"b\",NAME=\"x\",URI=\"b.m3u8\"\n" +
			"#EXT-X-STREAM-INF:BANDWIDTH=1,PATHWAY-ID=\"A\",AUDIO=\"a\"\nx.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=1,PATHWAY-ID=\"B\",AUDIO=\"b\"\ny.m3u8\n",
			"#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"b@n1\",NAME=\"x\",URI=\"https://n1.test/live/b.m3u8\"\n" +
				"#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"b@n1\",PATHWAY-ID=\"n1\"\nhttps://n1.test/live/y.m3u8\n", `2 pathways only "B"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := nodes(t, c.text)
			_, got, _ := strings.Cut(merged(t, p), "PATHWAY-ID=\"n1\"\n")
			if got != c.want {
				t.Errorf("got\n%swant\n%s", got, c.want)
			}
			if w := strings.Join(p[0].Playlist.Warnings, "\n"); !strings.Contains(w, c.warning) || c.warning == "" && w != "" {
				t.Errorf("warnings: %q, want %q", w, c.warning)
			}
		})
	}
}

func TestMergeRefused(t *testing.T) {
	t.Parallel()
	p := nodes(t, audio, audio)
	for _, c := range []struct {
		name     string
		pathways []Pathway
		server   string
	}{
		{"none", nil, server},
		{"twice", []Pathway{p[0], p[0]}, server},
		{"an ID", []Pathway{{"a b", p[0].Playlist}}, server},
		{"no ID", []Pathway{{"", p[0].Playlist}}, server},
		{"relative", p, "/steer"},
		{"a quotation mark", p, `https://dir.test/"`},
	} {
		before := []byte("before")
		if out, err := Merge(before, c.pathways, c.server); err == nil || string(out) != "before" {
			t.Errorf("%s: %q, %v", c.name, out, err)
		}
	}
}

// TestMergeVersion: the version is the highest (4.4.1.2), and segments are independent only if
// they are in all pathways (4.4.2.1).
func TestMergeVersion(t *testing.T) {
	t.Parallel()
	out := merged(t, nodes(t, strings.Replace(audio, "\n", "\n#EXT-X-VERSION:6\n#EXT-X-INDEPENDENT-SEGMENTS\n", 1), strings.Replace(audio, "\n", "\n#EXT-X-VERSION:8\n", 1)))
	if !strings.Contains(out, "VERSION:8\n") || strings.Contains(out, "INDEPENDENT") {
		t.Error(out)
	}
}

func TestIsMultivariant(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{film: true, audio: true, "": false, "#EXTM3U\n#EXTINF:2,\nx\n": false, "x #EXT-X-STREAM-INF": false} {
		if IsMultivariant([]byte(text)) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
}

func FuzzMultivariant(f *testing.F) {
	f.Add([]byte(film))
	f.Add([]byte(audio))
	f.Add([]byte("#EXTM3U\n#EXT-X-STREAM-INF\n0"))
	f.Add([]byte("#EXTM3U\n#EXT-X-DEFINE:QUERYPARAM=\"t\"\n#EXT-X-STREAM-INF:BANDWIDTH=1\nx.m3u8?t={$t}\n"))
	here := at(f, "https://n1.test/live/master.m3u8")
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := ParseMultivariant(text, here)
		if err != nil {
			return
		}
		out, err := Merge(nil, []Pathway{{"a", m}, {"b", m}}, server)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(string(out), "#EXT-X-CONTENT-STEERING:") != 1 && !strings.Contains(string(text), "CONTENT-STEERING") {
			t.Fatalf("steering: %s", out)
		}
		// What was merged is a playlist again, with each variant twice.
		again, err := ParseMultivariant(out, at(t, "https://dir.test/live.m3u8"))
		if err != nil && !strings.Contains(err.Error(), "more than") {
			t.Fatalf("%v\n%s", err, out)
		}
		if err == nil && again.Variants() != m.Variants() {
			t.Fatalf("%d variants in one pathway instead of %d:\n%s", again.Variants(), m.Variants(), out)
		}
	})
}

// TestMultivariantOfPackagers: what ffmpeg and Liquidsoap write is merged whole.
func TestMultivariantOfPackagers(t *testing.T) {
	t.Parallel()
	for name, lines := range map[string]int{ // of each pathway
		"ffmpeg-5.1.9-variants.m3u8": 4, "ffmpeg-5.1.9-groups.m3u8": 4, "liquidsoap-2.1.3-variants.m3u8": 6,
	} {
		text := string(sample(t, name))
		p := nodes(t, text, text)
		out := merged(t, p)
		if got := strings.Count(out, "\n"); got != 3+2*lines || len(p[0].Playlist.Warnings) > 0 {
			t.Errorf("%s: %d lines:\n%s%q", name, got, out, p[0].Playlist.Warnings)
		}
		again, err := ParseMultivariant([]byte(out), at(t, "https://dir.test/live.m3u8"))
		if err != nil || again.Variants() != p[0].Playlist.Variants() || again.First() != p[0].Playlist.First() {
			t.Errorf("%s: %+v, %v", name, again, err)
		}
	}
}
