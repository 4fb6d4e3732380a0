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

	"github.com/signpost-fm/signpost/director/probe/proctest"
)

// An hlsEncoder makes a live stream in segments, fMP4 that ffmpeg's muxers write into a
// directory.
type hlsEncoder struct {
	dir string
	// list is the path of the playlist that listeners ask for first, below dir.
	list string
}

// encodeMedia makes a media playlist, with segments of 1 s whose numbers begin at first. They
// hold MP3, for which GStreamer has a decoder among its good plugins.
func encodeMedia(t *testing.T, first int) hlsEncoder {
	t.Helper()
	e := hlsEncoder{dir: t.TempDir(), list: "live.m3u8"}
	e.run(t, "-c:a", "libmp3lame", "-b:a", "64k",
		"-f", "hls", "-hls_segment_type", "fmp4", "-hls_time", "1", "-hls_list_size", "6", "-hls_delete_threshold", "6", "-hls_flags", "delete_segments+temp_file",
		"-start_number", strconv.Itoa(first), filepath.Join(e.dir, "live.m3u8"))
	return e
}

// encodeVariants makes a multivariant playlist, live.m3u8, and an MPD, live.mpd: audio of two
// bit rates, in segments of 2 s.
func encodeVariants(t *testing.T) hlsEncoder {
	t.Helper()
	e := hlsEncoder{dir: t.TempDir(), list: "live.m3u8"}
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
	cmd := exec.Command("ffmpeg", append([]string{"-v", "error", "-nostdin", "-re", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"}, args...)...)
	cmd.SysProcAttr = proctest.DieWithTest()
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

// An hlsOrigin serves what an encoder makes, as a node does. It notes which segments it gave
// away, and which sequence numbers players saw.
type hlsOrigin struct {
	t       *testing.T
	url     string
	encoder hlsEncoder
	// hold is how far behind the live edge players begin, in s; 0: as they like.
	hold int

	mu        sync.Mutex
	server    *http.Server
	segments  int
	sequences map[string][]int // by user agent, of the media playlists in the order of their answers
}

// origin starts a node at any free port of an address.
func (e hlsEncoder) origin(t *testing.T, host string, hold int) *hlsOrigin {
	t.Helper()
	o := &hlsOrigin{t: t, encoder: e, hold: hold, sequences: map[string][]int{}}
	o.listen(host + ":0")
	t.Cleanup(o.kill)
	return o
}

func (o *hlsOrigin) listen(addr string) {
	o.t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		o.t.Fatal(err)
	}
	o.url = "http://" + l.Addr().String()
	server := &http.Server{ReadHeaderTimeout: patience, Handler: o}
	o.mu.Lock()
	o.server = server
	o.mu.Unlock()
	go func() { _ = server.Serve(l) }()
}

// kill ends the node as a crash of its machine's web server does: connections end, and new ones are refused.
func (o *hlsOrigin) kill() {
	o.mu.Lock()
	defer o.mu.Unlock()
	_ = o.server.Close()
}

// revive lets a node that was killed serve again.
func (o *hlsOrigin) revive() {
	o.t.Helper()
	o.listen(strings.TrimPrefix(o.url, "http://"))
}

var (
	mediaSequence  = regexp.MustCompile(`#EXT-X-MEDIA-SEQUENCE:(\d+)`)
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
	text, err := os.ReadFile(filepath.Join(o.encoder.dir, path))
	if err != nil {
		http.NotFound(w, r)
		return
	}
	kind := filepath.Ext(path)
	w.Header().Set("Content-Type", contentTypes[kind])
	switch kind {
	case ".m4s":
		o.mu.Lock()
		o.segments++
		o.mu.Unlock()
	case ".m3u8":
		w.Header().Set("Cache-Control", "no-cache")
		o.note(r.UserAgent(), text)
		if o.hold > 0 {
			text = targetDuration.ReplaceAll(text, fmt.Appendf(nil, "$0#EXT-X-SERVER-CONTROL:HOLD-BACK=%d\n", o.hold))
		}
	case ".mpd":
		w.Header().Set("Cache-Control", "no-cache")
		if o.hold > 0 {
			text = mpdStart.ReplaceAll(mpdDelay.ReplaceAll(text, nil), fmt.Appendf(nil, `<MPD suggestedPresentationDelay="PT%dS" `, o.hold))
		}
	}
	_, _ = w.Write(text) // the player may be gone
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

// given returns how many segments the node gave away.
func (o *hlsOrigin) given() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.segments
}
