package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
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

// An hlsNode serves a live HLS stream that an encoder of its own makes, and notes what
// players saw.
type hlsNode struct {
	url string

	mu        sync.Mutex
	sequences map[string][]int // by user agent, of the playlists in the order of their answers
}

// A real player that reloads a live media playlist at the director stays at its node: two
// nodes number their segments differently, and a player that sees numbers go backwards stalls
// or plays again what it has played. Streamlink reloads at the director each time, ffmpeg at
// the node that it was sent to.
func TestHLSPlayersStay(t *testing.T) {
	t.Parallel()
	proctest.Need(t, "ffmpeg", "streamlink")
	nodes := []*hlsNode{startHLS(t, "127.0.0.31", 0), startHLS(t, "127.0.0.32", 40)}
	config := strings.Replace(configuration(nil, ""), "mounts: [{name: /live.mp3, title: Live}]", "mounts: [/hls/live.m3u8]", 1)
	for i, n := range nodes {
		config += fmt.Sprintf("  - {id: n%d, urls: ['%s'], kind: http}\n", i+1, n.url)
	}
	s := directFile(t, config)
	mount := s.url + "/hls/live.m3u8"
	s.eventually(patience, "both nodes play it", func() bool {
		return strings.Count(s.body("/hls/live.m3u8.m3u"), "http://127.0.0.3") == 2
	})
	for name, player := range map[string]struct {
		agent     string
		reloads   bool // at the director
		arguments []string
	}{
		"streamlink": {"streamlink-test", true, []string{"streamlink", "--http-header", "User-Agent=streamlink-test", "--stdout", mount, "best"}},
		"ffmpeg":     {"Lavf/", false, []string{"ffmpeg", "-v", "error", "-i", mount, "-c", "copy", "-f", "mpegts", "-"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			cmd := exec.CommandContext(ctx, player.arguments[0], player.arguments[1:]...)
			cmd.SysProcAttr, cmd.Env = proctest.DieWithTest(), append(os.Environ(), "HOME="+t.TempDir())
			var played, said proctest.Output
			cmd.Stdout, cmd.Stderr = &played, &said
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { cancel(); _ = cmd.Wait() }()
			seen := func() (all [][]int) {
				for _, n := range nodes {
					if one := n.seen(player.agent); len(one) > 0 {
						all = append(all, one)
					}
				}
				return all
			}
			s.eventually(patience, name+" reloads its playlist eight times", func() bool {
				n := 0
				for _, one := range seen() {
					n += len(one)
				}
				return n >= 8
			})
			all := seen()
			if len(all) != 1 {
				t.Fatalf("%s went to %d nodes: sequence numbers %v", name, len(all), all)
			}
			for i, n := range all[0][1:] {
				if n < all[0][i] {
					t.Errorf("%s saw sequence numbers go backwards: %v", name, all[0])
				}
			}
			if last := len(all[0]) - 1; all[0][last] == all[0][0] {
				t.Errorf("%s saw no progress: %v", name, all[0])
			}
			asked := strings.Count(s.log.String(), `"user_agent":"`+player.agent)
			if reloads := asked > 2; reloads != player.reloads {
				t.Errorf("%s asked the director %d times", name, asked)
			}
			if played := len(played.String()); played < 10_000 {
				t.Errorf("%s played %d bytes: %s", name, played, said.String())
			}
		})
	}
}

func startHLS(t *testing.T, host string, first int) *hlsNode {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command("ffmpeg", "-v", "error", "-nostdin", "-re", "-f", "lavfi", "-i", "sine=frequency=440", "-c:a", "aac", "-b:a", "64k",
		"-f", "hls", "-hls_time", "1", "-hls_list_size", "6", "-hls_delete_threshold", "6", "-hls_flags", "delete_segments", "-start_number", strconv.Itoa(first),
		filepath.Join(dir, "live.m3u8"))
	cmd.SysProcAttr = proctest.DieWithTest()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	n := &hlsNode{url: "http://" + l.Addr().String(), sequences: map[string][]int{}}
	files := http.StripPrefix("/hls/", http.FileServer(http.Dir(dir)))
	server := &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/hls/live.m3u8" {
			files.ServeHTTP(w, r)
			return
		}
		list, err := os.ReadFile(filepath.Join(dir, "live.m3u8"))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		n.note(r.UserAgent(), list)
		w.Header().Set("Content-Type", "application/vnd.apple.mpegurl")
		_, _ = io.Copy(w, bytes.NewReader(list)) // the player may be gone
	})}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return n
}

var mediaSequence = regexp.MustCompile(`#EXT-X-MEDIA-SEQUENCE:(\d+)`)

func (n *hlsNode) note(agent string, list []byte) {
	m := mediaSequence.FindSubmatch(list)
	if m == nil {
		return
	}
	number, _ := strconv.Atoi(string(m[1]))
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sequences[agent] = append(n.sequences[agent], number)
}

// seen returns the sequence numbers that players whose user agent begins so have seen.
func (n *hlsNode) seen(agent string) (all []int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for name, numbers := range n.sequences {
		if strings.HasPrefix(name, agent) {
			all = append(all, numbers...)
		}
	}
	return all
}
