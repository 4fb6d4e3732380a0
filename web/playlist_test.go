package web

import (
	"encoding/json"
	"encoding/xml"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestPlaylistLength(t *testing.T) {
	t.Parallel()
	for length, want := range map[int]int{0: 3, 1: 1, 2: 2, 20: 3} {
		w := newWorld(t, func(c *Config) { c.Policy.PlaylistLength = length })
		if got := strings.Count(w.get("/live.mp3.m3u").Body.String(), "http://"); got != want {
			t.Errorf("length %d: %d entries, want %d", length, got, want)
		}
	}
	w := newWorld(t, nil)
	w.down["fra1"] = true
	w.build()
	if body := w.get("/live.mp3.m3u").Body.String(); strings.Contains(body, "fra1") {
		t.Errorf("a node that is down stands in a playlist:\n%s", body)
	}
}

func TestCleanText(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"Größe \u4e2d": "Größe \u4e2d", "a\r\nb\tc\x00\x7f\u0085": "a  b c   ", "\u2028\u2029\ufffe\uffff": "    ", "\xff\xc3": "\ufffd\ufffd",
	} {
		if got := cleanText(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// TestDirectorURL: the Host header is the client's claim.
func TestDirectorURL(t *testing.T) {
	t.Parallel()
	for host, ok := range map[string]bool{
		"radio.example": true, "radio.example:8000": true, "[2001:db8::1]:80": true, "münchen.example": false,
		"": false, "a/b": false, "a@b": false, "a\r\nb": false, "a b": false, `a"b`: false, "a<b": false, "x?y": false, strings.Repeat("a", 262): false,
	} {
		if saneHost(host) != ok {
			t.Errorf("%q: %v", host, !ok)
		}
	}
	w := newWorld(t, func(c *Config) { c.Policy.Entries = EntriesDirector })
	rec := w.do(overHTTPS().at("/studio/gr%C3%B6%C3%9Fe.ogg.pls"))
	if !strings.Contains(rec.Body.String(), "File1=https://radio.example/studio/gr%C3%B6%C3%9Fe.ogg\n") {
		t.Errorf("%s", rec.Body)
	}
}

// FuzzPlaylists reads back what was written: as many entries as there are, each
// with its URL, and no line that a title or a query smuggled in.
func FuzzPlaylists(f *testing.F) {
	for _, title := range []string{"Radio", "a\r\nFile2=http://evil/", "<script>&\"'", "]]>", "\xff\xfe", "\u2028\u0085\x00", "\uffff", "#EXTINF"} {
		f.Add(title, "http://a.example/live?x=1&y=<2>", 2)
		f.Add(title, "http://a.example/\xff \"'", 1)
	}
	f.Fuzz(func(t *testing.T, title, url string, n int) {
		if n < 1 || n > 5 {
			return
		}
		doc := document{title: title, resolve: resolve{Title: cleanText(title)}}
		for range n {
			doc.entries = append(doc.entries, entry{node: "a", url: url, title: title})
		}
		urls := 0
		want := escapeURL(url)
		lines := strings.Split(strings.TrimSuffix(string(writeM3U(nil, &doc)), "\n"), "\n")
		if len(lines) != 1+2*n || lines[0] != "#EXTM3U" {
			t.Fatalf("m3u: %q", lines)
		}
		for i := 1; i < len(lines); i += 2 {
			if !strings.HasPrefix(lines[i], "#EXTINF:-1,") || lines[i+1] != want {
				t.Fatalf("m3u: %q", lines[i:])
			}
		}
		lines = strings.Split(strings.TrimSuffix(string(writePLS(nil, &doc)), "\n"), "\n")
		if len(lines) != 3+3*n {
			t.Fatalf("pls: %q", lines)
		}
		for _, l := range lines[2 : len(lines)-1] {
			if name, value, _ := strings.Cut(l, "="); strings.HasPrefix(name, "File") && value == want {
				urls++
			} else if !strings.HasPrefix(name, "Title") && !strings.HasPrefix(name, "Length") {
				t.Fatalf("pls: %q", l)
			}
		}
		if urls != n {
			t.Fatalf("pls: %d entries", urls)
		}
		checkXML(t, &doc, want)
		var back struct {
			URL        string
			Alternates []struct{ URL string }
		}
		body := writeJSON(nil, &doc)
		if err := json.Unmarshal(body, &back); err != nil || back.URL != want || len(back.Alternates) != n-1 || !utf8.Valid(body) {
			t.Fatalf("json: %v %s", err, body)
		}
	})
}

func checkXML(t *testing.T, doc *document, want string) {
	t.Helper()
	var xspf struct {
		Tracks []struct {
			Location string `xml:"location"`
			Title    string `xml:"title"`
		} `xml:"trackList>track"`
	}
	if err := xml.Unmarshal(writeXSPF(nil, doc), &xspf); err != nil || len(xspf.Tracks) != len(doc.entries) {
		t.Fatalf("xspf: %v, %d tracks", err, len(xspf.Tracks))
	}
	var asx struct {
		Entries []struct {
			Ref struct {
				Href string `xml:"href,attr"`
			} `xml:"ref"`
		} `xml:"entry"`
	}
	if err := xml.Unmarshal(writeASX(nil, doc), &asx); err != nil || len(asx.Entries) != len(doc.entries) {
		t.Fatalf("asx: %v, %d entries", err, len(asx.Entries))
	}
	for i, track := range xspf.Tracks {
		if track.Location != want || asx.Entries[i].Ref.Href != want || track.Title != cleanText(doc.title) {
			t.Fatalf("track %q %q, entry %q; want %q", track.Location, track.Title, asx.Entries[i].Ref.Href, want)
		}
	}
}
