package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/hls"
	"github.com/signpost-fm/signpost/web/hls/origin"
)

// steered is a world with an HLS mount at fra1, ber1 and ams1, with equal weights, between which
// players can be moved.
type steered struct {
	*world
	kind origin.Kind
	odd  []director.NodeID
}

func newSteered(t *testing.T, change func(*Config)) *steered {
	t.Helper()
	w := &steered{kind: origin.Multivariant}
	w.world = newWorld(t, func(c *Config) {
		c.Playlists = w.playlists
		c.Policy.PerKey, c.Policy.PerAddress = -1, -1
		if change != nil {
			change(c)
		}
	})
	w.fleet.Mounts = append(w.fleet.Mounts, director.Mount{Name: "/hls/live.m3u8", Aliases: []string{"/hls"}})
	w.fleet.Regions[0].Row = weights("fra1", "ber1", "ams1")
	w.build()
	return w
}

// playlists is what package origin tells.
func (w *steered) playlists(mount string, scheme director.Scheme) *origin.Mount {
	if mount != "/hls/live.m3u8" {
		return nil
	}
	m := &origin.Mount{Kind: w.kind, Playlists: map[director.NodeID]*origin.Playlist{}, Odd: w.odd, Others: w.odd}
	for _, n := range w.fleet.Nodes {
		for _, raw := range n.URLs {
			at, err := url.Parse(raw + "/hls/live.m3u8")
			if err != nil || (at.Scheme == "https") != (scheme == director.HTTPS) || slices.Contains(w.odd, n.ID) {
				continue
			}
			p := &origin.Playlist{Kind: origin.Multivariant}
			if p.Multivariant, err = hls.ParseMultivariant([]byte("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=128000,CODECS=\"mp4a.40.2\"\n128.m3u8\n"), at); err != nil {
				w.t.Error(err)
			}
			m.Playlists[n.ID] = p
		}
		if m.Playlists[n.ID] == nil && !slices.Contains(w.odd, n.ID) {
			m.Others = append(m.Others, n.ID)
		}
	}
	return m
}

var (
	steerURI  = regexp.MustCompile(`SERVER-URI="([^"]*)"`)
	pathwayID = regexp.MustCompile(`#EXT-X-STREAM-INF:.*PATHWAY-ID="([^"]*)"`)
)

// load asks for the playlist, and returns the steering URL and the pathways in their order.
func (w *steered) load(a ask) (steer string, pathways []string) {
	w.t.Helper()
	rec := w.do(a)
	if rec.Code != http.StatusOK || rec.Header().Get("Content-Type") != "application/vnd.apple.mpegurl" || rec.Header().Get("Cache-Control") != "no-store" {
		w.t.Fatalf("%s: %d %v", a.url, rec.Code, rec.Header())
	}
	m := steerURI.FindStringSubmatch(rec.Body.String())
	if m == nil {
		w.t.Fatalf("no steering:\n%s", rec.Body)
	}
	for _, p := range pathwayID.FindAllStringSubmatch(rec.Body.String(), -1) {
		pathways = append(pathways, p[1])
	}
	return m[1], pathways
}

// manifest is a steering answer.
type manifest struct {
	Version  int      `json:"VERSION"`
	TTL      int      `json:"TTL"`
	Reload   string   `json:"RELOAD-URI"`
	Priority []string `json:"PATHWAY-PRIORITY"`
}

// ask asks the steering server, as a player that plays from a pathway; empty: it tells none.
func (w *steered) ask(at, pathway string) (m manifest) {
	w.t.Helper()
	if pathway != "" {
		at += "&_HLS_pathway=%22" + pathway + "%22&_HLS_throughput=1000000"
	}
	rec := w.get(at)
	if rec.Code != http.StatusOK || rec.Header().Get("Content-Type") != "application/json" || rec.Header().Get("Access-Control-Allow-Origin") != "*" {
		w.t.Fatalf("%s: %d %v %s", at, rec.Code, rec.Header(), rec.Body)
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &m); err != nil {
		w.t.Fatalf("%s: %v", rec.Body, err)
	}
	if m.Version != 1 || m.TTL < 5 || !strings.HasPrefix(m.Reload, "http://radio.example/hls/live.m3u8.steer?s=") || len(m.Priority) == 0 {
		w.t.Errorf("%s: %s", at, rec.Body)
	}
	return m
}

