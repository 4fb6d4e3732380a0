package admin

import (
	"encoding/json"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/admin/ring"
)

// newest returns the newest value of each series of a plot, as text.
func newest(t *testing.T, a *API, query string) map[string]string {
	t.Helper()
	q, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	p, err := a.Plots(q)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, s := range p.Series {
		text, _ := json.Marshal(s.Values[len(s.Values)-1])
		out[s.Name] = string(text)
	}
	return out
}

// counting hears of so many nodes with 7 listeners each.
type counting struct {
	prober
	nodes int
}

func (c counting) Changes(uint64) (all []director.Report, _ bool, _ uint64) {
	for i := range c.nodes {
		all = append(all, director.Report{
			Node: director.NodeID(fmt.Sprint("node", i)), Taken: time.Now(), Since: day, Health: director.Up, Listeners: 7,
			Mounts: []director.MountReport{{Path: "/live.mp3", Listeners: 7}, {Path: "/live.aac", Listeners: -1}},
		})
	}
	return all, true, 0
}

// What is known is sampled, once in each interval; what nobody knows is no 0.
func TestPlotsAreSampled(t *testing.T) {
	t.Parallel()
	now := time.Now().Truncate(ring.Interval)
	sent := uint64(0)
	r := fleetProbedBy(t, counting{newProber(), 1}, director.Config{
		Nodes:  []director.Node{{ID: "node0", URLs: []string{"http://node0.example"}}, {ID: "nobody", URLs: []string{"http://nobody.example"}}},
		Mounts: []director.Mount{{Name: "/live.mp3"}, {Name: "/silent.mp3"}},
		Regions: []director.Region{
			{ID: "de", Match: director.Match{Countries: []string{"DE"}}, Row: []director.Weight{{Node: "node0", Weight: 1, Given: true}}},
			{ID: "all", Match: director.Match{Default: true}, Row: []director.Weight{{Node: "node0", Weight: 1, Given: true}}},
		},
	}, Config{
		Now: func() time.Time { return now },
		Mix: func(director.NodeID) map[director.RegionID]float64 {
			return map[director.RegionID]float64{"de": 3, "all": 4}
		},
		Traffic: func() Traffic { return Traffic{Answers: map[string]uint64{"redirect": sent}} },
	})
	r.h.sample()
	now, sent = now.Add(ring.Interval), 25
	r.h.sample()
	sent = 1000
	r.h.sample() // in the same interval
	for query, want := range map[string]map[string]string{
		"":                             {"": "7"},
		"by=node&span=week":            {"node0": "7"},
		"by=region":                    {"de": "3", "all": "4"},
		"by=region&most=1":             {"all": "4", "": "3"},
		"by=region&name=de":            {"de": "3"},
		"by=mount&span=day":            {"/live.mp3": "7"},
		"by=answer":                    {"redirect": "2.5"},
		"by=node&name=nobody&span=day": {},
	} {
		if diff := cmp.Diff(want, newest(t, r.h, query)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
	p, err := r.h.Plots(url.Values{"by": {"region"}})
	if end := p.Start.Add(time.Duration(len(p.Series[0].Values)*p.StepS) * time.Second); err != nil || !p.Reckoned || !end.Equal(now.Add(ring.Interval)) {
		t.Errorf("%v: it ends at %v, want %v; reckoned: %v", err, end, now.Add(ring.Interval), p.Reckoned)
	}
}

// The others are summed up; a gap in one of them is none in the sum.
func TestTheOthersTogether(t *testing.T) {
	t.Parallel()
	h, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	values := map[ring.Key]float64{}
	for i := range 10 {
		values[ring.Key{Kind: ring.Node, Name: fmt.Sprint("node", i)}] = float64(100 * i)
	}
	h.cfg.Plots.Sample(now.Add(-ring.Interval), values)
	delete(values, ring.Key{Kind: ring.Node, Name: "node1"})
	h.cfg.Plots.Sample(now, values)
	want := map[string]string{"node9": "900", "node8": "800", "": "2700"}
	if diff := cmp.Diff(want, newest(t, h, "by=node&most=2")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if p, err := h.Plots(url.Values{"by": {"node"}, "most": {"2"}}); err != nil || p.Others != 8 {
		t.Errorf("%v: %d others, want 8", err, p.Others)
	}
}

// BenchmarkPlotSample is what plots cost a director with 200 nodes and 30 regions, every
// ten seconds.
func BenchmarkPlotSample(b *testing.B) {
	c := director.Config{Mounts: []director.Mount{{Name: "/live.mp3"}, {Name: "/live.aac"}}}
	for i := range 200 {
		c.Nodes = append(c.Nodes, director.Node{ID: director.NodeID(fmt.Sprint("node", i)), URLs: []string{fmt.Sprintf("http://node%d.example", i)}})
	}
	for i := range 30 {
		r := director.Region{ID: director.RegionID(fmt.Sprint("region", i)), Match: director.Match{ASNs: []uint32{uint32(i + 1)}}}
		for j := range 8 {
			r.Row = append(r.Row, director.Weight{Node: c.Nodes[(i*7+j)%200].ID, Weight: 1, Given: true})
		}
		c.Regions = append(c.Regions, r)
	}
	h := fleetProbedBy(b, counting{newProber(), 200}, c, Config{}).h
	for b.Loop() {
		h.values(time.Now())
	}
}
