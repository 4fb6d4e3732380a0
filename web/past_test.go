package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// An address leads to what became of its requests of the last hour, whatever player asked,
// and to nobody else's. The address itself is not kept.
func TestPast(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Past = 160 })
	found := func() *Past {
		return w.Explain(Question{Addr: german, Path: "/live.mp3"}).Past
	}
	if p := found(); p == nil || len(p.Records) != 0 || !p.Since.Equal(epoch) {
		t.Fatalf("nobody has asked yet: %+v", p)
	}
	w.do(ask{url: "/live.mp3", header: map[string]string{"User-Agent": "VLC/3.0.20"}})
	w.tick(time.Minute)
	w.do(ask{url: "/none.mp3", header: map[string]string{"User-Agent": strings.Repeat("é", 60)}})
	w.do(ask{url: "/live.mp3", from: netip.MustParseAddr("198.51.100.9")})
	w.do(overHTTPS().at("/live.mp3.m3u"))
	p := found()
	if len(p.Records) != 3 {
		t.Fatalf("%d are found, want 3: %+v", len(p.Records), p)
	}
	first, none := p.Records[2], PastRecord{}
	for _, r := range p.Records {
		if r.Status == http.StatusNotFound {
			none = r
		}
	}
	log := w.record[0]
	if first.Node != log.Node || first.Status != 302 || first.Outcome != "placed" || first.Region != log.Region || first.UserAgent != "VLC/3.0.20" || !first.Time.Equal(epoch) || first.Listener != fmt.Sprintf("%016x", log.Listener) {
		t.Errorf("%+v, and the log has %+v", first, log)
	}
	if none.Path != "/none.mp3" || none.Fault == "" || none.UserAgent != strings.Repeat("é", 32) {
		t.Errorf("%+v", none)
	}
	b, err := json.Marshal(p)
	if err != nil || strings.Contains(string(b), german.String()) {
		t.Errorf("the address is told: %s %v", b, err)
	}

	w.tick(59*time.Minute + time.Second)
	if p := found(); len(p.Records) != 2 {
		t.Errorf("an hour after the first, %d are found, want 2", len(p.Records))
	}
	if w.Explain(Question{Addr: netip.MustParseAddr("192.0.2.99"), Path: "/live.mp3"}).Past.Records == nil {
		t.Error("what nobody asked is null in JSON")
	}
}

// The pseudonyms change at midnight; who asked before is found after, too.
func TestPastOverMidnight(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Past = 160 })
	midnight := epoch.Truncate(24 * time.Hour).Add(24 * time.Hour)
	w.tick(midnight.Add(-time.Minute).Sub(epoch))
	w.get("/live.mp3")
	w.tick(2 * time.Minute)
	w.get("/live.mp3")
	p := w.Explain(Question{Addr: german, Path: "/live.mp3"}).Past
	if len(p.Records) != 2 || p.Records[0].Listener == p.Records[1].Listener {
		t.Errorf("%+v, want two with different pseudonyms", p.Records)
	}
}

// A longCarrier carries until the test ends it.
type longCarrier struct {
	*fakeCarrier
	end chan func(Carried)
}

func (c longCarrier) Carry(_ http.ResponseWriter, _ *http.Request, _ Stream, done func(Carried)) error {
	c.end <- done
	return nil
}

// A stream that is carried inline is found while it plays, and what ended it afterwards.
func TestPastInline(t *testing.T) {
	t.Parallel()
	end := make(chan func(Carried), 1)
	w := newWorld(t, func(c *Config) {
		c.Past = 160
		c.Carrier = longCarrier{&fakeCarrier{room: true}, end}
		c.Policy.Rules = append(c.Policy.Rules, Rule{Name: "deaf", Answer: Proxy})
	})
	w.get("/live.mp3")
	found := func() []PastRecord { return w.Explain(Question{Addr: german, Path: "/live.mp3"}).Past.Records }
	if p := found(); len(p) != 1 || !p[0].Begins || p[0].Answer != Proxy || p[0].Node == "" {
		t.Fatalf("while it plays: %+v", p)
	}
	w.tick(time.Minute)
	(<-end)(Carried{Node: "fra1", Bytes: 7, End: "listener_left"})
	p := found()
	if len(p) != 2 || p[0].End+p[1].End != "listener_left" || p[0].Seconds+p[1].Seconds != 60 || p[0].Bytes+p[1].Bytes != 7 {
		t.Errorf("after it: %+v", p)
	}
}

