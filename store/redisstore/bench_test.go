package redisstore_test

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/store/redisstore"
	"github.com/signpost-fm/signpost/store/redisstore/redistest"
)

// BenchmarkSync measures one tick of one director in a fleet of 1,000 nodes, each
// probed every 2 s by two directors, with 50 regions in the overlay and 1,000
// listeners a second over all directors. Beside the time it tells, for each Sync,
// round trips and kB in and out of Redis, and what Redis holds.
func BenchmarkSync(b *testing.B) {
	for _, directors := range []int{1, 3, 20} {
		b.Run(fmt.Sprint("directors=", directors), func(b *testing.B) {
			server := redistest.Start(b, redistest.Options{})
			empty := number(b, server, "used_memory")
			fleet := make([]*simulated, directors)
			for i := range fleet {
				fleet[i] = simulate(b, server, i, directors)
			}
			for range 80 { // all the counts that are kept
				for _, d := range fleet {
					d.tick(b)
				}
			}
			trips, in, out := roundTrips(fleet), number(b, server, "total_net_input_bytes"), number(b, server, "total_net_output_bytes")
			cpu := seconds(b, server, "used_cpu_user") + seconds(b, server, "used_cpu_sys")
			b.ReportAllocs()
			b.ResetTimer()
			for n := range b.N {
				fleet[n%directors].tick(b)
			}
			b.StopTimer()
			each := func(total float64) float64 { return total / float64(b.N) }
			b.ReportMetric(each(roundTrips(fleet)-trips), "trips/op")
			b.ReportMetric(each(number(b, server, "total_net_input_bytes")-in)/1000, "kB-in/op")
			b.ReportMetric(each(number(b, server, "total_net_output_bytes")-out)/1000, "kB-out/op")
			b.ReportMetric(each(seconds(b, server, "used_cpu_user")+seconds(b, server, "used_cpu_sys")-cpu)*1e6, "redis-µs/op")
			b.ReportMetric((number(b, server, "used_memory")-empty)/1e6, "redis-MB")
		})
	}
}

const (
	simulatedNodes = 1000
	tick           = 250 * time.Millisecond
	probesPerTick  = 8 // one in as many probes is due in a tick: every 2 s
)

// simulated is a director that offers what a real one would.
type simulated struct {
	*redisstore.Store
	now   time.Time
	n     int
	per   int // listeners a tick
	offer store.Offer
}

func simulate(b *testing.B, server *redistest.Server, i, directors int) *simulated {
	b.Helper()
	d := &simulated{
		Store: open(b, redisstore.Config{URL: server.URL()}),
		now:   time.Now().UTC().Truncate(tick),
		per:   max(250/directors, 1),
		offer: store.Offer{
			Director: store.Director{ID: fmt.Sprintf("director-%d-QX3ZB7RA", i), Site: "fra", Config: "c0ffee123456"},
			Overlay:  regions(50, 20),
		},
	}
	probers := min(directors, 2)
	for n := range simulatedNodes {
		if n%directors == i || (probers == 2 && (n+1)%directors == i) {
			d.offer.Reports = append(d.offer.Reports, report(n, d.offer.Director.ID, d.now))
		}
	}
	return d
}

func report(n int, by string, taken time.Time) *director.Report {
	mount := func(path, title string) director.MountReport {
		return director.MountReport{Path: path, Listeners: n, Type: "audio/mpeg", Name: "Radio Example", Title: title}
	}
	return &director.Report{Node: director.NodeID(fmt.Sprintf("node-%04d", n)), By: by, Taken: taken, Health: director.Up, Since: taken,
		Listeners: n, Limit: 1000, Kbit: 128 * float64(n), Server: "Icecast 2.4.4", IPv4: true, IPv6: true,
		Mounts: []director.MountReport{mount("/live.mp3", "Somebody - Something"), mount("/live.aac", "Somebody - Something")}}
}

// regions is an overlay with a row for each region.
func regions(n, nodes int) store.Overlay {
	o := store.Overlay{Revision: 1, Rows: map[director.RegionID]store.Row{}}
	for r := range n {
		row := store.Row{Weights: map[director.NodeID]float64{}, Stamp: store.Stamp{By: "anna", At: day, Why: "the fair"}}
		for i := range nodes {
			row.Weights[director.NodeID(fmt.Sprintf("node-%04d", r*nodes+i))] = float64(i + 1)
		}
		o.Rows[director.RegionID(fmt.Sprintf("region-%d", r))] = row
	}
	return o
}

// tick is a Sync after a quarter of a second.
func (d *simulated) tick(b *testing.B) {
	b.Helper()
	d.n++
	d.now = d.now.Add(tick)
	reports := slices.Clone(d.offer.Reports)
	for i := range reports {
		if i%probesPerTick == d.n%probesPerTick {
			newer := *reports[i]
			newer.Taken = d.now
			newer.Listeners++
			reports[i] = &newer
		}
	}
	var counts []store.Count
	for _, c := range d.offer.Counts {
		if d.now.Sub(c.At) < store.EnRouteMax {
			counts = append(counts, c)
		}
	}
	for i := range d.per {
		counts = append(counts, store.Count{Node: director.NodeID(fmt.Sprintf("node-%04d", (d.n*d.per+i)%simulatedNodes)), At: d.now, N: 1})
	}
	d.offer.Reports, d.offer.Counts = reports, counts
	if _, err := d.Sync(b.Context(), d.offer); err != nil {
		b.Fatal(err)
	}
}

func roundTrips(fleet []*simulated) (sum float64) {
	for _, d := range fleet {
		sum += float64(d.RoundTrips())
	}
	return sum
}

func number(b *testing.B, s *redistest.Server, field string) float64 { return seconds(b, s, field) }

func seconds(b *testing.B, s *redistest.Server, field string) float64 {
	b.Helper()
	v, err := strconv.ParseFloat(s.Info(field), 64)
	if err != nil {
		b.Fatal(err)
	}
	return v
}

var day = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
