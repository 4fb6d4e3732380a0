package dashboard_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/geo"
	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/store/memstore"
	"github.com/signpost-fm/signpost/web"
	"github.com/signpost-fm/signpost/web/admin"
	"github.com/signpost-fm/signpost/web/admin/api"
	"github.com/signpost-fm/signpost/web/admin/dashboard"
	"github.com/signpost-fm/signpost/web/admin/dashboard/browsertest"
	"github.com/signpost-fm/signpost/web/admin/ring"
)

func TestMain(m *testing.M) { os.Exit(browsertest.Run(m)) }

// A prober that hears what a test makes up.
type prober struct {
	first   chan struct{}
	reports func(now time.Time) []director.Report
}

func (prober) SetNodes([]director.Node, []director.Mount)      {}
func (p prober) First() <-chan struct{}                        { return p.first }
func (prober) Suspicion() string                               { return "" }
func (prober) Doubt(director.NodeID, string, string)           {}
func (prober) Share(director.NodeID, bool, []director.Verdict) {}
func (prober) News() <-chan struct{}                           { return nil }
func (p prober) Changes(uint64) ([]director.Report, bool, uint64) {
	return p.reports(time.Now()), true, 0
}

// A rig is a dashboard over a fleet that is made up.
type rig struct {
	*httptest.Server
	syncer *store.Syncer
	played chan struct{} // closed: simulations end, with a report
	left   chan struct{} // one for each simulation whose page was left
}

// simulate is half done until it may end, or nobody waits for it.
func (r *rig) simulate(ctx context.Context, s admin.Simulation, progress func(float64)) (any, error) {
	progress(0.5)
	select {
	case <-ctx.Done():
		r.left <- struct{}{}
		return nil, ctx.Err()
	case <-r.played:
	}
	row := s.Then.Regions[0].Row
	return map[string]any{
		"from": "20:05", "until": "20:20", "answers": map[string]any{"refused": 7}, "audio": map[string]any{"most_silent": 12, "longest_wait_s": 3.6},
		"nodes":   []map[string]any{{"id": row[0].Node, "most": 250 * row[0].Weight, "target": 1000, "most_at": "20:07"}},
		"remarks": []string{"of </script>"},
	}, nil
}

// play serves the dashboard of a fleet.
func play(t *testing.T, config director.Config, reports func(time.Time) []director.Report, change ...func(*store.SyncerConfig)) *rig {
	t.Helper()
	kept := memstore.Open(memstore.Config{})
	first := make(chan struct{})
	close(first)
	sc := store.SyncerConfig{
		Store: kept, Config: config, Prober: prober{first, reports}, Director: "director-a", Tick: 250 * time.Millisecond, Timeout: time.Minute, Log: slog.New(slog.DiscardHandler),
	}
	for _, f := range change {
		f(&sc)
	}
	syncer, err := store.NewSyncer(sc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- syncer.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	<-syncer.Ready()
	r := &rig{syncer: syncer, played: make(chan struct{}), left: make(chan struct{}, 10)}
	c := admin.Config{
		Syncer: syncer, Version: "test", Simulate: r.simulate, Store: "memory", PublicURL: func() string { return "http://radio.example" },
		Explain: func(q admin.Question) any { return explained(syncer.View(), q) },
		Rules:   rules, Clients: clients, Traffic: traffic(time.Now()),
		Dashboard: dashboard.New,
		Probes:    probes,
		Plots:     past(config), Complete: geo.Complete,
		Certificates: func() []api.Certificate {
			return []api.Certificate{{For: "listen", Names: []string{"radio.example", "a-rather-long-name-for-a-host.listen.radio.example"}, Ends: time.Now().Add(9 * 24 * time.Hour)}}
		},
		Databases: func() []api.Database {
			return []api.Database{
				{Type: "GeoLite2-City", Path: "/var/lib/GeoIP/a/rather/deep/directory/of/databases/GeoLite2-City.mmdb", Built: time.Now().Add(-12 * 24 * time.Hour)},
				{Type: "countries of DB-IP, and of the registries where they know smaller networks", Built: time.Now().Add(-40 * 24 * time.Hour), Embedded: true},
			}
		},
	}
	handler, err := admin.New(c)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- handler.Run(ctx) }()
	s := httptest.NewServer(handler)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
		cancel()
		<-served
	})
	r.Server = s
	return r
}