func (w *steered) sessions() (n int) {
	for _, mounts := range w.Server.sessions.Count(w.cfg.Now()) {
		for _, c := range mounts {
			n += c
		}
	}
	return n
}

// TestSteering follows one player from its playlist on.
func TestSteering(t *testing.T) {
	t.Parallel()
	w := newSteered(t, nil)
	steer, pathways := w.load(ask{url: "/hls/live.m3u8"})
	if len(pathways) != 3 || !strings.HasPrefix(steer, "http://radio.example/hls/live.m3u8.steer?s=") {
		t.Fatalf("%q at %s", pathways, steer)
	}
	first := pathways[0]
	if w.live.total() != 1 || w.sessions() != 0 || w.lastRecord().Answer != Pathways || string(w.lastRecord().Node) != first {
		t.Errorf("after the playlist: %d on the way, %d sessions, %+v", w.live.total(), w.sessions(), w.lastRecord())
	}
	records := len(w.record)
	for range 10 {
		m := w.ask(steer, first)
		if m.Priority[0] != first || len(m.Priority) != 3 || m.TTL != 10 {
			t.Fatalf("nothing has changed, and %+v", m)
		}
		steer = m.Reload
		w.tick(10 * time.Second)
	}
	if w.live.total() != 1 || w.sessions() != 1 || len(w.record) != records {
		t.Errorf("who plays on is one listener: %d on the way, %d sessions, %d records", w.live.total(), w.sessions(), len(w.record)-records)
	}

	drain := func(id string, on bool) {
		for i := range w.fleet.Nodes {
			if string(w.fleet.Nodes[i].ID) == id {
				w.fleet.Nodes[i].Drained = on
			}
		}
		w.build()
	}
	drain(first, true)
	m := w.ask(steer, first)
	second := m.Priority[0]
	if second == first || m.Priority[len(m.Priority)-1] != first {
		t.Fatalf("its node is drained, and %+v", m)
	}
	explained := func(at, want string) {
		t.Helper()
		u, err := url.Parse(at)
		if err != nil {
			t.Fatal(err)
		}
		e := w.Explain(Question{Addr: german, Path: u.Path, Query: u.RawQuery})
		if got, err := json.Marshal(e.Move); err != nil || string(got) != want {
			t.Errorf("explained as %s (%s), want %s", got, e.Why, want)
		}
	}
	explained(steer, fmt.Sprintf(`{"from":%q,"to":%q,"why":"drained","rests":false}`, first, second))
	explained(m.Reload, fmt.Sprintf(`{"from":%q,"to":%q,"why":"stays","rests":true}`, second, second))
	explained("/hls/live.m3u8", "null")
	if got, want := w.Moves(), map[director.NodeID]map[string]map[string]int{director.NodeID(first): {"/hls/live.m3u8": {"drained": 1}}}; !reflect.DeepEqual(got, want) {
		t.Errorf("moved: %v, want %v; what is explained moves nobody", got, want)
	}
	if r := w.lastRecord(); r.Answer != Steer || string(r.Node) != second || w.live.total() != 2 {
		t.Errorf("a move is recorded and on the way: %+v, %d", r, w.live.total())
	}
	drain(first, false)
	w.tick(10 * time.Second)
	if m = w.ask(m.Reload, second); m.Priority[0] != second {
		t.Errorf("moved twice within a minute: %+v", m)
	}
	w.tick(55 * time.Second)
	if m = w.ask(m.Reload, second); m.Priority[0] != first {
		t.Errorf("the drain is undone for a minute, and %+v", m)
	}
	// Its node fails at once after that: that does not wait.
	w.down[director.NodeID(first)] = true
	w.build()
	if m = w.ask(m.Reload, first); slices.Contains(m.Priority, first) {
		t.Errorf("its node is down, and %+v", m)
	}
	if got := w.Moves()[director.NodeID(first)]["/hls/live.m3u8"]; got["failed"] != 1 || got["drained"] != 0 {
		t.Errorf("within the last minute it was moved as its node failed: %v", got)
	}
	// A player that went elsewhere by itself stays there.
	last := m.Priority[1]
	if m = w.ask(m.Reload, last); m.Priority[0] != last {
		t.Errorf("it plays from %s, and %+v", last, m)
	}
	if _, pathways := w.load(ask{url: "/hls/live.m3u8"}); slices.Contains(pathways, first) {
		t.Errorf("a new listener gets a node that is down: %q", pathways)
	}
	w.tick(31 * time.Second)
	if n := w.sessions(); n != 0 {
		t.Errorf("it has not asked for three times the TTL, and %d are counted", n)
	}
}

