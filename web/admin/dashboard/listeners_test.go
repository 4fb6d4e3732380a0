package dashboard_test

import (
	"log/slog"
	"maps"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/probe/probetest"
	"github.com/signpost-fm/signpost/web"
	"github.com/signpost-fm/signpost/web/admin/dashboard/browsertest"
)

// A publicSide is a director's public side with its page for listeners.
type publicSide struct {
	*httptest.Server
	view atomic.Pointer[director.View]
}

type nobody struct{}

func (nobody) Used(int) int    { return 0 }
func (nobody) Recent(int) int  { return 0 }
func (nobody) Expect(int, int) {}
func (nobody) Count(int)       {}

// say makes what the one node at url reports the truth.
func (s *publicSide) say(t *testing.T, url string, mounts []director.Mount, told ...director.MountReport) {
	t.Helper()
	fleet, err := director.Compile(director.Config{
		Nodes: []director.Node{{ID: "n1", URLs: []string{url}}}, Mounts: mounts,
		Regions: []director.Region{{ID: "all", Match: director.Match{Default: true}, Row: []director.Weight{{Node: "n1", Weight: 1, Given: true}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	report := director.Report{Node: "n1", Taken: time.Now(), Since: time.Now(), Health: director.Up, Mounts: told}
	s.view.Store(&director.View{Snapshot: fleet.Build(nil, director.Input{Now: time.Now(), Reports: map[director.NodeID]director.Report{"n1": report}}), Live: nobody{}})
}

func broadcast(t *testing.T, title string) *publicSide {
	t.Helper()
	s := &publicSide{}
	public, err := web.New(web.Config{
		View: func() director.View { return *s.view.Load() }, Locate: func(netip.Addr) director.Place { return director.Place{} },
		Log: slog.New(slog.DiscardHandler), Policy: web.Policy{Page: true, PageTitle: title},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Server = httptest.NewServer(public.Handler())
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s
}

// The pages for listeners, as every look has them, with and without script.
func TestListenersLooks(t *testing.T) {
	t.Parallel()
	s := broadcast(t, "Radio Größenwahn und Söhne am Donaudampfschifffahrtsgesellschaftshafen")
	s.say(t, "http://n1.example", []director.Mount{
		{Name: "/live.mp3", Title: "Studio", Type: "audio/mpeg", Kbit: 192},
		{Name: "/a/rather/long/path/" + strings.Repeat("without-a-break", 8) + ".aac", Type: "audio/aac"},
		{Name: "/night.ogg", Title: "Nocturne", Type: "application/ogg"},
	}, director.MountReport{Path: "/live.mp3", Title: "Gilla Band - " + strings.Repeat("Going Norway and other places that are far ", 4)},
		director.MountReport{Path: "/a/rather/long/path/" + strings.Repeat("without-a-break", 8) + ".aac", Title: strings.Repeat("Donaudampfschiff", 9)})
	for name, path := range map[string]string{"listeners": "/", "listeners-plain": "/", "listeners-fault": "/night.ogg"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := browsertest.Start(t)
			if name == "listeners-plain" {
				browsertest.Call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
			}
			for _, look := range slices.Sorted(maps.Keys(browsertest.Looks)) {
				b.As(browsertest.Looks[look])
				b.Go(s.URL + path)
				b.Screenshot(name + "-" + look)
				if name == "listeners-plain" {
					b.Await("the browser's own controls", `document.querySelectorAll('audio[controls]').length === 2 && !document.querySelector('.ready')`)
				}
				holdBars(t, b, name+"-"+look)
				if name != "listeners-plain" && (look == "1440-light" || look == "390-light") { // axe is script, too
					holdAxe(t, b, name+"-"+look)
				}
			}
			if name != "listeners-fault" { // whose status is on the console
				noFaults(t, b)
			}
		})
	}
}

// A phone plays a real node through the page, hears nothing twice, and says so when the node
// is gone.
func TestListenersPlay(t *testing.T) {
	t.Parallel()
	node := probetest.Icecast(t, probetest.Options{Mounts: []probetest.Mount{{Path: "/live.mp3", Kbit: 64, Hz: 440}}})
	s := broadcast(t, "Radio")
	mounts := []director.Mount{{Name: "/live.mp3", Title: "Studio", Type: "audio/mpeg"}, {Name: "/other.mp3", Title: "Other"}}
	now := func(title string) []director.MountReport {
		return []director.MountReport{{Path: "/live.mp3", Title: title}, {Path: "/other.mp3"}}
	}
	s.say(t, node.URL(), mounts, now("First song")...)
	b := browsertest.Start(t)
	b.As(browsertest.Looks["390-light"])
	b.Go(s.URL)
	const button, audio = `document.querySelector('#mount-0 button')`, `document.querySelector('#mount-0 audio')`
	state := func(text string) string {
		return `document.querySelector('#mount-0 .state').textContent.startsWith('` + text + `')`
	}
	b.Await("its name", button+`.ariaLabel === 'Play Studio'`)
	b.ClickOn(button)
	b.Await("it plays", state("Playing")+" && "+audio+".currentTime > 0.2 && "+button+".ariaLabel === 'Stop Studio'")
	b.Screenshot("listeners-playing")
	if n := node.Listeners(); n != 1 {
		t.Errorf("%d listeners at the node, want 1", n)
	}
	s.say(t, node.URL(), mounts, now("Second song")...)
	browsertest.Eval[chromedp.Void](b, "refresh()")
	b.Await("what plays now", `document.querySelector('.now').textContent === 'Second song' && navigator.mediaSession.metadata.title === 'Second song'`)
	b.ClickOn(button)
	b.Await("it is stopped", button+".ariaLabel === 'Play Studio' && "+audio+".networkState === 0")
	for deadline := time.Now().Add(browsertest.Patience); node.Listeners() != 0; <-time.After(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("who stopped is still at the node")
		}
	}
	b.ClickOn(button)
	b.Await("it plays again", state("Playing"))
	browsertest.Eval[chromedp.Void](b, "times.retries.fill(10); times.idle = 1000") // Chromium waits for a server that is gone
	node.Kill()
	b.Await("it says that it cannot", state("It cannot be played")+` && document.querySelector('#mount-0 .state a').href.endsWith('/live.mp3')`)

	other := browsertest.Start(t)
	other.Go(s.URL)
	other.ClickOn(`document.querySelector('#mount-1 button')`) // no such mount at the node
	other.Await("it says so at once", `document.querySelector('#mount-1 .state').textContent.startsWith('It cannot be played')`)
}
