package web

import (
	"net/http"
	"net/netip"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/signpost-fm/signpost/director"
)

// fakeCarrier answers with a few bytes, or as it is told.
type fakeCarrier struct {
	room    bool
	playing []director.NodeID
	err     error
	started chan struct{} // if not nil: closed when a stream begins
	mu      sync.Mutex
	streams []Stream
}

func (f *fakeCarrier) Room(int) bool { return f.room }

func (f *fakeCarrier) Playing(string) []director.NodeID { return f.playing }

func (f *fakeCarrier) Failing(string) []Trouble { return nil }

func (f *fakeCarrier) Carry(w http.ResponseWriter, r *http.Request, s Stream, done func(Carried)) error {
	if f.err != nil {
		return f.err
	}
	f.mu.Lock()
	f.streams = append(f.streams, s)
	f.mu.Unlock()
	w.Header().Set("Content-Type", s.Type)
	w.Write([]byte("audio"))
	if f.started != nil {
		http.NewResponseController(w).Flush()
		close(f.started)
		<-r.Context().Done()
	}
	done(Carried{Node: s.Upstreams[0].Node, Bytes: 5, End: "listener_left"})
	return nil
}

func TestCarry(t *testing.T) {
	t.Parallel()
	carrier := &fakeCarrier{room: true}
	w := newWorld(t, func(c *Config) {
		c.Carrier = carrier
		c.Policy.Rules = []Rule{{Name: "deaf", UserAgent: "Deaf/*", Answer: Proxy, ICY: true}}
	})
	deaf := ask{url: "/live.mp3?t=1", header: map[string]string{"User-Agent": "Deaf/1"}}
	rec := w.do(deaf)
	golden(t, "proxy", rec)
	want := []Stream{{
		Upstreams: []Upstream{
			{"fra1", "http://fra1.example:8000/live.mp3"},
			{"ber1", "http://ber1.example:8000/radio/live"},
			{"ams1", "http://ams1.example:8000/live.mp3"},
		},
		Mount: "/live.mp3", Kbit: 128, Query: "t=1", Client: german, ICYLine: true, Type: "audio/mpeg",
	}}
	if len(carrier.streams) == 1 && carrier.streams[0].Upstreams[0].Node == "ber1" {
		u := want[0].Upstreams
		u[0], u[1] = u[1], u[0]
	}
	if diff := cmp.Diff(want, carrier.streams, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("streams (-want +got):\n%s", diff)
	}
	r := w.lastRecord()
	if r.Answer != Proxy || r.Bytes != 5 || r.End != "listener_left" || r.Node != want[0].Upstreams[0].Node || r.Rule != "deaf" {
		t.Errorf("record %+v", r)
	}
	if w.live.total() != 0 {
		t.Errorf("%d listeners counted as on their way: only the Carrier knows when it opens a connection", w.live.total())
	}
	deaf.method = http.MethodHead
	if rec := w.do(deaf); rec.Code != 200 || rec.Header().Get("Content-Type") != "audio/mpeg" || len(carrier.streams) != 1 {
		t.Errorf("HEAD: %d %v, %d streams", rec.Code, rec.Header(), len(carrier.streams))
	}
}

// TestCarriedFromAFullNode: one more listener of a stream that comes already takes no
// seat, and is not sent to the node.
func TestCarriedFromAFullNode(t *testing.T) {
	t.Parallel()
	carrier := &fakeCarrier{room: true, playing: []director.NodeID{"ber1"}}
	w := newWorld(t, func(cfg *Config) {
		cfg.Carrier, cfg.Policy.Rules = carrier, []Rule{{UserAgent: "Deaf/*", Answer: Proxy, OrRedirect: true}}
	})
	allFull("")(w)
	deaf := ask{url: "/live.mp3", header: map[string]string{"User-Agent": "Deaf/1"}}
	if rec := w.do(deaf); rec.Code != 200 || len(carrier.streams) != 1 || len(carrier.streams[0].Upstreams) != 1 || carrier.streams[0].Upstreams[0].Node != "ber1" {
		t.Errorf("%d, streams %+v", rec.Code, carrier.streams)
	}
	carrier.room = false
	for what, a := range map[string]ask{"without room": deaf, "who follows redirects": {url: "/live.mp3"}} {
		if rec := w.do(a); rec.Code != 503 {
			t.Errorf("%s: %d %v, want 503", what, rec.Code, rec.Header())
		}
	}
}