// TestSteeringShares: sessions of one address and player are placed one by one, by weight,
// and what moves them are the weights.
func TestSteeringShares(t *testing.T) {
	t.Parallel()
	w := newSteered(t, nil)
	const n = 1000
	at, urls := map[int]string{}, map[int]string{}
	round := func() map[string]int {
		held := map[string]int{}
		for i := range n {
			if urls[i] == "" {
				var pathways []string
				urls[i], pathways = w.load(ask{url: "/hls/live.m3u8"})
				at[i] = pathways[0]
			}
			m := w.ask(urls[i], at[i])
			at[i], urls[i] = m.Priority[0], m.Reload
			held[at[i]]++
		}
		return held
	}
	within := func(held map[string]int, want map[string]float64) {
		t.Helper()
		for node, part := range want {
			// Four standard deviations of a binomial distribution: random sessions, not a lucky pick.
			if got := float64(held[node]) / n; got < part-0.06 || got > part+0.06 {
				t.Errorf("held %v, want %v", held, want)
			}
		}
	}
	before := round()
	within(before, map[string]float64{"fra1": 1. / 3, "ber1": 1. / 3, "ams1": 1. / 3})
	w.fleet.Regions[0].Row[0].Weight = 2
	w.build()
	within(round(), map[string]float64{"fra1": 0.5, "ber1": 0.25, "ams1": 0.25})
	w.fleet.Regions[0].Row[0].Weight = 1
	w.build()
	w.tick(time.Minute)
	if after := round(); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("held %v, and after undo %v", before, after)
	}
}

