package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// Random returns a scenario of a small fleet, and of what goes wrong with it, that follows
// from the seed alone.
func Random(seed uint64) Scenario {
	r := rand.New(rand.NewPCG(seed, 0x5eed)) //nolint:gosec // it has to be repeatable
	s := Scenario{Seed: seed, For: time.Duration(90+r.IntN(60)) * time.Second, Every: time.Second}
	s.Crowd.Listeners = 100 + r.IntN(500)
	s.Crowd.Session = time.Duration(1+r.IntN(10)) * time.Minute
	if r.IntN(3) == 0 {
		s.Crowd.Curve = Curve{{0, 0.3 + r.Float64()/2}, {time.Duration(30+r.IntN(60)) * time.Second, 1}, {s.For, 0.5 + r.Float64()/2}}
	}
	s.Fleet.Mounts = []director.Mount{{Name: "/live.mp3"}}
	if r.IntN(3) == 0 {
		s.Fleet.Mounts = append(s.Fleet.Mounts, director.Mount{Name: "/live.aac"})
	}
	nodes := 2 + r.IntN(5)
	sites := 1 + r.IntN(3)
	tight := 1.1 + r.Float64()*1.5 // what the fleet can hold, by how many listen
	for i := range nodes {
		n := director.Node{
			ID: director.NodeID(fmt.Sprint("n", i+1)), URLs: []string{fmt.Sprintf("http://n%d.example:8000", i+1)}, Site: fmt.Sprint("s", i%sites+1),
			Target: max(10, int(float64(s.Crowd.Listeners)*tight/float64(nodes)*(0.7+0.6*r.Float64()))),
		}
		n.Limit = n.Target * (105 + r.IntN(60)) / 100
		if r.IntN(4) == 0 {
			n.MaxNewPerS = 20 + r.IntN(40)
		}
		s.Fleet.Nodes = append(s.Fleet.Nodes, n)
		s.Nodes = append(s.Nodes, Node{Pace: -1, Tells: r.IntN(2) == 0, Lag: time.Duration(r.IntN(1000)+1) * time.Millisecond})
	}
	regions := 1 + r.IntN(3)
	given := r.IntN(4) != 0
	for i := range regions {
		id := director.RegionID(fmt.Sprint("r", i+1))
		region := director.Region{ID: id, Match: director.Match{ASNs: []uint32{uint32(i + 1)}}}
		for k := range nodes {
			if r.IntN(3) != 0 || k == i%nodes {
				region.Row = append(region.Row, director.Weight{Node: s.Fleet.Nodes[k].ID, Weight: float64(1 + r.IntN(5)), Given: given})
			}
		}
		if i > 0 {
			region.Overflow = []director.RegionID{"r1"}
		} else {
			region.Match.Default = true
		}
		s.Fleet.Regions = append(s.Fleet.Regions, region)
		s.Origins = append(s.Origins, Origin{Name: string(id), Place: director.Place{ASN: uint32(i + 1)}, Weight: 0.5 + r.Float64(), NAT: r.Float64() / 3, Behind: 2 + r.IntN(20)})
	}
	for range 1 + r.IntN(4) {
		s.Directors = append(s.Directors, Director{Site: fmt.Sprint("s", 1+r.IntN(sites)), Skew: time.Duration(r.Int64N(int64(20*time.Second))) - 10*time.Second})
	}
	kinds := []FaultKind{
		NodeCrash, NodeVanish, NodeFreeze, SiteLoss, SourceLoss, LinkBreak, ReportsLate, ReportsWrong, NodeLimit, StoreAway, StoreSlow, StoreFlush, StoreFailover,
		AnswersLost, TicksLate, TicksLost, TicksTwice, DirectorCrash, DirectorCut, DirectorBlind, Drain, Burst,
	}
	for range r.IntN(5) {
		f := Fault{
			Kind: kinds[r.IntN(len(kinds))], At: time.Duration(10+r.IntN(50)) * time.Second, For: time.Duration(2+r.IntN(25)) * time.Second,
		}
		node := s.Fleet.Nodes[r.IntN(nodes)]
		span, much := time.Duration(r.Int64N(int64(3*time.Second))), r.Float64()
		switch f.Kind {
		case NodeCrash, NodeVanish, NodeFreeze, Drain:
			f.Node = node.ID
		case SiteLoss:
			f.Site = node.Site
		case SourceLoss:
			f.Node, f.Mount = node.ID, r.IntN(len(s.Fleet.Mounts))
		case LinkBreak:
			f.Node, f.Origin = node.ID, r.IntN(regions)
		case ReportsLate:
			f.Node, f.Span = node.ID, span
		case ReportsWrong:
			f.Node, f.Much = node.ID, 0.8+much/2
		case NodeLimit:
			f.Node, f.Much = node.ID, 0.3+much
		case StoreSlow:
			f.Span = span / 2
		case StoreFailover:
			f.Span = span
		case AnswersLost:
			f.Much = much
		case TicksLate:
			f.Director, f.Span = r.IntN(len(s.Directors)), span
		case TicksLost:
			f.Director, f.Much = r.IntN(len(s.Directors)), much
		case TicksTwice, DirectorCrash, DirectorCut, DirectorBlind:
			f.Director = r.IntN(len(s.Directors))
		case Burst:
			f.Much = much / 2
		case StoreAway:
		case StoreFlush:
			f.For = 0
		}
		s.Faults = append(s.Faults, f)
	}
	return s
}
