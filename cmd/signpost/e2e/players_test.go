package e2e

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director/probe/proctest"
)

// A player plays a URL for some seconds into a file.
type player struct {
	name      string
	program   string
	args      func(url, out string, seconds int) []string
	playlists []string // suffixes of the playlists that it reads by itself
	notRoot   bool     // it refuses to run as root
	script    string   // for a shell, with those args, if the program is no command that ends
}

var players = []player{
	{
		name: "curl", program: "curl",
		args: func(url, out string, seconds int) []string {
			return []string{"-sL", "--max-time", strconv.Itoa(seconds), "-o", out, url}
		},
	},
	{
		name: "ffmpeg", program: "ffmpeg",
		args: func(url, out string, seconds int) []string {
			return []string{"-v", "error", "-y", "-i", url, "-t", strconv.Itoa(seconds), out}
		},
	},
	{
		name: "mpv", program: "mpv", playlists: []string{".m3u", ".pls"},
		args: func(url, out string, seconds int) []string {
			return []string{"--no-config", "--no-video", "--ao=pcm", "--ao-pcm-file=" + out, "--length=" + strconv.Itoa(seconds), url}
		},
	},
	{
		name: "mpg123", program: "mpg123", playlists: []string{".m3u", ".pls"},
		args: func(url, out string, seconds int) []string {
			args := []string{"-q", "-w", out, "-n", strconv.Itoa(seconds * 1000 / 26)} // frames of 26 ms
			if !strings.HasSuffix(url, ".mp3") {
				args = append(args, "-@")
			}
			return append(args, url)
		},
	},
	{
		name: "mplayer", program: "mplayer",
		args: func(url, out string, seconds int) []string {
			return []string{"-really-quiet", "-noconsolecontrols", "-vo", "null", "-ao", "pcm:file=" + out, "-endpos", strconv.Itoa(seconds), url}
		},
	},
	{
		name: "cmus", program: "cmus", script: recordWithCmus,
		args: func(url, out string, seconds int) []string { return []string{url, out, strconv.Itoa(seconds)} },
	},
	{
		name: "vlc", program: "cvlc", playlists: []string{".m3u", ".pls", ".xspf"}, notRoot: true,
		args: func(url, out string, seconds int) []string {
			return []string{
				"-q", "--run-time=" + strconv.Itoa(seconds), "--no-video",
				"--sout", "#transcode{acodec=s16l,channels=1,samplerate=44100}:std{access=file,mux=wav,dst=" + out + "}", url, "vlc://quit",
			}
		},
	},
}

// recordWithCmus gives cmus a terminal, a file to play into, and orders from outside.
const recordWithCmus = `
mkdir cmus && printf 'set %s\n' mpris=false output_plugin=ao dsp.ao.driver=wav "dsp.ao.wav_dir=$PWD" >cmus/rc
export XDG_CONFIG_HOME="$PWD" XDG_RUNTIME_DIR="$PWD" TERM=xterm
tell() { cmus-remote --server "$PWD/s" "$@"; }
(echo; exec sleep $(($3 + 15))) 2>&- | script -qfc "cmus --listen $PWD/s" /dev/null >/dev/null 2>&1 &
until tell -Q >/dev/null 2>&1; do sleep .1; done
tell --file "$1"
until [ -s 01.wav ]; do sleep .1; done
sleep "$3"
tell --stop
tell --raw quit
kill $! 2>&-
mv 01.wav "$2"
`

// play runs a player for some seconds and returns its recording.
func play(t *testing.T, p player, url string, seconds int) string {
	t.Helper()
	proctest.Need(t, p.program)
	path := p.program
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience+time.Duration(seconds)*time.Second)
	defer cancel()
	out := filepath.Join(dir, "sound.wav")
	args := p.args(url, out, seconds)
	if p.script != "" {
		path, args = "sh", append([]string{"-c", p.script, p.name}, args...)
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir)
	cmd.SysProcAttr = proctest.DieWithTest()
	if p.notRoot {
		asNobody(t, cmd)
	}
	said, err := cmd.CombinedOutput()
	if _, statErr := os.Stat(out); statErr != nil {
		t.Fatalf("%s %s recorded nothing: %v\n%s", p.name, url, err, said)
	}
	return out
}

// reachable lets other users pass through the temporary directories above dir.
func reachable(t *testing.T, dir string) {
	t.Helper()
	for d := filepath.Dir(dir); strings.HasPrefix(d, os.TempDir()) && d != os.TempDir(); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o711); err != nil {
			t.Fatal(err)
		}
	}
}

// Real players play the node that was chosen: by redirect, from each playlist
// they read, and carried inline. Which node it is shows in the log of neither
// side: it is heard.
func TestPlayers(t *testing.T) {
	t.Parallel()
	fleet := nodes(t)
	const onlySecond = "regions: [{id: all, match: default, weights: {n1: 0, n2: 1, n3: 0}}]\n"
	redirecting := direct(t, fleet, onlySecond)
	carrying := direct(t, fleet, onlySecond+"rules: [{name: everyone, answer: proxy}]\n")
	for _, p := range players {
		for what, url := range ways(p, redirecting, carrying) {
			t.Run(p.name+"/"+what, func(t *testing.T) {
				t.Parallel()
				if got := heard(t, play(t, p, url, 2), tones); got != tones[1] {
					t.Errorf("heard %d Hz, want the %d Hz of n2", got, tones[1])
				}
			})
		}
	}
	// What plays nothing by itself reads the playlist's first entry.
	for _, format := range []string{"m3u", "pls", "xspf", "asx", "json"} {
		t.Run("first entry of "+format, func(t *testing.T) {
			t.Parallel()
			url := firstEntry(t, redirecting, "/live.mp3."+format)
			if got := heard(t, play(t, players[1], url, 2), tones); got != tones[1] {
				t.Errorf("%s: heard %d Hz, want %d", url, got, tones[1])
			}
		})
	}
}

func ways(p player, redirecting, carrying *signpost) map[string]string {
	out := map[string]string{"redirect": redirecting.url + "/live.mp3"}
	if p.name == "ffmpeg" { // TestInlinePlayersHearTheSource has them all
		out["inline"] = carrying.url + "/live.mp3"
	}
	for _, suffix := range p.playlists {
		out["playlist "+suffix] = redirecting.url + "/live.mp3" + suffix
	}
	return out
}

// firstEntry finds the first URL of a node in a playlist of any format.
func firstEntry(t *testing.T, s *signpost, path string) string {
	t.Helper()
	resp := s.get(path, "203.0.113.1", "test")
	defer resp.Body.Close()
	body := make([]byte, 4096)
	n, _ := resp.Body.Read(body)
	text := string(body[:n])
	i := strings.Index(text, "http://127.0.0.")
	if resp.StatusCode != http.StatusOK || i < 0 {
		t.Fatalf("%s: %s\n%s", path, resp.Status, text)
	}
	end := strings.IndexAny(text[i:], "\"<\r\n ")
	return text[i : i+end]
}
