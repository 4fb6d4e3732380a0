package simulate

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/sim"
)

func TestDay(t *testing.T) {
	t.Parallel()
	d, err := parseDay("day.csv", strings.NewReader("time,listeners\n# of Monday\n19:00,100\n19:30,300\n20:00,400\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := d.Curve.At(19*time.Hour + 15*time.Minute); d.Peak != 400 || got != 0.5 {
		t.Errorf("peak %g and %g at 19:15, want 400 and 0.5", d.Peak, got)
	}
	d, err = parseDay("day.csv", strings.NewReader("2026-06-01 23:00,1\n2026-06-02 00:00,2\n2026-06-02 01:00,1\n"))
	if err != nil || d.Curve[2].At != 25*time.Hour {
		t.Errorf("past midnight: %v, %v", d.Curve, err)
	}
}

func TestBadDays(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                     "day.csv: a curve needs two lines or more, each with a time and a number, as in 20:05,0.8",
		"time,n\n":                             "day.csv: a curve needs two lines or more, each with a time and a number, as in 20:05,0.8",
		"20:00,1\n20:30\n":                     "day.csv:2: 1 field instead of 2; write a time and a number, as in 20:05,0.8",
		"20:00,1\n20:30,\n21:00,1\n":           "day.csv:2: 20:30 has no value: the curve has a gap; fill it in, or take the line out if its neighbours are as far from each other as the others",
		"20:00,1\nlater,2\n":                   `day.csv:2: "later" is not a time; write one such as 20:05, or 2026-06-01 20:05`,
		"20:00,1\n20:30,x\n":                   `day.csv:2: "x" is not a number of 0 or more`,
		"20:00,1\n20:30,NaN\n":                 `day.csv:2: "NaN" is not a number of 0 or more`,
		"20:00,1\n20:30,-1\n":                  `day.csv:2: "-1" is not a number of 0 or more`,
		"20:00,1\n19:30,1\n":                   "day.csv:2: 19:30 is not after the line before it; sort the lines by time, and give dates if they pass midnight",
		"20:00,0\n20:30,0\n":                   "day.csv: nobody ever listens: all values are 0",
		"1:00,1\n2:00,1\n4:00,1\n5:00,1\n":     "day.csv:3: nothing between 02:00 and 04:00, while the other lines are 1h0m0s apart: the curve has a gap; add the lines that are missing",
		"20:00,1\n20:30,\"1\n":                 `day.csv:2: extraneous or missing " in quoted-field; write a time and a number a line, as in 20:05,0.8`,
		"2026-06-01 20:00,1\n20:30,1\n":        `day.csv:2: "20:30" is not a time; write one such as 20:05, or 2026-06-01 20:05`,
		"x,y\n25:00,1\n":                       `day.csv:2: "25:00" is not a time; write one such as 20:05, or 2026-06-01 20:05`,
		"20:00,1\n20:30,1e300\n":               `day.csv:2: "1e300" is not a number of 0 or more`,
		"2026-06-01 20:00,1\n2026-06-01 x,1\n": `day.csv:2: "2026-06-01 x" is not a time; write one such as 20:05, or 2026-06-01 20:05`,
	} {
		if _, err := parseDay("day.csv", strings.NewReader(text)); err == nil || err.Error() != want {
			t.Errorf("%q:\n got %v\nwant %s", text, err, want)
		}
	}
	if _, err := ReadDay(filepath.Join(t.TempDir(), "no.csv")); err == nil || !strings.HasSuffix(err.Error(), "no such file or directory; name a CSV file, or one of morning-show, match-night, breaking-news") {
		t.Error(err)
	}
}

// TestBuiltInDays: they are whole days, and their highest value is 1.
func TestBuiltInDays(t *testing.T) {
	t.Parallel()
	for _, name := range Days() {
		d, err := ReadDay(name)
		if err != nil {
			t.Fatal(err)
		}
		most := 0.0
		for i, p := range d.Curve {
			most = max(most, p.Value)
			if i > 0 && p.At <= d.Curve[i-1].At {
				t.Errorf("%s: point %d is not after the one before it", name, i)
			}
		}
		if most != 1 || d.Curve[0].At != 0 || d.Curve[len(d.Curve)-1].At != 24*time.Hour {
			t.Errorf("%s: %v, at the most %g", name, d.Curve, most)
		}
	}
}

// plan is one of 300 listeners of two regions, whose node in Frankfurt is lost.
func plan() Plan {
	return Plan{
		Fleet: director.Config{
			Mounts: []director.Mount{{Name: "/live.mp3"}, {Name: "/hifi.ogg"}},
			Nodes: []director.Node{
				{ID: "fra1", URLs: []string{"http://fra1.example:8000"}, Site: "fra", Target: 300, Limit: 400},
				{ID: "nyc1", URLs: []string{"http://nyc1.example:8000"}, Site: "nyc", Target: 300, Limit: 400},
			},
			Regions: []director.Region{
				{ID: "europe", Match: director.Match{Continents: []string{"EU"}}, Row: []director.Weight{{Node: "fra1"}}, Overflow: []director.RegionID{"world"}},
				{ID: "world", Match: director.Match{Default: true}, Row: []director.Weight{{Node: "nyc1"}}, Deny: []string{"/hifi.ogg"}},
			},
		},
		Listeners: 300, From: -1, Until: -1, At: 20*time.Hour + 5*time.Minute, For: 3 * time.Minute, LoseSites: []string{"fra"},
		Session: 10 * time.Minute, Directors: 1, Pace: 50, Seed: 1,
	}
}

