package e2e

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director/probe/proctest"
)

// lead is how much sound an encoder makes at once, so that no test waits until a playlist is
// full. What follows comes as it is played; what is late on a busy machine is made up for
// (arealtime's limit).
const lead = 20 * time.Second

// An hlsEncoder makes a live stream in segments, fMP4 that ffmpeg's muxers write into a
// directory.
type hlsEncoder struct{ dir string }

// encodeMedia makes a media playlist, with segments of 1 s whose numbers begin at first. They
// hold MP3, for which GStreamer has a decoder among its good plugins.
func encodeMedia(t *testing.T, first int) hlsEncoder {
	t.Helper()
	e := hlsEncoder{dir: t.TempDir()}
	e.run(t, "-c:a", "libmp3lame", "-b:a", "64k",
		"-f", "hls", "-hls_segment_type", "fmp4", "-hls_time", "1", "-hls_list_size", "6", "-hls_delete_threshold", "6", "-hls_flags", "delete_segments+temp_file",
		"-start_number", strconv.Itoa(first), filepath.Join(e.dir, "live.m3u8"))
	return e
}

// encodeVariants makes a multivariant playlist, live.m3u8, and an MPD, live.mpd: audio of two
// bit rates, in segments of 2 s.
func encodeVariants(t *testing.T) hlsEncoder {
	t.Helper()
	e := hlsEncoder{dir: t.TempDir()}
	e.run(t,
		"-map", "0:a", "-map", "0:a", "-c:a", "aac", "-b:a:0", "96k", "-b:a:1", "48k",
		"-f", "hls", "-hls_segment_type", "fmp4", "-hls_time", "2", "-hls_list_size", "10", "-hls_delete_threshold", "10",
		"-hls_flags", "delete_segments+independent_segments+program_date_time+temp_file",
		"-var_stream_map", "a:0 a:1", "-master_pl_name", "live.m3u8", filepath.Join(e.dir, "%v", "audio.m3u8"),
		"-map", "0:a", "-map", "0:a", "-c:a", "aac", "-b:a:0", "96k", "-b:a:1", "48k",
		"-f", "dash", "-seg_duration", "2", "-window_size", "10", "-extra_window_size", "10", "-adaptation_sets", "id=0,streams=a",
		filepath.Join(e.dir, "live.mpd"))
	return e
}

func (e hlsEncoder) run(t *testing.T, args ...string) {
	t.Helper()
	proctest.Need(t, "ffmpeg")
	cmd := exec.Command("ffmpeg", append([]string{"-v", "error", "-nostdin", "-f", "lavfi", "-i",
		fmt.Sprintf("sine=f=440:r=48000:d=%v[first];sine=f=440:r=48000,arealtime=limit=600[rest];[first][rest]concat=n=2:v=0:a=1", lead.Seconds())}, args...)...)
	cmd.SysProcAttr, cmd.Env = proctest.DieWithTest(), append(os.Environ(), "TZ=UTC") // as earlier reads it
	var said proctest.Output
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() && said.String() != "" {
			t.Logf("ffmpeg: %s", said.String())
		}
	})
}

// An hlsOrigin serves what an encoder makes, as a node does. It notes which sequence numbers
// players saw.
type hlsOrigin struct {
	url    string
	dir    string
	hold   int // how far behind the live edge players begin, in s; 0: as they like
	server *http.Server

	mu        sync.Mutex
	sequences map[string][]int // by user agent, of the media playlists in the order of their answers
}

// origin starts a node at any free port of an address.
func (e hlsEncoder) origin(t *testing.T, host string, hold int) *hlsOrigin {
	t.Helper()
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	o := &hlsOrigin{url: "http://" + l.Addr().String(), dir: e.dir, hold: hold, sequences: map[string][]int{}}
	o.server = &http.Server{ReadHeaderTimeout: patience, Handler: o}
	go func() { _ = o.server.Serve(l) }()
	t.Cleanup(o.kill)
	return o
}

// kill ends the node as a crash does: connections end, and new ones are refused.
func (o *hlsOrigin) kill() { _ = o.server.Close() }

var (
	mediaSequence  = regexp.MustCompile(`#EXT-X-MEDIA-SEQUENCE:(\d+)`)
	writtenTime    = regexp.MustCompile(`(#EXT-X-PROGRAM-DATE-TIME:|availabilityStartTime=")([0-9T:.-]+)`)
	targetDuration = regexp.MustCompile(`#EXT-X-TARGETDURATION:\d+\n`)
	mpdStart       = regexp.MustCompile(`<MPD `)
	mpdDelay       = regexp.MustCompile(`\s*suggestedPresentationDelay="[^"]*"`)
)

// contentTypes are those of the files that ffmpeg writes.
var contentTypes = map[string]string{".m3u8": "application/vnd.apple.mpegurl", ".mpd": "application/dash+xml", ".m4s": "audio/mp4", ".mp4": "audio/mp4"}

// ServeHTTP serves a file.
func (o *hlsOrigin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	if r.Method == http.MethodOptions {
		w.Header().Set("Access-Control-Allow-Headers", "*")
		return
	}
	path := filepath.Clean("/" + strings.TrimPrefix(r.URL.Path, "/hls/"))
	text, err := os.ReadFile(filepath.Join(o.dir, path))
	if err != nil {
		http.NotFound(w, r)
		return
	}
	kind := filepath.Ext(path)
	if kind == ".m3u8" || kind == ".mpd" {
		text = earlier(text)
	}
	w.Header().Set("Content-Type", contentTypes[kind])
	switch kind {
	case ".m3u8":
		w.Header().Set("Cache-Control", "no-cache")
		o.note(r.UserAgent(), text)
		if o.hold > 0 {
			text = targetDuration.ReplaceAll(text, fmt.Appendf(nil, "$0#EXT-X-SERVER-CONTROL:HOLD-BACK=%d\n", o.hold))
		}
	case ".mpd":
		w.Header().Set("Cache-Control", "no-cache")
		// ffmpeg suggests to play one segment behind: no player has anything in its buffer then.
		// Without a suggestion dash.js plays four behind, as those of HLS play three.
		text = mpdDelay.ReplaceAll(text, nil)
		if o.hold > 0 {
			text = mpdStart.ReplaceAll(text, fmt.Appendf(nil, `<MPD suggestedPresentationDelay="PT%dS" `, o.hold))
		}
	}
	_, _ = w.Write(text) // the player may be gone
}

// earlier puts the times in a playlist back by lead: ffmpeg wrote them as if all sound were
// made while it is played.
func earlier(text []byte) []byte {
	return writtenTime.ReplaceAllFunc(text, func(b []byte) []byte {
		const layout = "2006-01-02T15:04:05.000"
		m := writtenTime.FindSubmatch(b)
		at, err := time.Parse(layout, string(m[2]))
		if err != nil {
			return b
		}
		return []byte(string(m[1]) + at.Add(-lead).Format(layout))
	})
}

func (o *hlsOrigin) note(agent string, list []byte) {
	m := mediaSequence.FindSubmatch(list)
	if m == nil {
		return
	}
	number, _ := strconv.Atoi(string(m[1]))
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sequences[agent] = append(o.sequences[agent], number)
}

// seen returns the sequence numbers that players whose user agent begins so have seen.
func (o *hlsOrigin) seen(agent string) (all []int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for name, numbers := range o.sequences {
		if strings.HasPrefix(name, agent) {
			all = append(all, numbers...)
		}
	}
	return all
}
