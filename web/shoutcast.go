package web

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"html"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// shoutcastPages are SHOUTcast's statistics pages, which its documents "DNAS Server JSON /
// JSON-P Responses" and "DNAS Server XML Responses" (of 8 September 2018, for 2.6) describe:
// the keys and their order, and the seven fields of 7.html. The genres 2 to 5 and samplerate
// are not in them, but in answers of sc_serv 2.4.7 and 2.6.1 that authors of readers
// published; the two shapes of played.html are those that published readers split it at. A
// mount of the same name takes precedence.
var shoutcastPages = map[string]func(*exchange, dnasStream) (mediaType, body string){
	"/7":           sevenPage,
	"/7.html":      sevenPage,
	"/currentsong": songPage,
	"/played":      playedPage,
	"/played.html": playedPage,
	"/stats":       statsPage,
}

// allStreamsPage is the page about all streams.
const allStreamsPage = "/statistics"

// dnasStream is one stream, summed over all nodes that carry it. Keys for which a fleet has no
// value are empty or 0, not missing: some tools insist on them. SHOUTcast itself leaves out
// the uptime of a stream that is off the air, and what its sources did not tell (nexttitle,
// dj, songurl, streamlistederror).
type dnasStream struct {
	ID int `json:"id,omitempty" xml:"-"` // only in the page about all streams
	dnasCounts
	Genre      string `json:"servergenre" xml:"SERVERGENRE"`
	Genre2     string `json:"servergenre2" xml:"SERVERGENRE2"`
	Genre3     string `json:"servergenre3" xml:"SERVERGENRE3"`
	Genre4     string `json:"servergenre4" xml:"SERVERGENRE4"`
	Genre5     string `json:"servergenre5" xml:"SERVERGENRE5"`
	URL        string `json:"serverurl" xml:"SERVERURL"`
	Title      string `json:"servertitle" xml:"SERVERTITLE"`
	Song       string `json:"songtitle" xml:"SONGTITLE"`
	Hits       int    `json:"streamhits" xml:"STREAMHITS"`
	Status     int    `json:"streamstatus" xml:"STREAMSTATUS"` // 1: on the air
	Backup     int    `json:"backupstatus" xml:"BACKUPSTATUS"`
	Listed     int    `json:"streamlisted" xml:"STREAMLISTED"`
	Path       string `json:"streampath" xml:"STREAMPATH"`
	Uptime     int    `json:"streamuptime,omitempty" xml:"STREAMUPTIME,omitempty"` // seconds; 0: unknown
	Bitrate    string `json:"bitrate" xml:"BITRATE"`                               // kbit/s; "0": not configured
	SampleRate string `json:"samplerate" xml:"SAMPLERATE"`
	Content    string `json:"content" xml:"CONTENT"`
	Version    string `json:"version,omitempty" xml:"VERSION,omitempty"`
}

// dnasCounts are the numbers of listeners of one stream, or of all.
type dnasCounts struct {
	Listeners   int `json:"currentlisteners" xml:"CURRENTLISTENERS"`
	Peak        int `json:"peaklisteners" xml:"PEAKLISTENERS"`
	Max         int `json:"maxlisteners" xml:"MAXLISTENERS"` // 0: unknown or unlimited
	Unique      int `json:"uniquelisteners" xml:"UNIQUELISTENERS"`
	AverageTime int `json:"averagetime" xml:"AVERAGETIME"`
}

// dnasFleet is what the page about all streams says of them together.
type dnasFleet struct {
	Total  int `json:"totalstreams" xml:"TOTALSTREAMS"`
	Active int `json:"activestreams" xml:"ACTIVESTREAMS"`
	dnasCounts
	Version string       `json:"version" xml:"VERSION"`
	Streams []dnasStream `json:"streams" xml:"-"`
}

// serverID is the director's name in statistics.
const serverID = "Signpost"

// shoutcastPage answers with one of SHOUTcast's statistics pages if the path is that of one,
// and says whether it did.
func (s *Server) shoutcastPage(x *exchange) (answered bool) {
	path := x.r.URL.Path
	page, one := shoutcastPages[path]
	if !one && path != allStreamsPage || x.policy.NoStatus {
		return false
	}
	var mediaType, body string
	if one {
		mount, _, ok := x.policy.numbered(x.view.Snapshot, x.r.URL.RawQuery)
		if !ok {
			return false
		}
		mediaType, body = page(x, s.dnasStreams(x)[mount])
	} else {
		mediaType, body = statisticsPage(x, s.dnasStreams(x))
	}
	h := x.header()
	x.streamHeaders()
	h["Content-Type"] = []string{mediaType}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	x.w.WriteHeader(http.StatusOK)
	if x.r.Method != http.MethodHead {
		_, _ = x.w.Write([]byte(body)) // the client may be gone
	}
	return true
}

// dnasPage is the data of all pages for one snapshot.
type dnasPage struct {
	snapshot *director.Snapshot
	base     string // the director's own URL, as the listener knows it
	streams  []dnasStream
}

// dnasStreams returns all streams in the mounts' order, including those that are off the air.
// They are summed once for a snapshot and must not be modified.
func (s *Server) dnasStreams(x *exchange) []dnasStream {
	base := x.ownBase()
	p := s.dnas.Load()
	if p == nil || p.snapshot != x.view.Snapshot || p.base != base {
		p = &dnasPage{x.view.Snapshot, base, sumStreams(x.view.Snapshot, base, x.now)}
		s.dnas.Store(p)
	}
	return p.streams
}