func played(t *testing.T, p Plan, limits ...Limit) *Report {
	t.Helper()
	play, err := p.Play()
	if err != nil {
		t.Fatal(err)
	}
	h, err := sim.Run(t.Context(), play.Scenario, nil)
	if err != nil {
		t.Fatal(err)
	}
	return NewReport(h, &play, limits)
}

// TestLostSite: a lost site's listeners are at the other one after some seconds, and come
// back after it does.
func TestLostSite(t *testing.T) {
	t.Parallel()
	p := plan()
	p.Until = p.At + 10*time.Minute
	r := played(t, p, Limit{"refused", 0}, Limit{"load", 0.5}, Limit{"unanswered", 0.5})
	at := func(node director.NodeID, after time.Duration) int {
		return r.Samples.Nodes[node][(beforeLoss+after)/time.Second]
	}
	switch before := at("fra1", -time.Second); {
	case before < 100 || at("nyc1", -time.Second) < 100:
		t.Errorf("before the loss %d and %d listen, of 300 in two regions that should hold as many", before, at("nyc1", -time.Second))
	case at("nyc1", 2*time.Minute) < before:
		t.Errorf("nyc1 has %d listeners after two minutes", at("nyc1", 2*time.Minute))
	case at("fra1", 8*time.Minute) < 20:
		t.Errorf("fra1 has %d listeners five minutes after it came back", at("fra1", 8*time.Minute))
	}
	if r.Answers.Outcomes["denied"] > 0 {
		t.Error("somebody asks for what is denied")
	}
	if len(r.Broken) > 0 {
		t.Errorf("broken promises: %v", r.Broken)
	}
	if r.From != "19:50" || r.Until != "20:15" || r.Audio.MostSilent < 50 || r.Audio.CalmAgain == "" {
		t.Errorf("from %s until %s, %+v", r.From, r.Until, r.Audio)
	}
	if err := r.Err(); err == nil || !strings.HasPrefix(err.Error(), "the fleet did not hold what is asked of it: load is ") || !strings.HasSuffix(err.Error(), ", and may be 50 %") {
		t.Errorf("limits: %v", err)
	}
	var b strings.Builder
	r.Print(&b)
	for _, want := range []string{
		"300 listeners at the most, 19:50 until 20:15, 1 director\n", "░", "█", "\n20:05  site fra is lost\n", " node fra1 is down for director 0\n", "\n20:08  site fra is back\n",
		"\neurope  ", "limit refused: 0 % of at most 0 %: holds\n", "limit load: ", ": BROKEN\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the report has no %q:\n%s", want, b.String())
		}
	}
}

// TestHTML: the page carries all that it needs, and text from outside cannot end a script.
func TestHTML(t *testing.T) {
	t.Parallel()
	p := plan()
	p.Until = p.At + time.Minute
	r := played(t, p, Limit{"refused", 0})
	r.Remarks = append(r.Remarks, "</script><b>")
	var b strings.Builder
	if err := r.HTML(&b, Plotting{JS: "var uPlot = 'here & there';", CSS: ".u > x{}"}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"var uPlot = 'here & there';", ".u > x{}", `"every_s":1`, `\u003c/script\u003e`, "&lt;/script&gt;", "site fra is lost", `id="node1"`} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the page has no %q", want)
		}
	}
	for _, not := range []string{"ZgotmplZ", "src=", "<link", "@import", "</script><b>"} {
		if strings.Contains(b.String(), not) {
			t.Errorf("the page has %q", not)
		}
	}
}

// TestShares: listeners are where the operator says.
func TestShares(t *testing.T) {
	t.Parallel()
	p := plan()
	p.LoseSites, p.At, p.For = nil, -1, 0
	p.From, p.Until = 0, 5*time.Minute
	p.Shares = map[director.RegionID]float64{"europe": 9, "world": 1}
	r := played(t, p)
	if fra, nyc := r.Samples.Nodes["fra1"][0], r.Samples.Nodes["nyc1"][0]; fra < 240 || nyc > 60 {
		t.Errorf("%d in Europe and %d elsewhere, want 270 and 30", fra, nyc)
	}
	p.Fleet.Regions = nil
	p.Shares = nil
	p.Fleet.Mounts = nil
	r = played(t, p)
	if got := r.Samples.Listening[0]; got != 300 || len(r.Remarks) != 1 {
		t.Errorf("without regions, %d listen; remarks %q", got, r.Remarks)
	}
}