// TestNotCarried: what a listener gets whose stream cannot be carried.
func TestNotCarried(t *testing.T) {
	t.Parallel()
	strict := Rule{UserAgent: "Deaf/*", Answer: Proxy}
	lenient := strict
	lenient.OrRedirect = true
	for name, c := range map[string]struct {
		carrier Carrier
		rule    Rule
		code    int
	}{
		"nobody carries":                 {nil, strict, 503},
		"no room":                        {&fakeCarrier{}, strict, 503},
		"no room after all":              {&fakeCarrier{room: true, err: ErrNoRoom}, strict, 503},
		"no upstream":                    {&fakeCarrier{room: true, err: ErrNoUpstream}, strict, 503},
		"refused":                        {&fakeCarrier{room: true, err: &RefusedError{Status: 403}}, strict, 403},
		"refused, or a redirect":         {&fakeCarrier{room: true, err: &RefusedError{Status: 403}}, lenient, 302},
		"a password is wanted":           {&fakeCarrier{room: true, err: &RefusedError{Status: 401, Challenges: []string{"Basic"}}}, strict, 401},
		"a password, and no redirect":    {&fakeCarrier{room: true, err: &RefusedError{Status: 401, Challenges: []string{"Basic"}}}, lenient, 401},
		"no room, or a redirect":         {&fakeCarrier{}, lenient, 302},
		"no upstream, or a redirect":     {&fakeCarrier{room: true, err: ErrNoUpstream}, lenient, 302},
		"nobody carries, or a redirect":  {nil, lenient, 302},
		"no room after all, or redirect": {&fakeCarrier{room: true, err: ErrNoRoom}, lenient, 302},
	} {
		w := newWorld(t, func(cfg *Config) { cfg.Carrier, cfg.Policy.Rules = c.carrier, []Rule{c.rule} })
		rec := w.do(ask{url: "/live.mp3", header: map[string]string{"User-Agent": "Deaf/1"}})
		if rec.Code != c.code {
			t.Errorf("%s: %d, want %d", name, rec.Code, c.code)
		}
		if c.code == 401 && rec.Header().Get("WWW-Authenticate") != "Basic" {
			t.Errorf("%s: headers %v, want the node's challenge", name, rec.Header())
		}
		if n := w.live.total(); n != map[int]int{302: 1}[c.code] {
			t.Errorf("%s: %d listeners counted as on their way", name, n)
		}
		// Over https it must not fall back to a node that speaks http only.
		rec = w.do(overHTTPS("User-Agent", "Deaf/1").at("/plain.mp3"))
		if want := max(c.code, 401); rec.Code == 302 || c.code != 302 && rec.Code != want {
			t.Errorf("%s, https: %d %v, want %d", name, rec.Code, rec.Header(), want)
		}
	}
}

