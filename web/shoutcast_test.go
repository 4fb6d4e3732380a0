package web

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/probe"
)

// onAir is a world in which two nodes play the first mount, and one of them the second.
func onAir(t *testing.T) *world {
	w := newWorld(t, nil)
	w.fleet.Mounts[0].Kbit = 128
	w.reports(
		up("fra1", director.MountReport{Path: "/live.mp3", Listeners: 10, Peak: 31, Started: epoch.Add(-time.Hour), Title: "A, B & <C>"}),
		up("ams1", director.MountReport{Path: "/live.mp3", Listeners: 2, Peak: 5, Started: epoch}, director.MountReport{Path: "/plain.mp3", Listeners: 1, Title: "Second"}))
	return w
}

// TestShoutcastPages: readers of SHOUTcast's statistics get the fleet's.
func TestShoutcastPages(t *testing.T) {
	t.Parallel()
	w := onAir(t)
	const stats = `<?xml version="1.0" encoding="UTF-8" standalone="yes" ?><SHOUTCASTSERVER><CURRENTLISTENERS>1</CURRENTLISTENERS><PEAKLISTENERS>1</PEAKLISTENERS>` +
		`<MAXLISTENERS>0</MAXLISTENERS><UNIQUELISTENERS>1</UNIQUELISTENERS><AVERAGETIME>0</AVERAGETIME><SERVERGENRE></SERVERGENRE><SERVERGENRE2></SERVERGENRE2><SERVERGENRE3></SERVERGENRE3><SERVERGENRE4></SERVERGENRE4><SERVERGENRE5></SERVERGENRE5><SERVERURL>http://radio.example</SERVERURL>` +
		`<SERVERTITLE></SERVERTITLE><SONGTITLE>Second</SONGTITLE><STREAMHITS>0</STREAMHITS><STREAMSTATUS>1</STREAMSTATUS><BACKUPSTATUS>0</BACKUPSTATUS>` +
		`<STREAMLISTED>1</STREAMLISTED><STREAMPATH>/plain.mp3</STREAMPATH><BITRATE>0</BITRATE><SAMPLERATE>0</SAMPLERATE>` +
		`<CONTENT>audio/mpeg</CONTENT><VERSION>Signpost</VERSION></SHOUTCASTSERVER>`
	for _, c := range []struct{ url, mediaType, body string }{
		{"/7.html", "text/html;charset=utf-8", "<html><body>12,1,36,0,12,128,A, B &amp; &lt;C&gt;</body></html>"},
		{"/7.html?sid=2", "text/html;charset=utf-8", "<html><body>1,1,1,0,1,0,Second</body></html>"},
		{"/7?sid=3", "text/html;charset=utf-8", "<html><body>0,0,0,0,0,0,</body></html>"},
		{"/currentsong", "text/plain;charset=utf-8", "A, B & <C>"},
		{"/currentsong?sid=2", "text/plain;charset=utf-8", "Second"},
		{"/stats?sid=2", "text/xml;charset=utf-8", stats},
		{"/played?sid=2&type=json", "application/json;charset=utf-8", `[{"playedat":1777896000,"title":"Second"}]`},
		{"/played?sid=2&type=json&callback=a.b_1", "application/javascript;charset=utf-8", `a.b_1([{"playedat":1777896000,"title":"Second"}])`},
		{"/played?sid=3&type=json&callback=alert(1)//", "application/json;charset=utf-8", `[]`},
		{"/played.html?sid=2", "text/html;charset=utf-8", `<html><head><title>SHOUTcast Song History</title></head><body><br><table border=0 cellpadding=2 cellspacing=2>` +
			`<tr><td><b>Played @</b></td><td><b>Song Title</b></td></tr><tr><td>12:00:00</td><td>Second</td><td style="padding: 0 10px;"><b>Current Song</b></td></tr></table></body></html>`},
		{"/played?sid=3&type=json", "application/json;charset=utf-8", `[]`},
		{"/played?sid=2&type=xml", "text/xml;charset=utf-8", `<?xml version="1.0" encoding="UTF-8" standalone="yes" ?><SHOUTCASTSERVER><SONGHISTORY><SONG><PLAYEDAT>1777896000</PLAYEDAT><TITLE>Second</TITLE></SONG></SONGHISTORY></SHOUTCASTSERVER>`},
	} {
		rec := w.get(c.url)
		if diff := cmp.Diff(c.body, rec.Body.String()); diff != "" || rec.Code != 200 || rec.Header().Get("Content-Type") != c.mediaType {
			t.Errorf("%s: %d %s (-want +got):\n%s", c.url, rec.Code, rec.Header().Get("Content-Type"), diff)
		}
	}
	for url, part := range map[string]string{
		"/stats?sid=1&json=1":      `{"currentlisteners":12,"peaklisteners":36,"maxlisteners":0,"uniquelisteners":12,"averagetime":0,`,
		"/statistics?json=1":       `{"totalstreams":5,"activestreams":2,"currentlisteners":13,"peaklisteners":37,"maxlisteners":0,"uniquelisteners":13,"averagetime":0,"version":"Signpost","streams":[{"id":1,"currentlisteners":12,`,
		"/statistics":              `<SHOUTCASTSERVER><STREAMSTATS><TOTALSTREAMS>5</TOTALSTREAMS>`,
		"/stats?json=1&callback=f": `f({"currentlisteners":12,`,
		"/played.html":             `<tr><td>Played @</td><td><b>Song Title</b></td></tr><tr><td>12:00:00</td><td>A, B &amp; &lt;C&gt;<td><b>Current Song</b></td></td>`,
	} {
		if body := w.get(url).Body.String(); !strings.Contains(body, part) {
			t.Errorf("%s lacks %s:\n%s", url, part, body)
		}
	}
	for _, url := range []string{"/stats?sid=9", "/7.html?sid=x", "/8.html", "/stats/1"} {
		if code := w.get(url).Code; code != 404 {
			t.Errorf("%s: %d, want 404", url, code)
		}
	}
	// A mount comes before a page, and a policy may forbid the pages.
	w.fleet.Mounts[2].Aliases = []string{"/stats"}
	w.fleet.Mounts[2].Name = "/live2.mp3"
	w.build()
	if code := w.get("/stats").Code; code != 302 {
		t.Errorf("a mount of that name: %d, want 302", code)
	}
	if err := w.SetPolicy(Policy{NoStatus: true}); err != nil {
		t.Fatal(err)
	}
	if code := w.get("/7.html").Code; code != 404 {
		t.Errorf("without statistics: %d, want 404", code)
	}
}

// TestShoutcastPagesAreProbed: what reads a SHOUTcast server reads the fleet.
func TestShoutcastPagesAreProbed(t *testing.T) {
	t.Parallel()
	w := onAir(t)
	kind := func(director.NodeID) string { return "shoutcast" }
	r := w.probed(probe.Config{Kind: kind}, []director.Mount{{Name: "/stream"}, {Name: "/stream/2/"}})
	got := map[string]int{}
	for _, m := range r.Mounts {
		got[m.Path] = m.Listeners
	}
	if r.Health != director.Up || r.Listeners != 13 || got["/stream"] != 12 || got["/stream/2/"] != 1 {
		t.Errorf("%+v", r)
	}
}