// TestMbit: directors keep limits in Mbit/s by the mounts' bitrates.
func TestMbit(t *testing.T) {
	t.Parallel()
	p := plan()
	p.LoseSites, p.At, p.For = nil, -1, 0
	p.From, p.Until = 0, 5*time.Minute
	for i := range p.Fleet.Mounts {
		p.Fleet.Mounts[i].Kbit = 128
	}
	p.Fleet.Nodes[0].Target, p.Fleet.Nodes[0].Limit, p.Fleet.Nodes[0].Mbit = 0, 0, director.Mbit{Target: 6.4, Limit: 12.8}
	p.Shares = map[director.RegionID]float64{"europe": 1}
	r := played(t, p)
	if n := r.Nodes[0]; n.Target != 50 || n.Limit != 100 || n.Most > 110 || r.Nodes[1].Most < 150 {
		t.Errorf("%+v, and then %+v", n, r.Nodes[1])
	}
}

// TestNetworksOfRegions: a region of addresses has listeners with those.
func TestNetworksOfRegions(t *testing.T) {
	t.Parallel()
	p := plan()
	p.Fleet.Regions[0].Match = director.Match{CIDRs: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}}
	p.LoseSites, p.At, p.For = nil, -1, 0
	p.Until = 2 * time.Minute
	r := played(t, p)
	for i, want := range []director.NodeID{"fra1", "nyc1"} {
		if sent := r.Regions[i].Sent; len(r.Regions) != 2 || len(sent) != 1 || sent[want] == 0 {
			t.Errorf("sent %+v, want each region's listeners at its own node", r.Regions)
		}
	}
}

func TestBadPlans(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		change func(*Plan)
		want   string
	}{
		{func(p *Plan) { p.LoseSites = []string{"fro"} }, "--lose-site fro: no node stands at a site of this name; there are fra, nyc"},
		{func(p *Plan) { p.DirectorSites = []string{"ber"} }, "--director-site ber: no node stands at a site of this name; there are fra, nyc"},
		{func(p *Plan) { p.LoseNodes = []director.NodeID{"x"} }, "--lose-node x: there is no such node; there are fra1, nyc1"},
		{func(p *Plan) { p.Listeners = 0 }, "how many listen? Give --listeners, the number at the highest point of the day"},
		{func(p *Plan) { p.At = -1 }, "when is it lost? Give --at, such as --at 20:05"},
		{func(p *Plan) { p.LoseSites = nil }, "--at and --for say when something is lost; give --lose-site or --lose-node, too"},
		{func(p *Plan) { p.Shares = map[director.RegionID]float64{"asia": 1} }, "--share asia: there is no such region"},
		{func(p *Plan) { p.From, p.Until = 21*time.Hour, 22*time.Hour }, "--at 20:05 is outside of what is played, 21:00 until 22:00"},
		{func(p *Plan) { p.Until = time.Hour }, "there is nothing to play from 19:50 until 01:00; give --from and --until in that order"},
		{func(p *Plan) { p.Directors = 0 }, "--directors 0: there must be one, and no fewer than --director-site names"},
		{func(p *Plan) { p.Day, _ = parseDay("x", strings.NewReader("08:00,1\n09:00,1\n")) }, "--at 20:05 is outside of the curve, which goes from 08:00 to 09:00"},
		{func(p *Plan) {
			p.Day, _ = parseDay("x", strings.NewReader("20:00,1\n21:00,1\n"))
			p.Until = 22 * time.Hour
		}, "20:00 until 22:00 is more than the curve has, which goes from 20:00 to 21:00"},
	} {
		p := plan()
		c.change(&p)
		if _, err := p.Play(); err == nil || err.Error() != c.want {
			t.Errorf("\n got %v\nwant %s", err, c.want)
		}
	}
}

func TestMemory(t *testing.T) {
	t.Parallel()
	p := plan()
	p.Listeners = 1_000_000_000
	s, err := p.Play()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.CheckMemory(4 << 30); err == nil || !strings.Contains(err.Error(), "1000000000 listeners need about 558.9 GB of memory, and 4.0 GB are available; give fewer --listeners") {
		t.Error(err)
	}
	if err := s.CheckMemory(0); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat("/proc/meminfo"); err == nil && AvailableMemory() == 0 {
		t.Error("this machine's memory is not known")
	}
}

func TestLimitText(t *testing.T) {
	t.Parallel()
	var l Limit
	if err := l.UnmarshalText([]byte("refused=0.1%")); err != nil || l != (Limit{"refused", 0.001}) {
		t.Error(l, err)
	}
	for text, want := range map[string]string{
		"refused=0.1": `"refused=0.1": write NAME=PERCENT, as in refused=0.1%`,
		"refused":     `"refused": write NAME=PERCENT, as in refused=0.1%`,
		"x=1%":        `"x=1%": nothing is called "x"; there are refused, unanswered, failed, lost, late, load`,
		"load=-1%":    `"load=-1%": write NAME=PERCENT, as in load=0.1%`,
	} {
		if err := l.UnmarshalText([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}