func TestSchemeMismatch(t *testing.T) {
	t.Parallel()
	exo := "Radio/1 ExoPlayerLib/2.11"
	for _, c := range []struct {
		mode SchemeMismatch
		room bool
		ua   string
		url  string
		code int
		body string // of a playlist: what it leads to
	}{
		{mode: MismatchProxy, room: true, url: "/plain.mp3", code: 200},
		{mode: MismatchProxy, room: false, url: "/plain.mp3", code: 503},
		{mode: MismatchRedirect, room: true, url: "/plain.mp3", code: 302},
		{mode: MismatchRedirect, room: true, ua: exo, url: "/plain.mp3", code: 200},
		{mode: MismatchRedirect, room: false, ua: exo, url: "/plain.mp3", code: 503},
		{mode: MismatchDeny, room: true, url: "/plain.mp3", code: 503},
		{mode: MismatchProxy, url: "/plain.mp3.m3u", code: 200, body: "https://radio.example/plain.mp3"},
		{mode: MismatchRedirect, url: "/plain.mp3.m3u", code: 200, body: "http://ams1.example:8000/plain.mp3"},
		{mode: MismatchDeny, url: "/plain.mp3.m3u", code: 503},
		// Where a node speaks the scheme, none of this matters.
		{mode: MismatchDeny, url: "/live.mp3", code: 302},
		// A client that knows http only gets it, however it came.
		{mode: MismatchDeny, ua: "cmus/2", url: "/plain.mp3", code: 302},
	} {
		w := newWorld(t, func(cfg *Config) {
			cfg.Carrier, cfg.Policy.SchemeMismatch = &fakeCarrier{room: c.room}, c.mode
			cfg.Policy.Trusted = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		})
		rec := w.do(overHTTPS("User-Agent", c.ua).at(c.url))
		if rec.Code != c.code {
			t.Errorf("%s, room %v, %s as %q: %d, want %d", c.mode, c.room, c.url, c.ua, rec.Code, c.code)
		}
		if c.body != "" {
			if want := "#EXTM3U\n#EXTINF:-1,/plain.mp3\n" + c.body + "\n"; rec.Body.String() != want {
				t.Errorf("%s, %s: %q, want %q", c.mode, c.url, rec.Body, want)
			}
		}
	}
}

// TestUpwardMismatch is the other way round: a listener over http, nodes with https only.
func TestUpwardMismatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for i := range w.fleet.Nodes {
		w.fleet.Nodes[i].URLs = []string{"https://" + string(w.fleet.Nodes[i].ID) + ".example"}
	}
	w.build()
	if rec := w.get("/live.mp3"); rec.Code != 302 {
		t.Errorf("no room inline: %d, want a redirect to https", rec.Code)
	}
	relay := ask{url: "/live.mp3", header: map[string]string{"User-Agent": "Icecast 2.4.4"}}
	if rec := w.do(relay); rec.Code != 503 {
		t.Errorf("a relay that knows http only: %d, want 503", rec.Code)
	}
}

// TestRuleAnswers gives playlists at a stream's URL, which lead to nodes even
// where other playlists lead to the director: else they would lead to themselves.
func TestRuleAnswers(t *testing.T) {
	t.Parallel()
	for answer, contentType := range map[Answer]string{
		M3U: "audio/x-mpegurl", PLS: "audio/x-scpls", XSPF: "application/xspf+xml", ASX: "video/x-ms-asf",
	} {
		w := newWorld(t, func(c *Config) {
			c.Policy.Rules = []Rule{{UserAgent: "Box/*", Answer: answer}}
			c.Policy.Entries = EntriesDirector
		})
		rec := w.do(ask{url: "/live.mp3", header: map[string]string{"User-Agent": "Box/1"}})
		if rec.Code != 200 || rec.Header().Get("Content-Type") != contentType {
			t.Errorf("%v: %d %s", answer, rec.Code, rec.Header().Get("Content-Type"))
		}
		if w.live.total() != 1 {
			t.Errorf("%v: %d counted; want a list of nodes:\n%s", answer, w.live.total(), rec.Body)
		}
	}
}

func TestPlaylistForWhoCannotBeSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) {
		c.Policy.Rules = []Rule{{UserAgent: "Deaf/*", Answer: Proxy}}
		c.Policy.PublicURL = "https://listen.example/"
	})
	for path, want := range map[string]string{
		"/live.mp3.m3u": "#EXTM3U\n#EXTINF:-1,Tom & Jerry's <\"Radio\">\nhttps://listen.example/live.mp3\n",
		"/live.json":    `{"mount":"/live.mp3","title":"Tom & Jerry's <\"Radio\">","type":"audio/mpeg","region":"home","outcome":"placed","keep_s":30,"url":"https://listen.example/live","alternates":[]}` + "\n",
	} {
		rec := w.do(ask{url: path, header: map[string]string{"User-Agent": "Deaf/1"}})
		if rec.Body.String() != want {
			t.Errorf("%s: %s, want %s", path, rec.Body, want)
		}
	}
	if w.live.total() != 0 {
		t.Error("a listener was counted who goes nowhere yet")
	}
}
