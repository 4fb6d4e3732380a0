package demonode

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signpost-fm/signpost/director/probe/proctest"
)

// text returns an answer's body.
func text(t *testing.T, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The playlists lead to the segments, and what is not among them is not there.
func TestHLS(t *testing.T) {
	t.Parallel()
	n := start(t, Options{Name: "fra1", HLS: true})
	many := text(t, get(t, n.URL()+"/live.m3u8"))
	if !strings.Contains(many, `CODECS="mp4a.40.34"`+"\nlive/audio.m3u8\n") {
		t.Errorf("multivariant playlist %q", many)
	}
	list := text(t, get(t, n.URL()+"/live/audio.m3u8"))
	named := regexp.MustCompile(`(?m)^(\d+)\.mp3$`).FindAllStringSubmatch(list, -1)
	first, _ := strconv.ParseInt(named[0][1], 10, 64)
	if len(named) != segmentsListed || !strings.Contains(list, "#EXT-X-MEDIA-SEQUENCE:"+named[0][1]+"\n") || strings.Count(list, "#EXTINF:1.920,\n") != segmentsListed {
		t.Errorf("media playlist %q", list)
	}
	resp := get(t, n.URL()+"/live/"+named[segmentsListed-1][1]+".mp3")
	if got := text(t, resp); resp.StatusCode != http.StatusOK || len(got) != segmentSize {
		t.Errorf("segment: %s, %d bytes, want %d", resp.Status, len(got), segmentSize)
	}
	if status := text(t, get(t, n.URL()+"/status-json.xsl?mount=/live.m3u8")); !strings.Contains(status, `"server_type":"application/vnd.apple.mpegurl"`) {
		t.Errorf("status %s", status)
	}
	if resp := get(t, start(t, Options{Name: "fra2"}).URL()+"/live.m3u8"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("a node without HLS: %s", resp.Status)
	}
	for _, name := range []string{strconv.FormatInt(first-100, 10) + ".mp3", strconv.FormatInt(first+100, 10) + ".mp3", "x.mp3", ".mp3", named[0][1]} {
		if resp := get(t, n.URL()+"/live/"+name); resp.StatusCode != http.StatusNotFound {
			t.Errorf("GET /live/%s: %s", name, resp.Status)
		}
	}
}

// Two nodes, one of which began later, have the same numbers at the same time, and number by
// number the playlist goes on with the clock.
func TestHLSNumbers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sequence := regexp.MustCompile(`#EXT-X-MEDIA-SEQUENCE:(\d+)`)
		at := func() (n int64) {
			live := int64(time.Duration(time.Now().UnixNano()) / segmentTime)
			n, _ = strconv.ParseInt(sequence.FindStringSubmatch(string(mediaPlaylist(live)))[1], 10, 64)
			return n
		}
		before := at()
		time.Sleep(100 * segmentTime)
		if after := at(); after != before+100 {
			t.Errorf("media sequence %d, and %d after 100 segments", before, after)
		}
	})
}

// Segments that follow each other are the tune without a gap, and each tells when it begins.
func TestHLSSegments(t *testing.T) {
	t.Parallel()
	tune := Tunes()[1]
	const number = 920_000_000 // in the year 2025
	var sound []byte
	for i := range int64(40) { // longer than the loop
		s := tune.segment(number + i)
		if got, want := s[id3Size-8:id3Size], (number+i)*172_800%(1<<33); got[0] != 0 || got[3] != byte(want>>32) || got[7] != byte(want) {
			t.Errorf("segment %d begins at % x, want %x", number+i, got, want)
		}
		sound = append(sound, s[id3Size:]...)
	}
	for i := 0; i < len(sound); i += frameBytes {
		if !bytes.Equal(sound[i:i+frameBytes], tune.frame(number*segmentFrames+i/frameBytes)) {
			t.Fatalf("frame %d is not the tune's", i/frameBytes)
		}
	}
}

// A real demultiplexer takes the times from the segments.
func TestHLSSegmentTimes(t *testing.T) {
	t.Parallel()
	proctest.Need(t, "ffmpeg", "ffprobe")
	file := filepath.Join(t.TempDir(), "1.mp3")
	if err := os.WriteFile(file, Tunes()[0].segment(1), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "ffprobe", "-v", "error", "-show_entries", "format=duration:format_tags:stream=codec_name,sample_rate", "-of", "default=nw=1", file).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "codec_name=mp3\nsample_rate=24000\n") ||
		!strings.Contains(string(out), `TAG:id3v2_priv.com.apple.streaming.transportStreamTimestamp=\x00\x00\x00\x00\x00\x02\xa3\x00`) {
		t.Errorf("ffprobe: %v\n%s", err, out)
	}
}
