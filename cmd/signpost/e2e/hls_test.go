package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/signpost-fm/signpost/director/probe/proctest"
)

// An hlsPlayer is a program that plays a live media playlist, and writes what it plays.
type hlsPlayer struct {
	agent   string // how its user agent begins
	reloads bool   // it reloads its playlist at the director, and not at the node that it was sent to
	notRoot bool   // it refuses to run as root
	args    func(url string) []string
}

var hlsPlayers = map[string]hlsPlayer{
	"streamlink": {agent: "streamlink-test", reloads: true, args: func(url string) []string {
		return []string{"streamlink", "--http-header", "User-Agent=streamlink-test", "--stdout", url, "best"}
	}},
	"ffmpeg": {agent: "Lavf/", args: func(url string) []string {
		return []string{"ffmpeg", "-v", "error", "-i", url, "-c", "copy", "-f", "mpegts", "-"}
	}},
	"mpv": {agent: "mpv-test", args: func(url string) []string {
		return []string{"mpv", "--no-config", "--really-quiet", "--no-video", "--user-agent=mpv-test", "--o=-", "--of=mpegts", "--oac=mp2", url}
	}},
	"vlc": {agent: "VLC/", notRoot: true, args: func(url string) []string {
		return []string{"cvlc", "-q", "--no-video", "--sout", "#transcode{acodec=s16l,channels=1,samplerate=8000}:std{access=file,mux=raw,dst=-}", url}
	}},
	"gstreamer": {agent: "GStreamer", args: func(url string) []string {
		return []string{"gst-launch-1.0", "-q", "uridecodebin3", "uri=" + url, "!", "audioconvert", "!", "fdsink"}
	}},
}

// A real player of a live media playlist stays at its node, whether it reloads the playlist
// there or at the director: two nodes number their segments differently, and a player that
// sees numbers go backwards stalls, or plays again what it has played.
func TestHLSPlayersStay(t *testing.T) {
	t.Parallel()
	nodes := []*hlsOrigin{encodeMedia(t, 0).origin(t, "127.0.0.31", 0), encodeMedia(t, 40).origin(t, "127.0.0.32", 0)}
	config := strings.Replace(configuration(nil, ""), "mounts: [{name: /live.mp3, title: Live}]", "mounts: [/hls/live.m3u8]", 1)
	for i, n := range nodes {
		config += fmt.Sprintf("  - {id: n%d, urls: ['%s'], kind: http}\n", i+1, n.url)
	}
	s := directFile(t, config)
	mount := s.url + "/hls/live.m3u8"
	s.eventually(patience, "both nodes play it", func() bool {
		return strings.Count(s.body("/hls/live.m3u8.m3u"), "http://127.0.0.3") == 2
	})
	for name, player := range hlsPlayers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			played := player.start(t, mount)
			seen := func() (all [][]int) {
				for _, n := range nodes {
					if one := n.seen(player.agent); len(one) > 0 {
						all = append(all, one)
					}
				}
				return all
			}
			reloads := sized(8, 60)
			s.eventually(patience, fmt.Sprintf("%s reloads its playlist %d times", name, reloads), func() bool {
				return len(slices.Concat(seen()...)) >= reloads
			})
			all := seen()
			if len(all) != 1 {
				t.Fatalf("%s went to %d nodes: sequence numbers %v", name, len(all), all)
			}
			if !slices.IsSorted(all[0]) {
				t.Errorf("%s saw sequence numbers go backwards: %v", name, all[0])
			}
			if last := len(all[0]) - 1; all[0][last] == all[0][0] {
				t.Errorf("%s saw no progress: %v", name, all[0])
			}
			asked := s.log.Count(`"user_agent":"` + player.agent)
			if atDirector := asked > 2; atDirector != player.reloads {
				t.Errorf("%s asked the director %d times", name, asked)
			}
			s.eventually(patience, name+" has played some seconds", func() bool { return len(played.String()) >= 10_000 })
		})
	}
}

// start lets a player play until the test ends, and returns what it plays.
func (p hlsPlayer) start(t *testing.T, url string) *proctest.Output {
	t.Helper()
	args := p.args(url)
	proctest.Need(t, args[0])
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = t.TempDir()
	cmd.SysProcAttr, cmd.Env = proctest.DieWithTest(), append(os.Environ(), "HOME="+cmd.Dir)
	if p.notRoot {
		asNobody(t, cmd)
	}
	var played, said proctest.Output
	cmd.Stdout, cmd.Stderr = &played, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s wrote %d bytes, and said: %.3000s", args[0], len(played.String()), said.String())
		}
	})
	return &played
}

// asNobody runs a program that refuses to run as root as another user, in its directory.
func asNobody(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if os.Getuid() != 0 {
		return
	}
	const nobody = 65534
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	reachable(t, cmd.Dir)
	if err := os.Chown(cmd.Dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
}
