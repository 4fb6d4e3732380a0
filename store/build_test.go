package store

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signpost-fm/signpost/director"
)

// moody is a prober that says what has changed, as the real one does.
type moody struct {
	still
	newest map[director.NodeID]director.Report
	edited map[director.NodeID]uint64
	edit   uint64
	reset  uint64
}

func (m *moody) Changes(since uint64) (reports []director.Report, all bool, now uint64) {
	all = since < m.reset || since == 0
	for id, r := range m.newest {
		if all || m.edited[id] > since {
			reports = append(reports, r)
		}
	}
	return reports, all, m.edit
}

func (m *moody) says(r director.Report) {
	m.edit++
	m.newest[r.Node], m.edited[r.Node] = r, m.edit
}

func (m *moody) loses(id director.NodeID) {
	m.edit++
	m.reset = m.edit
	delete(m.newest, id)
}

// A director that looks at what has changed has the snapshot of one that looks at
// everything each time, whatever happens: reports of its own prober and of others that
// come, go, become stale or are from the future, directors that come, go and suspect
// themselves, listeners, steps of the store's clock, and other fleets.
func FuzzBuildByChange(f *testing.F) {
	for seed := range uint64(40) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		dice := rand.New(rand.NewPCG(seed, 2))
		clock := noon
		prober := &moody{newest: map[director.NodeID]director.Report{}, edited: map[director.NodeID]uint64{}}
		c := director.Config{Mounts: []director.Mount{{Name: "/a.mp3"}, {Name: "/b.mp3"}}}
		if dice.IntN(3) == 0 {
			c.Mounts = nil
		}
		var ids []director.NodeID
		for i := range 1 + dice.IntN(6) {
			ids = append(ids, director.NodeID(fmt.Sprintf("n%d", i)))
			c.Nodes = append(c.Nodes, director.Node{ID: ids[i], Target: dice.IntN(3) * 500, URLs: []string{fmt.Sprintf("http://127.0.0.%d:8000", i+1)}})
		}
		var loops [2]*loop // by change, and anew
		for i := range loops {
			s, err := NewSyncer(SyncerConfig{Config: c, Prober: prober, Director: "me", Now: func() time.Time { return clock }, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			loops[i] = s.loop
			loops[i].probed, loops[i].answered = true, true
		}
		report := func(by string) director.Report {
			r := director.Report{
				Node: ids[dice.IntN(len(ids))], By: by, Taken: clock.Add(-time.Duration(dice.IntN(16_000)) * time.Millisecond), Since: clock.Add(-time.Minute),
				Health: director.Health(dice.IntN(3)), Listeners: dice.IntN(700) - 1, AnyMount: dice.IntN(2) == 0, Detail: by,
			}
			switch dice.IntN(8) {
			case 0:
				r.Taken = clock.Add(5 * time.Second)
			case 1:
				r.Returned = clock.Add(-20 * time.Second)
			case 2:
				r.Mounts = []director.MountReport{{Path: "/a.mp3", Listeners: 3, Limit: dice.IntN(9)}}
			case 3:
				r.Verdicts = []director.Verdict{{Path: "/b.mp3", State: director.MountState(dice.IntN(4)), Since: r.Taken, Taken: r.Taken}}
			}
			return r
		}
		picture := Picture{}
		for step := range 60 {
			clock = clock.Add(time.Duration(dice.IntN(1500)) * time.Millisecond)
			switch dice.IntN(12) {
			case 0:
				prober.loses(ids[dice.IntN(len(ids))])
			case 1:
				c.Nodes[dice.IntN(len(c.Nodes))].Drained = dice.IntN(2) == 0
				for _, l := range loops {
					if err := l.SetConfig(c); err != nil {
						t.Fatal(err)
					}
				}
			case 2:
				picture.Directors = nil
				for _, id := range []string{"a", "b"} {
					if d := (Director{ID: id}); dice.IntN(2) == 0 {
						if dice.IntN(3) == 0 {
							d.Suspect = "all is dark"
						}
						picture.Directors = append(picture.Directors, d)
					}
				}
			case 3:
				picture.Reports = nil
			case 4, 5, 6:
				r := report([]string{"a", "b"}[dice.IntN(2)])
				picture.Reports = append(picture.Reports[:len(picture.Reports):len(picture.Reports)], &r)
			case 7:
				clock = clock.Add(20 * time.Second) // reports become stale
			case 8, 9, 10:
				prober.says(report(""))
			}
			jump := time.Duration(0)
			if dice.IntN(20) == 0 {
				jump = time.Duration(dice.IntN(100)-50) * time.Second
			}
			for i, l := range loops {
				if dice := rand.New(rand.NewPCG(seed, uint64(step))); l.snapshot != nil && dice.IntN(3) == 0 {
					l.View().Live.Count(dice.IntN(len(ids)))
				}
				picture.Now = clock.Add(l.offset + jump)
				l.setClock(result{picture: picture, began: clock, ended: clock})
				l.picture, l.synced = picture, clock
				l.ledgers.collect(l.now())
				if i == 1 {
					l.whole = true
				}
				l.build()
			}
			got, want := shown(loops[0]), shown(loops[1])
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("step %d: anew (-) and by change (+) differ:\n%s", step, diff)
			}
		}
	})
}

// shown is what a director's snapshot and counters say of each node.
func shown(l *loop) (all []any) {
	v := l.View()
	for n := range v.Nodes() {
		all = append(all, v.Node(n), v.Live.Used(n), v.Live.Recent(n))
		for m := range v.Mounts() {
			all = append(all, v.Mount(m).Name, v.MountState(n, m))
		}
	}
	return append(all, v.Built())
}