// tells asks as a player does that got what it plays at so many bit/s.
func (w *steered) tells(at, from, pathway string, throughput int) manifest {
	w.t.Helper()
	w.tick(10 * time.Second)
	rec := w.do(ask{url: fmt.Sprintf("%s&_HLS_pathway=%s&_HLS_throughput=%d", at, pathway, throughput), from: netip.MustParseAddr(from)})
	var m manifest
	if err := json.Unmarshal(rec.Body.Bytes(), &m); err != nil || rec.Code != http.StatusOK {
		w.t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	return m
}

// TestSlowPlayersAreEvidence: a player that gets less than the 128,000 bit/s of the mount's
// playlist, three questions in a row, speaks once against its node.
func TestSlowPlayersAreEvidence(t *testing.T) {
	t.Parallel()
	told := &witness{networks: map[uint64]int{}}
	w := newSteered(t, func(c *Config) { c.Evidence = told.tell })
	for name, c := range map[string]struct {
		throughput []int // 0: not told
		want       int
	}{
		"enough":             {[]int{128_000, 130_000, 128_000, 9_000_000}, 0},
		"twice too little":   {[]int{127_999, 1000, 128_000, 1000, 1000, 128_000}, 0},
		"three times":        {[]int{127_999, 1000, 50_000}, 1},
		"all the time":       {[]int{1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000}, 1},
		"and not told":       {[]int{1000, 0, 1000, 0, 1000}, 1},
		"better, and again":  {[]int{1000, 1000, 1000, 200_000, 1000, 1000, 1000}, 2},
		"never told, at all": {[]int{0, 0, 0, 0}, 0},
	} {
		told.take()
		steer, pathways := w.load(ask{url: "/hls/live.m3u8"})
		for _, n := range c.throughput {
			steer = w.tells(steer, "203.0.113.7", pathways[0], n).Reload
		}
		got := told.take()
		if n := strings.Count(got, pathways[0]+" by "); n != c.want || c.want == 0 && got != "" {
			t.Errorf("%s: told %q, want %d", name, got, c.want)
		}
	}

	steer, pathways := w.load(ask{url: "/hls/live.m3u8"})
	for _, at := range []string{pathways[0], pathways[0], pathways[1], pathways[1], pathways[0], pathways[1], pathways[0]} {
		steer = w.tells(steer, "203.0.113.7", at, 1000).Reload
	}
	if got := told.take(); got != "" {
		t.Errorf("it changes its node by itself, and is at none of them for long: told %q", got)
	}
	for i := range 3 {
		steer, pathways = w.load(ask{url: "/hls/live.m3u8"})
		for range 5 {
			steer = w.tells(steer, fmt.Sprintf("198.51.%d.7", i), pathways[0], 1000).Reload
		}
	}
	if len(told.networks) != 1+3 {
		t.Errorf("three more networks told of it, and %d are known", len(told.networks))
	}
	told.take()
	for range 5 { // a proxy that we trust is nobody
		steer = w.tells(steer, balance.String(), pathways[0], 1000).Reload
	}
	if got := told.take(); got != "" {
		t.Errorf("by a proxy: told %q", got)
	}
}

// TestSteeringNamesBoth: dash.js names the node that it was moved from, too, and not always
// first.
func TestSteeringNamesBoth(t *testing.T) {
	t.Parallel()
	w := newSteered(t, nil)
	steer, pathways := w.load(ask{url: "/hls/live.m3u8"})
	first := pathways[0]
	for i := range w.fleet.Nodes {
		w.fleet.Nodes[i].Drained = string(w.fleet.Nodes[i].ID) == first
	}
	w.build()
	m := w.ask(steer, first)
	second := m.Priority[0]
	for i := range w.fleet.Nodes {
		w.fleet.Nodes[i].Drained = false
	}
	w.build()
	w.tick(10 * time.Second)
	if m = w.ask(m.Reload, second+","+first); m.Priority[0] != second {
		t.Errorf("it was moved from %s to %s, and then to %s", first, second, m.Priority[0])
	}
	w.tick(10 * time.Second)
	if m = w.ask(m.Reload, second+","+first); m.Priority[0] != first {
		t.Errorf("it went back to %s by itself, and %+v", first, m)
	}
}

// TestSteeringForgers: a token that is not ours is as good as none, and a player without one
// gets an answer all the same.
func TestSteeringForgers(t *testing.T) {
	t.Parallel()
	w := newSteered(t, nil)
	steer, _ := w.load(ask{url: "/hls/live.m3u8"})
	bare := steer[:strings.Index(steer, "?")]
	for what, at := range map[string]string{
		"none":           bare + "?x=1",
		"a bare URL":     bare + "?",
		"forged":         bare + "?s=" + strings.Repeat("A", 32) + ".fra1",
		"another node's": steer[:strings.LastIndex(steer, ".")] + ".ams1",
		"a long one":     bare + "?s=" + strings.Repeat("A", 4000),
	} {
		if m := w.ask(at, ""); len(m.Priority) != 3 || m.TTL != 10 {
			t.Errorf("%s: %+v", what, m)
		}
		if m := w.ask(at, "ber1"); m.Priority[0] != "ber1" {
			t.Errorf("%s, from ber1: %+v", what, m)
		}
		if m := w.ask(at, "nonsense"); len(m.Priority) != 3 {
			t.Errorf("%s, from nowhere: %+v", what, m)
		}
	}
	if n := w.sessions(); n > 20 {
		t.Errorf("%d sessions", n)
	}
	// By its alias a mount has the same sessions.
	if _, pathways := w.load(ask{url: "/hls"}); len(pathways) != 3 {
		t.Errorf("by the alias: %q", pathways)
	}
}

// TestSteeringNeverRefuses: what players do not come back from is not answered.
func TestSteeringNeverRefuses(t *testing.T) {
	t.Parallel()
	w := newSteered(t, func(c *Config) { c.Policy.PerKey, c.Policy.PerAddress = 3, 5 })
	steer, pathways := w.load(ask{url: "/hls/live.m3u8"})
	for range 50 {
		if m := w.ask(steer, pathways[0]); m.Priority[0] != pathways[0] {
			t.Fatalf("%+v", m)
		}
	}
	if m := w.ask(steer, pathways[0]); m.TTL != 60 {
		t.Errorf("too many questions are answered by %+v, and it should wait", m)
	}
	w.tick(time.Minute)
	for _, n := range w.fleet.Nodes {
		w.down[n.ID] = true
	}
	w.build()
	if m := w.ask(steer, pathways[0]); m.Priority[0] != pathways[0] {
		t.Errorf("all are down: it stays where it is, for the director may be wrong: %+v", m)
	}
	w.fleet.Regions[0].Deny = []string{"*"}
	w.build()
	w.ask(steer, pathways[0])
	// The mount is gone: players that stop for good may do so.
	w.fleet.Mounts = w.fleet.Mounts[:5]
	w.build()
	if rec := w.get(steer); rec.Code != http.StatusGone {
		t.Errorf("the mount is gone: %d", rec.Code)
	}
	if rec := w.get("/hls/live.m3u8.steer?s=forged"); rec.Code != http.StatusNotFound {
		t.Errorf("a mount that never was: %d", rec.Code)
	}
	// A director that has only just started knows nothing but what the player brings.
	w.tick(time.Minute)
	w.view.Store(&director.View{})
	if m := w.ask(steer, ""); m.TTL != 5 || !slices.Equal(m.Priority, pathways[:1]) {
		t.Errorf("nothing is known yet: %+v", m)
	}
	if rec := w.get("/hls/live.m3u8.steer"); rec.Code != http.StatusServiceUnavailable {
		t.Errorf("nothing is known yet, not even by the player: %d", rec.Code)
	}
}

// TestPathways: who gets which nodes in a playlist, and who a redirect.
func TestPathways(t *testing.T) {
	t.Parallel()
	const redirect = "redirect"
	for name, c := range map[string]struct {
		set  func(*steered)
		with func(*Config)
		ask  ask
		want string // the pathways, sorted
	}{
		"all":              {want: "ams1 ber1 fra1"},
		"a HEAD":           {ask: ask{method: http.MethodHead}, want: ""},
		"by https":         {ask: overHTTPS(), want: "ber1 fra1"},
		"one is unlike":    {set: func(w *steered) { w.odd = []director.NodeID{"ber1"} }, want: "ams1 fra1"},
		"one is drained":   {set: func(w *steered) { w.fleet.Nodes[0].Drained = true }, want: "ams1 ber1 fra1"},
		"one is down":      {set: func(w *steered) { w.down["fra1"] = true }, want: "ams1 ber1"},
		"a media playlist": {set: func(w *steered) { w.kind = origin.Media }, want: redirect},
		"nothing is known": {set: func(w *steered) { w.kind = origin.Unknown }, want: redirect},
		"all are unlike":   {set: func(w *steered) { w.odd = []director.NodeID{"ams1", "ber1", "fra1"} }, want: redirect},
		"turned off":       {with: func(c *Config) { c.Policy.Steering.Off = true }, want: redirect},
		"no host":          {ask: ask{host: " "}, want: redirect},
		"ffmpeg":           {ask: ask{header: map[string]string{"User-Agent": "Lavf/60.16.100"}}, want: redirect},
		"a rule: inline, or a redirect": {
			with: func(c *Config) { c.Policy.Rules = []Rule{{Answer: Proxy, OrRedirect: true}} }, want: redirect,
		},
		"denied": {set: func(w *steered) { w.fleet.Regions[0].Deny = []string{"*"} }, want: "451"},
		"all are down": {set: func(w *steered) {
			for _, n := range w.fleet.Nodes {
				w.down[n.ID] = true
			}
		}, want: "ams1 ber1 fra1"},
		"http only at nodes, by https": {set: func(w *steered) {
			for i := range w.fleet.Nodes {
				w.fleet.Nodes[i].URLs = w.fleet.Nodes[i].URLs[:1]
			}
		}, ask: overHTTPS(), want: "501"},
		"https only at nodes, by http": {set: func(w *steered) {
			w.fleet.Nodes[0].URLs, w.fleet.Nodes[1].URLs = w.fleet.Nodes[0].URLs[1:], w.fleet.Nodes[1].URLs[1:]
			w.fleet.Nodes, w.fleet.Regions = w.fleet.Nodes[:2], w.fleet.Regions[:1]
			w.fleet.Regions[0].Row, w.fleet.Regions[0].Overflow = weights("fra1", "ber1"), nil
		}, want: "ber1 fra1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newSteered(t, c.with)
			if c.set != nil {
				c.set(w)
				w.build()
			}
			rec := w.do(c.ask.at("/hls/live.m3u8"))
			var got []string
			for _, m := range pathwayID.FindAllStringSubmatch(rec.Body.String(), -1) {
				got = append(got, m[1])
			}
			slices.Sort(got)
			switch text := strings.Join(got, " "); {
			case c.want == redirect:
				if rec.Code != http.StatusFound || !strings.HasSuffix(rec.Header().Get("Location"), "/hls/live.m3u8") {
					t.Errorf("%d to %s", rec.Code, rec.Header().Get("Location"))
				}
			case len(c.want) == 3:
				if fmt.Sprint(rec.Code) != c.want {
					t.Errorf("%d, want %s", rec.Code, c.want)
				}
			case rec.Code != http.StatusOK || text != c.want:
				t.Errorf("%d with %q, want %q", rec.Code, text, c.want)
			}
		})
	}
}