// probes are some that went well and some that did not, with texts as long as they get.
func probes(id director.NodeID) []api.Probe {
	url, now := "https://"+string(id)+".a-rather-long-name-for-a-host.streams.radio.example:8443/below/a/path", time.Now()
	return []api.Probe{
		{At: now.Add(-2 * time.Second), TookMS: 3.4, URL: "http://" + string(id) + ".radio.example:8000", Detail: "GET /status-json.xsl: Icecast 2.4.4, 3 mounts"},
		{At: now.Add(-4 * time.Second), TookMS: 412, URL: url, Mount: "/a/mount/with/a/rather/long/name/for/regional-programmes.mp3", Failed: true, Detail: "GET /a/mount/with/a/rather/long/name/for/regional-programmes.mp3: 404 Not Found"},
		{At: now.Add(-7 * time.Second), TookMS: 2000, URL: url, Failed: true, Detail: "GET /status-json.xsl: no whole answer within 2s"},
	}
}

// past is a week of listeners, with a gap twenty minutes ago.
func past(c director.Config) *ring.Ring {
	r, now := ring.New(), time.Now()
	sample := func(at time.Time) {
		day := 2 * math.Pi * at.Sub(now).Hours() / 24
		values, total := map[ring.Key]float64{}, 0.0
		for i, n := range c.Nodes {
			v := math.Round((3000 + 700*float64(i%5)) * (1.2 + math.Sin(day+float64(i%3)/3)) / 2 * (1 + .01*math.Sin(at.Sub(now).Minutes()+float64(i))))
			values[ring.Key{Kind: ring.Node, Name: string(n.ID)}] = v
			total += v
		}
		values[ring.Key{Kind: ring.Total}] = total
		for i, g := range c.Regions {
			values[ring.Key{Kind: ring.Region, Name: string(g.ID)}] = math.Round(total / float64(i+2))
		}
		for i, m := range c.Mounts {
			values[ring.Key{Kind: ring.Mount, Name: m.Name}] = math.Round(total / float64(i+2))
		}
		values[ring.Key{Kind: ring.Answer, Name: "redirect"}] = total / 500
		r.Sample(at, values)
	}
	for at := now.Add(-7 * 24 * time.Hour); at.Before(now.Add(-time.Hour)); at = at.Add(10 * time.Minute) {
		sample(at)
	}
	for at := now.Add(-time.Hour); !at.After(now); at = at.Add(ring.Interval) {
		if ago := now.Sub(at); ago < 20*time.Minute || ago > 25*time.Minute {
			sample(at)
		}
	}
	return r
}

// large is a fleet with ten nodes at each site, and regions with eight nodes each.
func large(nodes, regions int) (director.Config, func(time.Time) []director.Report) {
	var c director.Config
	for i := range nodes {
		c.Nodes = append(c.Nodes, director.Node{
			ID: director.NodeID(fmt.Sprintf("edge%03d", i)), URLs: []string{fmt.Sprintf("http://edge%03d.radio.example:8000", i)},
			Site: fmt.Sprintf("site%02d", i/10), Target: 2000, Limit: 3000,
		})
	}
	for i := range regions {
		r := director.Region{ID: director.RegionID(fmt.Sprintf("region%02d", i))}
		for j := range 8 {
			r.Row = append(r.Row, director.Weight{Node: c.Nodes[(i*7+j)%nodes].ID, Weight: float64(1 + j%4), Given: true})
		}
		r.Match.ASNs = []uint32{uint32(64512 + i)}
		c.Regions = append(c.Regions, r)
	}
	c.Regions[regions-1].Match.Default = true
	c.Mounts = []director.Mount{{Name: "/live.mp3"}}
	c.Self = []string{"radio.example:80"}
	begin := time.Now()
	return c, func(now time.Time) []director.Report {
		out := make([]director.Report, len(c.Nodes))
		for i, n := range c.Nodes {
			moving := int(now.Sub(begin).Seconds()) * (i % 5)
			out[i] = director.Report{
				Node: n.ID, Taken: now, Since: begin.Add(-time.Duration(i) * time.Hour), Health: director.Up,
				Listeners: 200 + i*9 + moving, Kbit: float64(200+i*9+moving) * 128, AnyMount: true, Detail: "answers", Server: "Icecast 2.4.4",
			}
		}
		return out
	}
}

