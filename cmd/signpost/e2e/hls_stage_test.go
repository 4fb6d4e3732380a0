package e2e

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/signpost-fm/signpost/director/probe/proctest"
	"github.com/signpost-fm/signpost/web/admin/dashboard/browsertest"
)

//go:embed testdata/sessions.html
var sessionsPage []byte

// webPlayers names the players' files, as .ci/install-web-players reads them.
//
//go:embed testdata/web-players
var webPlayers string

// A stage is a browser's tab in which players of web pages play.
type stage struct {
	t   *testing.T
	tab *browsertest.Tab
}

// A session is what one of a stage's players has gone through.
type session struct {
	Index  int // among those of the stage
	Player string
	Begun  bool // it has played some seconds
	Node   string
	Moves  []struct { // the first is where it began
		At float64 // ms since 1970
		To string
	}
	Stalls []stall // after it had begun
	Low    float64 // the least that was left in the buffer since it had begun, in s; -1: it has not
	Ahead  float64 // what is left now, in s
	Time   float64 // what the player says is the place in the stream, in s
	Faults []string
}

// A stall is a time without sound.
type stall struct {
	At             float64 // ms since 1970
	Seconds, Ahead float64
	Seeking        bool
}

// openStage opens a tab with the players.
func openStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{t: t, tab: browsertest.Start(t)}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(sessionsPage)
	})
	for line := range strings.Lines(webPlayers) {
		if fields := strings.Fields(line); !strings.HasPrefix(line, "#") {
			script := webPlayer(t, fields[0]+"-"+fields[1]+".js", fields[3])
			mux.HandleFunc("/"+strings.TrimSuffix(fields[0], ".js")+".js", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/javascript")
				_, _ = w.Write(script)
			})
		}
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s.tab.Go(server.URL)
	s.tab.Await("the players are loaded", "window.Hls && window.shaka && window.dashjs && window.videojs")
	return s
}

// webPlayer reads a player that .ci/install-web-players has installed.
func webPlayer(t *testing.T, name, sum string) []byte {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile(filepath.Join(cache, "signpost-tests", name))
	if got := sha256.Sum256(script); err != nil || hex.EncodeToString(got[:]) != sum {
		proctest.Absent(t, name)
	}
	return script
}

// play starts n sessions of a player.
func (s *stage) play(player, url string, n int) {
	s.t.Helper()
	browsertest.Eval[chromedp.Void](s.tab, fmt.Sprintf("play(%q, %q, %d)", player, url, n))
}

// sessions returns all sessions.
func (s *stage) sessions() []session {
	s.t.Helper()
	return browsertest.Eval[[]session](s.tab, "sessions.map((s) => s.report())")
}

// until waits until what is true of all sessions.
func (s *stage) until(within time.Duration, what string, holds func(session) bool) time.Duration {
	s.t.Helper()
	begin := time.Now()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		var not []session
		for _, one := range s.sessions() {
			if !holds(one) {
				not = append(not, one)
			}
		}
		if len(not) == 0 {
			return time.Since(begin)
		}
		if time.Since(begin) > within {
			s.t.Fatalf("not within %v: %s: %d sessions, such as %+v\nfaults: %.3000q", within, what, len(not), not[0], s.tab.Faults())
		}
		<-tick.C
	}
}
