package simulate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/probe"
	"github.com/signpost-fm/signpost/director/sim"
)

// A Present is the state of a running fleet, and what is to come of it.
type Present struct {
	Now          *director.Snapshot
	Then         director.Config // in force from the beginning
	Mix          director.Mix    // where listeners come from; nil: not known
	Probe        probe.Config
	Tick, Settle time.Duration
	Sites        []string // of the directors; "" is none

	LoseNodes []director.NodeID // a minute after the beginning
	LoseSites []string
	LostFor   time.Duration // 0: until the end
	For       time.Duration // that is played, from now on; 0: a quarter of an hour
	Session   time.Duration // 0: half an hour
}

const (
	// presentListeners is how many are played at the most. Of more, one in so many is, and
	// targets, limits and paces are that part, too.
	presentListeners = 20_000
	presentFor       = 15 * time.Minute
	// PresentMost is the longest time that is played from the present state.
	PresentMost = time.Hour
	lossAfter   = time.Minute
	stockPace   = 50 // connections a second of a node without max_new_per_s: a stock Icecast
)

// Play returns what is to be played. Nodes that are down, and mounts that do not play, stay
// so. at is the time of the day now.
func (p *Present) Play(at time.Time) (out Play, err error) {
	if p.For < 0 || p.For > PresentMost || p.LostFor < 0 || p.Session < 0 {
		return out, fmt.Errorf("minutes: %g cannot be played; give up to %g", p.For.Minutes(), PresentMost.Minutes())
	}
	out.Scenario = sim.Scenario{
		Seed: 1, Start: time.Date(2030, 1, 1, at.Hour(), at.Minute(), at.Second(), 0, time.UTC), For: cmp.Or(p.For, presentFor),
		Fleet: p.Then, Probe: p.Probe, Tick: p.Tick, Settle: p.Settle, Watch: watched(),
	}
	s := &out.Scenario
	s.Every = max(time.Second, (s.For/maxPresentSamples + time.Second - 1).Truncate(time.Second))
	s.Crowd.Session = p.Session
	if len(s.Fleet.Mounts) == 0 {
		all := p.Now.Mounts()
		s.Fleet.Mounts = slices.Clone(all[:min(len(all), maxPresentMounts)])
	}
	if len(s.Fleet.Mounts) == 0 {
		return out, errors.New("no node plays any mount, so that nobody could listen")
	}
	for _, site := range p.Sites {
		s.Directors = append(s.Directors, sim.Director{Site: site})
	}
	if len(s.Directors) > maxPresentDirectors {
		s.Directors = s.Directors[:maxPresentDirectors]
	}
	total := 0
	for n := range p.Now.Nodes() {
		total += p.Now.Node(n).Used
	}
	part := max(1, (total+presentListeners-1)/presentListeners)
	if part > 1 {
		out.Remarks = append(out.Remarks, fmt.Sprintf("of %d listeners 1 in %d is played, and so are targets, limits and paces; numbers are of those that are played", total, part))
	}
	p.servers(s, part)
	if err := p.seated(s, &out, part); err != nil {
		return out, err
	}
	for _, site := range p.LoseSites {
		s.Faults = append(s.Faults, sim.Fault{Kind: sim.SiteLoss, At: lossAfter, For: p.LostFor, Site: site})
	}
	for _, node := range p.LoseNodes {
		s.Faults = append(s.Faults, sim.Fault{Kind: sim.NodeVanish, At: lossAfter, For: p.LostFor, Node: node})
	}
	return out, nil
}

const (
	maxPresentSamples   = 400
	maxPresentMounts    = 64
	maxPresentDirectors = 20
)

// servers makes the nodes of the scenario 1 in part of themselves, and has those fail that
// fail now.
func (p *Present) servers(s *sim.Scenario, part int) {
	scaled := func(n int) int {
		if n == 0 {
			return 0
		}
		return max(1, (n+part/2)/part)
	}
	s.Fleet.Nodes = slices.Clone(s.Fleet.Nodes)
	for i := range s.Fleet.Nodes {
		n := &s.Fleet.Nodes[i]
		pace := float64(cmp.Or(n.MaxNewPerS, stockPace)) / float64(part)
		k, known := p.Now.FindNode(n.ID)
		if known {
			st := p.Now.Node(k)
			n.Target, n.Limit = st.EffectiveTarget, st.EffectiveLimit
			p.failing(s, n.ID, k, &st)
		}
		n.Target, n.Limit, n.MaxNewPerS = scaled(n.Target), scaled(n.Limit), scaled(n.MaxNewPerS)
		n.Mbit, n.Relays = director.Mbit{}, 0 // they are in the numbers above
		s.Nodes = append(s.Nodes, sim.Node{Pace: pace, Limit: n.Limit})
	}
}