// TestMediaPlaylistStays: who reloads a media playlist here keeps the node, whatever the
// weights become, until that fails; segments that are asked for here are there, too.
func TestMediaPlaylistStays(t *testing.T) {
	t.Parallel()
	w := newSteered(t, nil)
	w.kind = origin.Media
	w.fleet.Nodes[1].Paths["/hls/live.m3u8"] = "/origin/radio/index.m3u8"
	w.build()
	location := func(url string) string { w.t.Helper(); return w.get(url).Header().Get("Location") }
	at := location("/hls/live.m3u8")
	node := w.lastRecord().Node
	dir := at[:strings.LastIndex(at, "/")+1]
	for i := range w.fleet.Regions[0].Row {
		if r := &w.fleet.Regions[0].Row[i]; r.Node != node {
			r.Weight = 100
		}
	}
	w.build()
	for range 20 {
		w.tick(4 * time.Second)
		if got := location("/hls/live.m3u8?_HLS_msn=7"); got != at+"?_HLS_msn=7" {
			t.Fatalf("thrown from %s to %s", at, got)
		}
		for _, part := range []string{"seg17.ts", "audio/eng/1.m4s", "sub/list.m3u8"} {
			if got := location("/hls/" + part); got != dir+part {
				t.Fatalf("%s is at %q, want %s", part, got, dir+part)
			}
		}
	}
	if n := w.live.total(); n != 1 {
		t.Errorf("counted as %d listeners", n)
	}
	w.down[node] = true
	w.build()
	w.tick(4 * time.Second)
	if got := location("/hls/live.m3u8"); got == at || got == "" {
		t.Errorf("its node is down, and it goes to %q", got)
	}
	// Who has no playlist from here asks for nothing of ours, unless it is a segment.
	stranger := func(path string) *httptest.ResponseRecorder {
		return w.do(ask{url: path, header: map[string]string{"User-Agent": "Stranger" + path}})
	}
	for path, want := range map[string]int{"/hls/1.ts": 302, "/hls/other.m3u8": 404, "/hls/index.html": 404, "/1.ts": 404, "/else/1.ts": 404} {
		if rec := stranger(path); rec.Code != want {
			t.Errorf("%s: %d, want %d", path, rec.Code, want)
		}
	}
}