// It is bounded, says from when on it is whole, and who adds waits for nobody.
func TestPastIsBounded(t *testing.T) {
	t.Parallel()
	const size, each = 10_000, 10 * time.Millisecond
	p := newPast(size, epoch)
	r := usual
	for n := 1; n <= 5*size; n++ {
		r.Time = epoch.Add(time.Duration(n) * each)
		p.add(&r, 7, false)
		if n%(size/4) != 0 {
			continue
		}
		got := p.of([]uint64{7, 8}, r.Time)
		kept := len(got.Records) + got.More
		if n <= size*3/4 && (kept != n || !got.Since.Equal(epoch)) || kept < min(n, size*3/4) || kept > size*5/4 {
			t.Fatalf("%d of %d are kept, since %v", kept, n, got.Since)
		}
		// Parts forget one of their blocks at once, and not all parts at the same time.
		if all := int(r.Time.Sub(got.Since) / each); all > kept || all < kept-size*5/4/pastBlocks {
			t.Fatalf("%d of %d are kept, and it says the last %d", kept, n, all)
		}
		if len(got.Records) != mostPast || !got.Records[0].Time.Equal(r.Time) {
			t.Fatalf("%d records, the newest of %v, want %d of %v", len(got.Records), got.Records[0].Time, mostPast, r.Time)
		}
	}
	now := r.Time
	for i := range p.parts {
		p.parts[i].mu.Lock() // as if somebody read all of them, and took their time
	}
	p.add(&r, 7, false)
	if p.dropped.Load() != 1 {
		t.Errorf("%d are dropped, want 1", p.dropped.Load())
	}
	for i := range p.parts {
		p.parts[i].mu.Unlock()
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 1000 {
				p.add(&r, 7, false)
			}
		})
		all.Go(func() { p.of([]uint64{7}, now) })
	}
	all.Wait()
}

// Whatever a record has is told, but for the ends of long texts, which are never cut within
// a letter.
func TestPastIsWhole(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 600)
	for _, tc := range []struct {
		name   string
		r      Record
		begins bool
		want   PastRecord
	}{
		{"nothing", Record{}, false, PastRecord{Listener: "0000000000000000"}},
		{
			"all",
			Record{
				Duration: 90 * time.Second, Path: "/a", Status: 302, Answer: Proxy, Outcome: director.Placed, Decided: true, Fault: "f", Mount: "/m", Node: "n", Region: "r", Rule: "u", Step: "s",
				Listener: 1<<63 | 5, UserAgent: "x", HTTPS: true, Bytes: 1 << 40, End: "e",
			}, true,
			PastRecord{
				Status: 302, Path: "/a", Answer: Proxy, Outcome: "placed", Fault: "f", Mount: "/m", Node: "n", Region: "r", Rule: "u", Step: "s", Listener: "8000000000000005", UserAgent: "x",
				HTTPS: true, Begins: true, Seconds: 90, Bytes: 1 << 40, End: "e",
			},
		},
		{
			"long",
			Record{Path: "/" + long, Fault: long, Mount: "/" + long, Node: director.NodeID(long), Region: director.RegionID(long), Rule: long, UserAgent: long}, false,
			PastRecord{
				Path: "/" + long[:62], Fault: long[:254], Mount: "/" + long[:254], Node: director.NodeID(long[:254]), Region: director.RegionID(long[:254]), Rule: long[:254],
				UserAgent: long[:64], Listener: "0000000000000000",
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p := newPast(1, epoch)
			other := usual
			other.Time = epoch
			for range 3 { // beside others, in the same and in all blocks
				for range 40 * pastParts {
					p.add(&other, 8, false)
				}
				tc.r.Time, tc.want.Time = epoch.Add(time.Second), epoch.Add(time.Second)
				for range pastParts {
					p.add(&tc.r, 7, tc.begins)
				}
			}
			got := p.of([]uint64{7}, epoch.Add(time.Minute))
			if len(got.Records) < pastParts {
				t.Fatalf("%d are found, want %d or more", len(got.Records), pastParts)
			}
			for _, r := range got.Records {
				if r != tc.want {
					t.Fatalf("%+v, want %+v", r, tc.want)
				}
			}
		})
	}
}

// usual is the record of a redirect.
var usual = Record{
	Time: epoch, Status: 302, Answer: Redirect, Node: "fra1", Mount: "/live.mp3", Region: "europe", Path: "/live.mp3", Step: "first", UserAgent: "VLC/3.0.20 LibVLC/3.0.20",
	Outcome: director.Placed, Decided: true,
}

func TestPastAllocatesNothing(t *testing.T) { // alone: others allocate meanwhile
	p, r := newPast(160, epoch), &usual
	if n := testing.AllocsPerRun(10_000, func() { p.add(r, 7, false) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkPast(b *testing.B) {
	p := newPast(32<<10, time.Now())
	r := &usual
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			p.add(r, 7, false)
		}
	})
}