// station is a small fleet in all states that a node can be in, with a name and a
// title that want to be script.
func station() (director.Config, func(time.Time) []director.Report) {
	c := director.Config{
		Mounts: []director.Mount{
			{Name: "/live.mp3", Title: "Radio Example", Type: "audio/mpeg", Kbit: 128},
			{Name: "/live.aac", Title: "Radio Example, small", Type: "audio/aac", Kbit: 48},
			{Name: "/jazz.ogg", Title: "Jazz", Type: "application/ogg", Kbit: 160},
		},
		Self: []string{"radio.example:80"},
	}
	node := func(id, site string, target, limit int) {
		c.Nodes = append(c.Nodes, director.Node{ID: director.NodeID(id), URLs: []string{"http://" + id + ".radio.example:8000"}, Site: site, Target: target, Limit: limit})
	}
	node("fra1", "Frankfurt", 10000, 15000)
	node("fra2", "Frankfurt", 10000, 15000)
	node("ams1", "Amsterdam", 10000, 15000)
	node("ams2", "Amsterdam", 8000, 12000)
	node("waw1", "Warsaw", 4000, 6000)
	node("nyc1", "New York", 8000, 12000)
	node("nyc2", "New York", 8000, 12000)
	node("sao1", "Sao Paulo", 3000, 4500)
	node("sgp1", "Singapore", 3000, 4500)
	for i, at := range [][2]float32{{50.1, 8.7}, {50.1, 8.7}, {52.4, 4.9}, {52.4, 4.9}, {52.2, 21}, {40.7, -74}, {40.7, -74}, {-23.5, -46.6}, {1.35, 103.8}} {
		c.Nodes[i].Place = director.Place{Point: director.CityPoint, Lat: at[0], Lon: at[1]}
	}
	row := func(id string, weights map[string]float64, overflow ...director.RegionID) *director.Region {
		r := director.Region{ID: director.RegionID(id), Overflow: overflow}
		for _, n := range c.Nodes {
			if w, in := weights[string(n.ID)]; in {
				r.Row = append(r.Row, director.Weight{Node: n.ID, Weight: w, Given: true})
			}
		}
		c.Regions = append(c.Regions, r)
		return &c.Regions[len(c.Regions)-1]
	}
	row("de", map[string]float64{"fra1": 3, "fra2": 2, "ams1": 1}, "europe").Match.Countries = []string{"DE", "AT", "CH"}
	row("nl", map[string]float64{"ams1": 2, "ams2": 2, "fra1": 0}, "europe").Match.Countries = []string{"NL", "BE", "LU"}
	row("europe", map[string]float64{"fra1": 1, "fra2": 1, "ams1": 1, "ams2": 1, "waw1": 2}, "world").Match.Continents = []string{"EU"}
	row("americas", map[string]float64{"nyc1": 1, "nyc2": 1, "sao1": .5}, "world").Match.Continents = []string{"NA", "SA"}
	row("telekom", map[string]float64{"fra1": 1, "fra2": 1}).Match.ASNs = []uint32{3320, 31334}
	world := row("world", nil)
	world.Match.Default = true
	for _, n := range c.Nodes {
		world.Row = append(world.Row, director.Weight{Node: n.ID})
	}
	begin := time.Now()
	load := []int{7431, 6120, 5210, 3977, 4123, 5230, 2810, 1240, 310}
	since := []time.Duration{9 * 24, 9 * 24, 31, 4, 200, 31, 31, 2, 50}
	return c, func(now time.Time) []director.Report {
		out := make([]director.Report, len(c.Nodes))
		for i, n := range c.Nodes {
			drift := int(40 * math.Sin(now.Sub(begin).Seconds()/7+float64(i)))
			r := director.Report{
				Node: n.ID, By: "director-a", Taken: now, Since: begin.Add(-since[i] * time.Hour), Health: director.Up, Server: "Icecast 2.4.4",
				Listeners: load[i] + drift, Kbit: float64(load[i]+drift) * 121, Detail: "status-json.xsl told all",
			}
			for j, m := range c.Mounts {
				if j < 2 || i%2 == 0 {
					title := []string{"Esbjörn Svensson Trio – From Gagarin's Point of View", "<script>document.title='owned'</script><b>Bold</b>", "Nina Simone – Sinnerman"}[j]
					r.Mounts = append(r.Mounts, director.MountReport{Path: m.Name, Listeners: r.Listeners / (j + 2), Title: title})
				}
			}
			switch n.ID {
			case "nyc2":
				r.Health, r.Since, r.Listeners, r.Kbit, r.Mounts = director.Failed, begin.Add(-4*time.Minute), -1, 0, nil
				r.Detail = "dial tcp 203.0.113.9:8000: connect: connection refused (12 in a row)"
			case "sao1":
				r.Since, r.Returned = begin, begin
			}
			out[i] = r
		}
		return out
	}
}

