package probe

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/probe/proctest"
	"github.com/signpost-fm/signpost/web/hls"
)

// An origin is a server of HLS and DASH in memory. Its segments are two seconds long.
type origin struct {
	begun   time.Time
	stopped time.Time // when it stopped to make segments; zero: it goes on
	pages   map[string]func(segments int) string
	missing string // what it does not have

	mu    sync.Mutex
	asked []string
}

// segments is how many there are.
func (o *origin) segments() int {
	until := time.Now()
	if !o.stopped.IsZero() {
		until = o.stopped
	}
	return 100 + int(until.Sub(o.begun)/(2*time.Second))
}

func (o *origin) answer(c net.Conn) {
	request := readRequest(c)
	path := strings.Fields(request + " - -")[1]
	o.mu.Lock()
	o.asked = append(o.asked, path)
	o.mu.Unlock()
	page, ok := o.pages[path]
	var n int
	head := "Date: " + time.Now().UTC().Format(http.TimeFormat) + "\r\nConnection: close\r\n\r\n"
	switch _, err := fmt.Sscanf(path, "/hls/%d.ts", &n); {
	case o.missing != "" && strings.HasPrefix(path, o.missing):
		fmt.Fprint(c, "HTTP/1.1 404 Not Found\r\n"+head)
	case ok:
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\n"+head+page(o.segments()))
	case err == nil && n <= o.segments() && n > o.segments()-5:
		fmt.Fprint(c, "HTTP/1.1 206 Partial Content\r\n"+head+"x")
	default:
		fmt.Fprint(c, "HTTP/1.1 404 Not Found\r\n"+head)
	}
}

func fixed(text string) func(int) string { return func(int) string { return text } }

// window is a live playlist of the newest three segments; %d of name is the segment's number.
func window(extra, name string) func(int) string {
	return func(newest int) string {
		out := fmt.Sprintf("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:%d\n", newest-2)
		for n := newest - 2; n <= newest; n++ {
			out += "#EXTINF:2,\n" + fmt.Sprintf(name, n) + "\n"
		}
		return out + extra
	}
}

const ladder = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS=\"mp4a.40.2\"\nhls/low.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=2\nhls/high.m3u8\n"

// mpdOf is a live MPD; what is the SegmentTemplate's.
func mpdOf(start time.Time, what func(newest int) string) func(int) string {
	return func(newest int) string {
		return `<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="dynamic" availabilityStartTime="` + start.UTC().Format(time.RFC3339) + `"><Period id="0"><AdaptationSet><Representation id="a">` +
			what(newest) + `</Representation></AdaptationSet></Period></MPD>`
	}
}