func sumStreams(snap *director.Snapshot, base string, now time.Time) []dnasStream {
	all := make([]dnasStream, len(snap.Mounts()))
	for m := range all {
		mount := snap.Mount(m)
		all[m] = dnasStream{
			Title: mount.Title, Path: mount.Name, Content: orMPEG(mount.Type), Bitrate: strconv.Itoa(mount.Kbit), SampleRate: "0", URL: base,
		}
	}
	for _, src := range fleetSources(snap) {
		m, ok := snap.FindMount(src.mount)
		if !ok {
			continue
		}
		d := &all[m]
		d.Listeners, d.Peak, d.Unique = src.Listeners, src.ListenerPeak, src.Listeners
		d.Title, d.Song, d.Content, d.Genre = src.Name, src.Title, src.Type, src.Genre
		d.Status, d.Listed = 1, 1
		if !src.started.IsZero() {
			d.Uptime = max(0, int(now.Sub(src.started)/time.Second))
		}
	}
	return all
}

// sevenPage is the oldest page: seven fields, separated by commas. The song's title comes
// last and may contain commas.
func sevenPage(_ *exchange, d dnasStream) (mediaType, body string) {
	return "text/html;charset=utf-8", fmt.Sprintf("<html><body>%d,%d,%d,%d,%d,%s,%s</body></html>",
		d.Listeners, d.Status, d.Peak, d.Max, d.Unique, d.Bitrate, html.EscapeString(cleanText(d.Song)))
}

func songPage(_ *exchange, d dnasStream) (mediaType, body string) {
	return "text/plain;charset=utf-8", cleanText(d.Song)
}

// playedPage lists only the song that plays now: nodes do not report what played before.
func playedPage(x *exchange, d dnasStream) (mediaType, body string) {
	type played struct {
		At    int64  `json:"playedat" xml:"PLAYEDAT"`
		Title string `json:"title" xml:"TITLE"`
	}
	var songs []played
	if d.Song != "" {
		songs = []played{{x.now.Unix(), cleanText(d.Song)}}
	}
	switch q := x.r.URL.Query(); {
	case q.Get("type") == "json":
		return jsonPage(x, append([]played{}, songs...))
	case q.Get("type") == "xml":
		return xmlPage(struct {
			XMLName xml.Name `xml:"SHOUTCASTSERVER"`
			Songs   []played `xml:"SONGHISTORY>SONG"`
		}{Songs: songs})
	}
	// Who gives a number knows SHOUTcast 2; others may split the page as that of SHOUTcast 1.
	first, current := "Played @", "<td><b>Current Song</b></td></td>"
	if x.r.URL.Query().Has("sid") {
		first, current = "<b>Played @</b>", `</td><td style="padding: 0 10px;"><b>Current Song</b></td>`
	}
	var b strings.Builder
	fmt.Fprintf(&b, "<html><head><title>SHOUTcast Song History</title></head><body><br><table border=0 cellpadding=2 cellspacing=2>"+
		"<tr><td>%s</td><td><b>Song Title</b></td></tr>", first)
	for _, song := range songs {
		fmt.Fprintf(&b, "<tr><td>%s</td><td>%s%s</tr>", time.Unix(song.At, 0).UTC().Format(time.TimeOnly), html.EscapeString(song.Title), current)
	}
	b.WriteString("</table></body></html>")
	return "text/html;charset=utf-8", b.String()
}

func statsPage(x *exchange, d dnasStream) (mediaType, body string) {
	d.Version = serverID
	if wantsJSON(x) {
		return jsonPage(x, d)
	}
	return xmlPage(struct {
		XMLName xml.Name `xml:"SHOUTCASTSERVER"`
		dnasStream
	}{dnasStream: d})
}

func statisticsPage(x *exchange, streams []dnasStream) (mediaType, body string) {
	f := dnasFleet{Version: serverID, Streams: []dnasStream{}}
	for m, d := range streams {
		if d.ID = x.policy.sidOf(x.view.Snapshot, m); d.ID == 0 {
			continue
		}
		f.Streams = append(f.Streams, d)
		f.Total++
		f.Active += d.Status
		f.Listeners += d.Listeners
		f.Peak += d.Peak
		f.Unique += d.Unique
	}
	if wantsJSON(x) {
		return jsonPage(x, f)
	}
	type numbered struct {
		ID int `xml:"id,attr"`
		dnasStream
	}
	all := make([]numbered, len(f.Streams))
	for i, d := range f.Streams {
		all[i] = numbered{d.ID, d}
	}
	type stats struct {
		dnasFleet
		Streams []numbered `xml:"STREAM"`
	}
	return xmlPage(struct {
		XMLName xml.Name `xml:"SHOUTCASTSERVER"`
		Stats   stats    `xml:"STREAMSTATS"`
	}{Stats: stats{f, all}})
}

func wantsJSON(x *exchange) bool { return x.r.URL.Query().Get("json") == "1" }

// jsonPage is the page as JSON, or as a call of the function that a web page names, which
// reads another host's statistics by a script element (JSON-P).
func jsonPage(x *exchange, v any) (mediaType, body string) {
	b, _ := json.Marshal(v) // cannot fail: numbers and text
	if f := x.r.URL.Query().Get("callback"); callback.MatchString(f) {
		return "application/javascript;charset=utf-8", f + "(" + string(b) + ")"
	}
	return "application/json;charset=utf-8", string(b)
}

// callback is a JavaScript function: names with dots between them, and nothing that could be
// other code in the answer.
var callback = regexp.MustCompile(`^[A-Za-z_$][\w$]{0,99}(\.[A-Za-z_$][\w$]{0,99}){0,9}$`)

func xmlPage(v any) (mediaType, body string) {
	b, _ := xml.Marshal(v) // cannot fail: numbers and text
	return "text/xml;charset=utf-8", `<?xml version="1.0" encoding="UTF-8" standalone="yes" ?>` + string(b)
}