// operated is a station that operators have been at.
func operated(t *testing.T) *rig {
	t.Helper()
	config, reports := station()
	r := play(t, config, reports)
	for _, e := range []struct {
		by, why string
		until   time.Duration
		edit    func(*store.Overlay)
	}{
		{"anna", "new disks on Thursday", 0, func(o *store.Overlay) {
			o.Nodes = map[director.NodeID]store.NodeSetting{"fra2": {State: store.NodeDrained}}
		}},
		{"ben", "its uplink is being replaced", 48 * time.Hour, func(o *store.Overlay) {
			o.Nodes["sgp1"] = store.NodeSetting{State: store.NodeDisabled}
		}},
		{"anna", "less to Frankfurt while fra2 is out", 8 * time.Hour, func(o *store.Overlay) {
			o.Rows = map[director.RegionID]store.Row{"de": {Weights: map[director.NodeID]float64{"fra1": 3, "fra2": 2, "ams1": 2, "ams2": 1}}}
		}},
	} {
		a := store.Author{By: e.by, Why: e.why}
		if e.until > 0 {
			a.Until = time.Now().Add(e.until)
		}
		if _, err := r.syncer.Change(t.Context(), a, func(o *store.Overlay) error { e.edit(o); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// edited is a large fleet whose operators write much: names as long as they get, rows of
// all nodes, whys and notes that fill their fields, and entries that cannot be undone.
func edited(t *testing.T) *rig {
	t.Helper()
	config, reports := large(40, 6)
	for i := range config.Nodes {
		n := &config.Nodes[i]
		n.ID += "-frankfurt-am-main.streams.radio-example.net"
	}
	for i := range config.Regions {
		r := &config.Regions[i]
		r.ID = director.RegionID(fmt.Sprintf("region%02d_listeners_of_the_western_and_central_parts", i))
		for j := range r.Row {
			r.Row[j].Node += "-frankfurt-am-main.streams.radio-example.net"
		}
		if i == 1 {
			r.Match.Countries = strings.Fields("DE AT CH NL BE LU FR IT ES PT PL CZ SK HU SI HR RO BG GR DK SE NO FI EE LV LT IE GB")
		}
		if i > 0 {
			r.Overflow = []director.RegionID{config.Regions[0].ID}
		}
	}
	r := play(t, config, reports)
	row, node := config.Regions[1].ID, config.Nodes[3].ID
	why := strings.Repeat("the uplink of Frankfurt is being replaced; ", 5)[:200]
	weigh := func(factor float64) func(*store.Overlay) {
		return func(o *store.Overlay) {
			w := map[director.NodeID]float64{}
			for i, n := range config.Nodes {
				w[n.ID] = factor * float64(1+i%7)
			}
			o.Rows = map[director.RegionID]store.Row{row: {Weights: w}}
		}
	}
	rule := `{"name":"%s","user_agent_regexp":"(?i)^Mozilla/5\\.0 \\(Linux; Android [0-9.]+; (KitchenRadio|BathroomRadio|GarageRadio)-[0-9A-F]{12}\\).*$","headers":[{"name":"X-Requested-With-A-Long-Name","glob":"com.example.radio.international.*"}],"answer":"proxy","or_redirect":true}`
	for _, edit := range []func(*store.Overlay){
		weigh(1), weigh(12.25), // the first cannot be undone
		func(o *store.Overlay) {
			o.Nodes = map[director.NodeID]store.NodeSetting{node: {State: store.NodeDrained}}
		},
		func(o *store.Overlay) { o.Nodes[node] = store.NodeSetting{State: store.NodeDisabled} },
		func(o *store.Overlay) {
			for _, id := range []string{"radios_in_kitchens_and_bathrooms_that_cannot_follow_redirects", "another"} {
				o.Rules = append(o.Rules, store.Rule{ID: id, Rule: json.RawMessage(fmt.Sprintf(rule, id))})
			}
		},
		func(o *store.Overlay) { o.Rules[0], o.Rules[1] = o.Rules[1], o.Rules[0] },
	} {
		by := store.Author{By: "anna.constantinopolitana@operations.radio-example.net", Why: why, Until: time.Now().Add(48 * time.Hour)}
		if _, err := r.syncer.Change(t.Context(), by, func(o *store.Overlay) error { edit(o); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func rules() []admin.RuleUse {
	use := func(origin string, hits uint64, text string) admin.RuleUse {
		return admin.RuleUse{Origin: origin, Hits: hits, Rule: json.RawMessage(text)}
	}
	return []admin.RuleUse{
		use("file", 12, `{"name":"kiosk","headers":[{"name":"X-Kiosk","glob":"*"}],"answer":"m3u"}`),
		use("shipped", 93021, `{"name":"browsers","user_agent_regexp":"(?i)mozilla","answer":"redirect","same_scheme":true,"reason":"they refuse mixed content"}`),
		use("shipped", 4410, `{"name":"old Sonos","user_agent":"*Sonos/2?.*","answer":"proxy","or_redirect":true,"reason":"they stop at a redirect"}`),
	}
}

func clients() []api.Client {
	return []api.Client{
		{Family: "KitchenRadio", Example: "KitchenRadio/1.2 (<script>document.title='owned'</script>)", Requests: 2140, First: 120, Again: 1800, Next: 110, Inline: 90, Crowd: 20,
			Suspect: true, Why: "1,800 of 2,140 requests came straight back after a redirect",
			Suggestion: &api.RuleSuggestion{Rule: json.RawMessage(`{"name":"KitchenRadio","user_agent":"KitchenRadio*","answer":"proxy","or_redirect":true}`)}},
		{Family: "VLC", Example: "VLC/3.0.18 LibVLC/3.0.18", Requests: 18230, First: 18000, Again: 200, Next: 20,
			Suggestion: &api.RuleSuggestion{Rule: json.RawMessage(`{"name":"VLC","user_agent":"VLC*","answer":"proxy","or_redirect":true}`)}},
	}
}

// traffic counts what comes since begin.
func traffic(begin time.Time) func() admin.Traffic {
	return func() admin.Traffic {
		s := uint64(time.Since(begin).Milliseconds())
		return admin.Traffic{
			Answers: map[string]uint64{"redirect": s * 62 / 1000, "m3u": s * 9 / 1000, "pls": s * 3 / 1000, "proxy": s * 6 / 1000, "json": s * 4 / 1000},
			Nodes:   map[director.NodeID]uint64{"fra1": s * 28 / 1000, "ams1": s * 20 / 1000, "nyc1": s * 14 / 1000},
			Regions: map[director.RegionID]uint64{"de": s * 38 / 1000, "nl": s * 20 / 1000, "americas": s * 14 / 1000},
		}
	}
}

// explained is what the public side would say, for a listener in Germany.
func explained(view director.View, q admin.Question) web.Explanation {
	place := director.Place{Continent: director.Code{'E', 'U'}, Country: director.Code{'D', 'E'}, ASN: 64500}
	d := view.Explain(director.Listener{Addr: q.Addr, Place: place, Key: 7, Mount: q.Path, Scheme: director.HTTP}, view.Live)
	e := web.Explanation{
		Client: web.ClientExplanation{Addr: q.Addr.String(), Peer: q.Addr.String(), Scheme: "http", Place: place.String()}, Mount: d.Mount,
		Answer: web.Redirect, Status: http.StatusFound, Why: "no rule holds: the default", Decision: d,
	}
	if n, ok := view.FindNode(d.Node); ok {
		e.Location = view.Node(n).URLs[0] + d.Mount
	}
	now := time.Now()
	e.Past = &web.Past{Since: now.Add(-time.Hour), More: 3, Records: []web.PastRecord{
		{Time: now.Add(-time.Minute), Status: 302, Path: "/live.mp3", Answer: web.Redirect, Node: d.Node, Region: "de", Listener: "1f0c5a7b9d3e2468", UserAgent: "VLC/3.0.20 LibVLC/3.0.20"},
		{Time: now.Add(-9 * time.Minute), Status: 503, Path: "/a/mount/with/a/rather/long/name/for/regional-programmes.mp3", Answer: web.Deny, Fault: "all servers are full; come again in a moment", Region: "telekom", Rule: "radios of the kitchen that know no redirects", Listener: "1f0c5a7b9d3e2469", UserAgent: "Mozilla/5.0_(a_player_whose_name_has_no_spaces)_AppleWebKit/605.1"},
		{Time: now.Add(-40 * time.Minute), Status: 200, Path: "/live.mp3", Answer: web.Proxy, Node: "fra1", Region: "de", Listener: "1f0c5a7b9d3e2468", UserAgent: "Kitchen/1", HTTPS: true, Seconds: 1500, Bytes: 24e6, End: "listener_left"},
	}}
	return e
}
