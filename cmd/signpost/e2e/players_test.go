package e2e

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A player plays a URL for two seconds or so into a file.
type player struct {
	name      string
	program   string
	args      func(url, out string) []string
	playlists []string // suffixes of the playlists that it reads by itself
	notRoot   bool     // it refuses to run as root
}

var players = []player{
	{
		name: "curl", program: "curl",
		args: func(url, out string) []string { return []string{"-sL", "--max-time", "2", "-o", out, url} },
	},
	{
		name: "ffmpeg", program: "ffmpeg",
		args: func(url, out string) []string { return []string{"-v", "error", "-y", "-i", url, "-t", "2", out} },
	},
	{
		name: "mpv", program: "mpv", playlists: []string{".m3u", ".pls"},
		args: func(url, out string) []string {
			return []string{"--no-config", "--no-video", "--ao=pcm", "--ao-pcm-file=" + out, "--length=2", url}
		},
	},
	{
		name: "mpg123", program: "mpg123", playlists: []string{".m3u", ".pls"},
		args: func(url, out string) []string {
			args := []string{"-q", "-w", out, "-n", "80"} // frames of 26 ms
			if !strings.HasSuffix(url, ".mp3") {
				args = append(args, "-@")
			}
			return append(args, url)
		},
	},
	{
		name: "vlc", program: "cvlc", playlists: []string{".m3u", ".pls", ".xspf"}, notRoot: true,
		args: func(url, out string) []string {
			return []string{"-q", "--run-time=2", "--no-video", "--sout", "#transcode{acodec=s16l,channels=1,samplerate=44100}:std{access=file,mux=wav,dst=" + out + "}", url, "vlc://quit"}
		},
	},
}

// play runs a player and returns its recording.
func play(t *testing.T, p player, url string) string {
	t.Helper()
	path, err := exec.LookPath(p.program)
	if err != nil {
		t.Fatalf("%v: `make test` installs it", err)
	}
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	out := filepath.Join(dir, "sound.wav")
	cmd := exec.CommandContext(ctx, path, p.args(url, out)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if p.notRoot && os.Getuid() == 0 {
		const nobody = 65534
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
		reachable(t, dir)
		if err := os.Chown(dir, nobody, nobody); err != nil {
			t.Fatal(err)
		}
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
				if got := heard(t, play(t, p, url), tones); got != tones[1] {
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
			if got := heard(t, play(t, players[1], url), tones); got != tones[1] {
				t.Errorf("%s: heard %d Hz, want %d", url, got, tones[1])
			}
		})
	}
}

func ways(p player, redirecting, carrying *signpost) map[string]string {
	out := map[string]string{
		"redirect": redirecting.url + "/live.mp3",
		"inline":   carrying.url + "/live.mp3",
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