// TestPlaylists: a mount of segments plays if its newest one is there and new ones come.
func TestPlaylists(t *testing.T) {
	t.Parallel()
	live := window("", "%d.ts")
	for name, tc := range map[string]struct {
		mount    string
		pages    map[string]func(int) string
		mpd      func(int) string // as /live.mpd: its SegmentTemplate
		missing  string
		stops    bool             // the packager stops after 20 s
		ends     func(int) string // after 20 s this is the playlist
		want     string           // after 18 s
		then     string           // after 40 s; empty: the same
		detail   string           // is in the last verdict's
		never    string           // is never asked for
		internal bool             // the node is probed at another URL than listeners'
	}{
		"multivariant":                {pages: map[string]func(int) string{"/live.m3u8": fixed(ladder), "/hls/low.m3u8": live}, want: "plays"},
		"media":                       {mount: "/hls/low.m3u8", pages: map[string]func(int) string{"/hls/low.m3u8": live}, want: "plays"},
		"stops":                       {pages: map[string]func(int) string{"/live.m3u8": fixed(ladder), "/hls/low.m3u8": live}, stops: true, want: "plays", then: "does_not_play: nothing comes in", detail: "no new segment for"},
		"ends":                        {mount: "/hls/low.m3u8", pages: map[string]func(int) string{"/hls/low.m3u8": live}, ends: window("#EXT-X-ENDLIST\n", "%d.ts"), want: "plays", then: "does_not_play: source gone", detail: "it has ended"},
		"had ended before":            {mount: "/hls/low.m3u8", pages: map[string]func(int) string{"/hls/low.m3u8": window("#EXT-X-ENDLIST\n", "%d.ts")}, want: "does_not_play: source gone", detail: "it has ended"},
		"on demand":                   {mount: "/hls/low.m3u8", stops: true, pages: map[string]func(int) string{"/hls/low.m3u8": window("#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-ENDLIST\n", "%d.ts")}, want: "plays"},
		"a recording":                 {mount: "/hls/r.m3u8", pages: map[string]func(int) string{"/hls/r.m3u8": fixed("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\na\n#EXT-X-ENDLIST\n"), "/hls/a": fixed("x")}, want: "plays"},
		"the segment is not there":    {pages: map[string]func(int) string{"/live.m3u8": fixed(ladder), "/hls/low.m3u8": live}, missing: "/hls/1", want: "does_not_play: nothing comes in", detail: "404 Not Found"},
		"an empty segment":            {mount: "/e.m3u8", pages: map[string]func(int) string{"/e.m3u8": window("", "/e?%d"), "/e": fixed("")}, want: "does_not_play: nothing comes in", detail: "404"},
		"the variant is not there":    {pages: map[string]func(int) string{"/live.m3u8": fixed(ladder)}, want: "does_not_play: nothing comes in", detail: "GET /hls/low.m3u8: 404"},
		"the variant is multivariant": {pages: map[string]func(int) string{"/live.m3u8": fixed(ladder), "/hls/low.m3u8": fixed(ladder)}, want: "does_not_play: a page, no audio", detail: "line 2: a multivariant playlist"},
		"not there":                   {pages: nil, want: "does_not_play: not there"},
		"a page":                      {pages: map[string]func(int) string{"/live.m3u8": fixed("<html>hello")}, want: "does_not_play: a page, no audio", detail: "HTML"},
		"audio":                       {pages: map[string]func(int) string{"/live.m3u8": fixed("ID3 and so on")}, want: "does_not_play: a page, no audio", detail: "begins with #EXTM3U"},
		"endless":                     {pages: map[string]func(int) string{"/live.m3u8": fixed("#EXTM3U\n" + strings.Repeat("#", hls.MaxText))}, want: "does_not_play: a page, no audio", detail: "more than 4 MiB"},
		"itself":                      {pages: map[string]func(int) string{"/live.m3u8": fixed("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nlive.m3u8\n")}, want: "does_not_play: a page, no audio", detail: "this playlist itself"},
		"no segment":                  {mount: "/hls/low.m3u8", pages: map[string]func(int) string{"/hls/low.m3u8": fixed("#EXTM3U\n#EXT-X-TARGETDURATION:2\n")}, want: "does_not_play: nothing comes in", detail: "no segment yet"},
		"another stream of the node":  {mount: "/live.mp3", pages: map[string]func(int) string{"/live.mp3": fixed("ID3 and so on")}, stops: true, want: "plays"},
		"at another server":           {pages: map[string]func(int) string{"/live.m3u8": fixed("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nhttp://169.254.169.254/x.m3u8\n")}, stops: true, want: "plays", never: "/x.m3u8"},
		"at the node's own name":      {internal: true, pages: map[string]func(int) string{"/live.m3u8": fixed("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nhttp://192.0.2.7/radio/hls/low.m3u8\n"), "/hls/low.m3u8": live}, stops: true, want: "plays", then: "does_not_play: nothing comes in", detail: "no new segment for"},
		"beside the node's own path":  {internal: true, pages: map[string]func(int) string{"/live.m3u8": fixed("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nhttp://192.0.2.7/radiohls/low.m3u8\n"), "/hls/low.m3u8": live}, stops: true, want: "plays", never: "low.m3u8"},
		"restarts": {mount: "/hls/low.m3u8", pages: map[string]func(int) string{"/hls/low.m3u8": live}, ends: func(newest int) string {
			return window("", "%d.ts")(newest) + "#EXT-X-DISCONTINUITY\n#EXTINF:2,\n" + fmt.Sprint(newest) + ".ts\n"
		}, want: "plays"},
		"low latency": {mount: "/hls/low.m3u8", pages: map[string]func(int) string{"/hls/low.m3u8": func(newest int) string {
			return "#EXTM3U\n#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1\n#EXT-X-PART-INF:PART-TARGET=0.33\n" + strings.TrimPrefix(live(newest), "#EXTM3U\n") +
				"#EXT-X-PART:DURATION=0.33,URI=\"part.mp4\"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"hint.mp4\"\n"
		}, "/hls/part.mp4": fixed("x")}, want: "plays", never: "hint.mp4"},
		"MPD by a timeline": {mount: "/live.mpd", mpd: func(newest int) string {
			return fmt.Sprintf(`<SegmentTemplate media="hls/$Number$.ts" startNumber="%d"><SegmentTimeline><S t="%d" d="2" r="2"/></SegmentTimeline></SegmentTemplate>`, newest-2, 2*newest-204)
		}, stops: true, want: "plays", then: "does_not_play: nothing comes in", detail: "no new segment for"},
		"MPD by time":        {mount: "/live.mpd", mpd: fixed(`<SegmentTemplate media="hls/$Number$.ts" startNumber="101" duration="2"/>`), stops: true, want: "plays", then: "does_not_play: nothing comes in", detail: "404"},
		"MPD that ends":      {mount: "/live.mpd", mpd: fixed(`<SegmentTemplate media="hls/$Number$.ts" startNumber="101" duration="2"/>`), ends: fixed(`<MPD><Period duration="PT4S"><AdaptationSet><Representation id="a"><SegmentTemplate media="s" duration="2"/></Representation></AdaptationSet></Period></MPD>`), want: "plays", then: "does_not_play: source gone", detail: "it has ended"},
		"MPD of one file":    {mount: "/live.mpd", pages: map[string]func(int) string{"/live.mpd": fixed(`<MPD><Period><AdaptationSet><Representation id="a"><BaseURL>a.mp4</BaseURL></Representation></AdaptationSet></Period></MPD>`)}, want: "plays"},
		"MPD that is broken": {mount: "/live.mpd", pages: map[string]func(int) string{"/live.mpd": fixed(`<MPD><Period>`)}, want: "does_not_play: a page, no audio", detail: "no XML"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				mount := "/live.m3u8"
				if tc.mount != "" {
					mount = tc.mount
				}
				o := &origin{begun: time.Now(), pages: tc.pages, missing: tc.missing}
				if tc.mpd != nil {
					o.pages = map[string]func(int) string{mount: mpdOf(o.begun, tc.mpd), "/s": fixed("x")}
				}
				p := New(Config{Kind: func(director.NodeID) string { return inParts }})
				p.client = bubbleClient(t, o.answer)
				n := newState(director.Node{ID: "n", URLs: []string{"http://192.0.2.1"}})
				if tc.internal {
					n = newState(director.Node{ID: "n", URLs: []string{"http://192.0.2.7/radio"}, InternalURL: "http://192.0.2.1"})
				}
				n.mounts = []string{mount}
				probe := func(until time.Duration) (got string) {
					for ; time.Since(o.begun) < until; time.Sleep(time.Second) {
						h := p.ask(t.Context(), n, 2*time.Second)
						n.hear(h, &p.cfg, time.Now())
						v := n.known[mount].verdict
						if now := strings.TrimSuffix(fmt.Sprintf("%v: %s", v.State, v.Cause), ": "); now != got {
							t.Logf("%v: %s (%s)", time.Since(o.begun), now, v.Detail)
							got = now
						}
					}
					return got
				}
				time.Sleep(5 * time.Second) // there are segments
				if got := probe(18 * time.Second); got != tc.want {
					t.Errorf("%s, want %s", got, tc.want)
				}
				if tc.stops {
					o.stopped = time.Now()
				}
				if tc.ends != nil {
					o.pages[mount] = tc.ends
				}
				if tc.then == "" {
					tc.then = tc.want
				}
				if got := probe(40 * time.Second); got != tc.then {
					t.Errorf("%s, want %s", got, tc.then)
				}
				if d := n.known[mount].verdict.Detail; !strings.Contains(d, tc.detail) {
					t.Errorf("detail %q, want %q", d, tc.detail)
				}
				if tc.never != "" && slices.ContainsFunc(o.asked, func(path string) bool { return strings.Contains(path, tc.never) }) {
					t.Errorf("asked for %q", o.asked)
				}
			})
		})
	}
}