// TestDASH: an MPD has a base URL for each node, and is read again here as its session; the
// steering server speaks of the same nodes.
func TestDASH(t *testing.T) {
	t.Parallel()
	w := newSteered(t, func(c *Config) {
		c.Playlists = func(_ string, scheme director.Scheme) *origin.Mount {
			m := &origin.Mount{Kind: origin.MPD, Playlists: map[director.NodeID]*origin.Playlist{}}
			for _, id := range []director.NodeID{"fra1", "ber1", "ams1"} {
				mpd, err := hls.ParseMPD([]byte(`<MPD><Period><AdaptationSet><Representation id="a"/></AdaptationSet></Period></MPD>`), &url.URL{Scheme: "http", Host: string(id) + ".test", Path: "/dash/live.mpd"})
				if err != nil {
					t.Error(err)
				}
				m.Playlists[id] = &origin.Playlist{Kind: origin.MPD, MPD: mpd}
			}
			return m
		}
	})
	w.fleet.Mounts = append(w.fleet.Mounts, director.Mount{Name: "/dash/live.mpd"})
	w.build()
	bases := regexp.MustCompile(`<BaseURL serviceLocation="([^"]*)">http://([^.]*)\.test/dash/</BaseURL>`)
	rest := regexp.MustCompile(`<Location>(http://radio\.example/dash/live\.mpd\?s=[^<]*)</Location><ContentSteering defaultServiceLocation="([^"]*)">(http://radio\.example/dash/live\.mpd\.steer\?s=[^<]*)</ContentSteering>`)
	load := func(at string) (first, location, steer string) {
		t.Helper()
		rec := w.get(at)
		nodes, more := bases.FindAllStringSubmatch(rec.Body.String(), -1), rest.FindStringSubmatch(rec.Body.String())
		if rec.Code != http.StatusOK || rec.Header().Get("Content-Type") != "application/dash+xml" || len(nodes) != 3 || more == nil || more[2] != nodes[0][1] || nodes[0][1] != nodes[0][2] {
			t.Fatalf("%d %v\n%s", rec.Code, rec.Header(), rec.Body)
		}
		return nodes[0][1], more[1], more[3]
	}
	first, location, steer := load("/dash/live.mpd")
	for range 5 {
		var again string
		if again, location, steer = load(location); again != first {
			t.Errorf("it begins at %s, and goes on at %s", first, again)
		}
	}
	if n := w.sessions(); n != 1 {
		t.Errorf("%d sessions", n)
	}
	rec := w.get(steer + "&_DASH_pathway=%22" + first + "%22&_DASH_throughput=")
	if want := `"SERVICE-LOCATION-PRIORITY":["` + first + `"`; rec.Code != http.StatusOK || !strings.Contains(rec.Body.String(), want) || !strings.Contains(rec.Body.String(), "live.mpd.steer?s=") {
		t.Errorf("%d %s, want %s", rec.Code, rec.Body, want)
	}
}