// failing adds what a node does not do now.
func (p *Present) failing(s *sim.Scenario, id director.NodeID, k int, st *director.NodeState) {
	if st.State == director.Down {
		s.Faults = append(s.Faults, sim.Fault{Kind: sim.NodeVanish, Node: id})
		return
	}
	for m, mount := range s.Fleet.Mounts {
		at := slices.IndexFunc(p.Now.Mounts(), func(o director.Mount) bool { return o.Name == mount.Name })
		if at >= 0 && st.State == director.Fit && p.Now.MountState(k, at) == director.MountSilent {
			s.Faults = append(s.Faults, sim.Fault{Kind: sim.SourceLoss, Node: id, Mount: m})
		}
	}
}

// seated says where listeners are, what they hear, and at which nodes those are who listen
// now.
func (p *Present) seated(s *sim.Scenario, out *Play, part int) (err error) {
	all := p.Now.Demand(p.Mix)
	plan := Plan{Fleet: s.Fleet, Shares: map[director.RegionID]float64{}}
	for region, n := range all.Regions() {
		plan.Shares[region] = float64(n)
	}
	var remarks []string
	if s.Origins, out.Regions, remarks, err = plan.origins(s.Fleet); err != nil {
		return err
	}
	if len(all) > 0 { // else they are of what nobody hears
		out.Remarks = append(out.Remarks, remarks...)
	}
	for i := range s.Origins {
		p.heard(s, &s.Origins[i], all, out.Regions[i])
	}
	s.Present = []sim.Present{}
	for i, n := range s.Fleet.Nodes {
		if k, known := p.Now.FindNode(n.ID); !known || p.Now.State(k) == director.Down {
			continue
		}
		crowds := p.Now.Demand(p.Mix, n.ID)
		for _, c := range slices.SortedFunc(maps.Keys(crowds), func(a, b director.Crowd) int {
			return cmp.Or(cmp.Compare(a.Region, b.Region), cmp.Compare(a.Mount, b.Mount))
		}) {
			listeners := int(math.Round(crowds[c] / float64(part)))
			s.Crowd.Listeners += listeners
			own := originsOf(out.Regions, c.Region)
			for k, origin := range own {
				s.Present = append(s.Present, sim.Present{
					Node: i, Origin: origin, Mount: mountOf(s, c.Mount), Listeners: listeners*(k+1)/len(own) - listeners*k/len(own),
				})
			}
		}
	}
	return nil
}

// heard sets the parts of the mounts at an origin as they are in its region, if somebody
// listens there.
func (p *Present) heard(s *sim.Scenario, o *sim.Origin, all director.Demand, region director.RegionID) {
	parts, sum := make([]float64, len(s.Fleet.Mounts)), 0.0
	for i, m := range s.Fleet.Mounts {
		parts[i] = all[director.Crowd{Region: region, Mount: m.Name}]
		sum += parts[i]
	}
	if sum > 0 {
		o.Mounts = parts
	}
}

func mountOf(s *sim.Scenario, name string) int {
	return slices.IndexFunc(s.Fleet.Mounts, func(m director.Mount) bool { return m.Name == name })
}

// originsOf returns the origins of a region; all, if it has none.
func originsOf(regions []director.RegionID, region director.RegionID) (own []int) {
	for i, r := range regions {
		if r == region {
			own = append(own, i)
		}
	}
	if len(own) == 0 {
		for i := range regions {
			own = append(own, i)
		}
	}
	return own
}

// Gently plays, and takes no more than about a quarter of a processor, so that whatever
// else the process does goes before. A thread of a lower priority would not do: it holds one
// of the few slots in which Go's code runs while the system has it wait. It returns early,
// with what happened until then, when ctx is done.
func (p *Play) Gently(ctx context.Context, progress func(part float64)) (*sim.History, error) {
	const work, rest = time.Millisecond, 3
	began := time.Now()
	return sim.Run(ctx, p.Scenario, func(done time.Duration) {
		busy := time.Since(began)
		if busy < work {
			return
		}
		progress(float64(done) / float64(p.For))
		select {
		case <-ctx.Done():
		case <-time.After(rest * min(busy, longestRest)):
		}
		began = time.Now()
	})
}

// longestRest bounds what a machine that is busy with other things adds.
const longestRest = 100 * time.Millisecond