// TestRealPackagers: what ffmpeg writes as HLS and DASH plays, and no longer when ffmpeg has
// ended, or was killed.
func TestRealPackagers(t *testing.T) {
	t.Parallel()
	proctest.Need(t, "ffmpeg")
	const aac = " -c:a aac -b:a 64k "
	for name, tc := range map[string]struct {
		outputs string // of one ffmpeg
		mounts  []string
		kill    syscall.Signal
		want    string
	}{
		"killed": {
			aac + "-f hls -hls_time 1 -hls_list_size 3 -hls_segment_type fmp4 -hls_flags delete_segments+temp_file -master_pl_name live.m3u8 a/media.m3u8" +
				aac + "-f dash -seg_duration 1 -window_size 3 -extra_window_size 1 b/live.mpd" +
				aac + "-f dash -seg_duration 1 -use_timeline 0 -window_size 3 c/live.mpd",
			[]string{"/a/live.m3u8", "/b/live.mpd", "/c/live.mpd"}, syscall.SIGKILL, "does_not_play: nothing comes in",
		},
		"ended": {
			aac + "-f hls -hls_time 1 -hls_list_size 3 -hls_flags delete_segments+temp_file a/media.m3u8" +
				aac + "-f dash -seg_duration 1 -window_size 3 b/live.mpd",
			[]string{"/a/media.m3u8", "/b/live.mpd"}, syscall.SIGTERM, "does_not_play: source gone",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for _, sub := range []string{"a", "b", "c"} {
				if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			cmd := exec.Command("ffmpeg", strings.Fields("-v error -re -f lavfi -i sine"+tc.outputs)...)
			cmd.Dir, cmd.SysProcAttr = dir, proctest.DieWithTest()
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
			server := httptest.NewServer(http.FileServer(http.Dir(dir)))
			t.Cleanup(server.Close)
			p := New(Config{Kind: func(director.NodeID) string { return inParts }})
			n := newState(director.Node{ID: "n", URLs: []string{server.URL}})
			n.mounts = tc.mounts
			become := func(want string) {
				t.Helper()
				var got []string
				for begun := time.Now(); time.Since(begun) < time.Minute; time.Sleep(200 * time.Millisecond) {
					n.hear(p.ask(t.Context(), n, 20*time.Second), &p.cfg, time.Now())
					got = nil
					for _, mount := range tc.mounts {
						v := n.known[mount].verdict
						if now := strings.TrimSuffix(fmt.Sprintf("%v: %s", v.State, v.Cause), ": "); now != want {
							got = append(got, fmt.Sprintf("%s %s (%s)", mount, now, v.Detail))
						}
					}
					if got == nil {
						return
					}
				}
				t.Fatalf("%q within a minute, want %s", got, want)
			}
			become("plays")
			if err := cmd.Process.Signal(tc.kill); err != nil {
				t.Fatal(err)
			}
			become(tc.want)
		})
	}
}
