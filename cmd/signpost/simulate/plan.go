package simulate

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/probe"
	"github.com/signpost-fm/signpost/director/sim"
	"github.com/signpost-fm/signpost/director/wording"
	"github.com/signpost-fm/signpost/geo"
)

// A Plan is what an operator asks for.
type Plan struct {
	Fleet        director.Config
	Remarks      []string // on how Fleet was made
	Probe        probe.Config
	Tick, Settle time.Duration

	Listeners int // at the day's peak
	Day       Day // no curve: as many at all times
	// From and Until are what is played of the day. Both 0: all of the day's curve; or of a
	// loss, from 15 minutes before it to 30 minutes after.
	From, Until time.Duration
	Session     time.Duration
	// Records are the listeners, in place of Listeners, Day and Shares, and Locate says where
	// they are; nil: by the country that was recorded.
	Records *Records
	Locate  func(netip.Addr) director.Place
	Shares  map[director.RegionID]float64 // the regions' parts of the listeners, in any unit; empty: by what nodes should hold

	LoseSites []string
	LoseNodes []director.NodeID
	At        time.Duration // of the loss, since midnight
	For       time.Duration // that it takes; 0: until the end

	Directors     int
	DirectorSites []string // where the first of them stand; the others stand at no site of the fleet
	Pace          int      // connections a second that a node without max_new_per_s accepts; 0: any number
	Seed          uint64
}

const (
	beforeLoss  = 15 * time.Minute
	afterLoss   = 30 * time.Minute
	withoutDay  = time.Hour // is played where no curve and no loss says how long
	maxSamples  = 2000
	maxPlaces   = 8   // where a region's listeners are
	behindNAT   = 0.2 // of all listeners
	longestPlay = 8 * 24 * time.Hour
)

// A Play is what is to be played, and what its report needs besides.
type Play struct {
	sim.Scenario
	Regions []director.RegionID // by origin
	Remarks []string            // on what had to be assumed
	replay  *replay             // nil: there are no records
}

// Play returns what is to be played.
func (p *Plan) Play() (out Play, err error) {
	if err := p.check(); err != nil {
		return out, err
	}
	from, until := p.window()
	if err := p.checkWindow(from, until); err != nil {
		return out, err
	}
	out.Remarks = slices.Clone(p.Remarks)
	out.Scenario = sim.Scenario{
		Seed: p.Seed, Start: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC).Add(from), For: until - from,
		Every: max(time.Second, ((until-from)/maxSamples + time.Second - 1).Truncate(time.Second)),
		Fleet: p.Fleet, Probe: p.Probe, Tick: p.Tick, Settle: p.Settle,
		Crowd: sim.Crowd{Listeners: p.Listeners, Session: p.Session},
		Watch: watched(),
	}
	s := &out.Scenario
	for _, point := range p.Day.Curve {
		s.Crowd.Curve = append(s.Crowd.Curve, sim.Point{At: point.At - from, Value: point.Value})
	}
	if len(s.Fleet.Mounts) == 0 && p.Records == nil {
		s.Fleet.Mounts = []director.Mount{{Name: "/stream"}}
		out.Remarks = append(out.Remarks, "the file declares no mounts: one is played, which every node has")
	}
	out.Remarks = append(out.Remarks, p.servers(s)...)
	for i := range p.Directors {
		d := sim.Director{}
		if i < len(p.DirectorSites) {
			d.Site = p.DirectorSites[i]
		}
		s.Directors = append(s.Directors, d)
	}
	for _, site := range p.LoseSites {
		s.Faults = append(s.Faults, sim.Fault{Kind: sim.SiteLoss, At: p.At - from, For: p.For, Site: site})
	}
	for _, node := range p.LoseNodes {
		s.Faults = append(s.Faults, sim.Fault{Kind: sim.NodeVanish, At: p.At - from, For: p.For, Node: node})
	}
	var more []string
	if p.Records != nil {
		out.replay, out.Regions, more, err = p.replayed(s, from, until)
	} else {
		s.Origins, out.Regions, more, err = p.origins(s.Fleet)
	}
	out.Remarks = append(out.Remarks, more...)
	return out, err
}

// watched are the promises that are checked. Whether all are served depends on the nodes'
// pace, which waits tell.
func watched() []sim.Invariant {
	return slices.DeleteFunc(sim.Invariants(), func(i sim.Invariant) bool { return i == sim.Seated })
}

// servers adds how the nodes behave to a scenario.
func (p *Plan) servers(s *sim.Scenario) (remarks []string) {
	var unbounded []string
	for _, n := range s.Fleet.Nodes {
		pace := float64(cmp.Or(n.MaxNewPerS, p.Pace))
		if pace == 0 {
			pace = -1
		}
		s.Nodes = append(s.Nodes, sim.Node{Pace: pace, Limit: n.Limit})
		if n.Limit == 0 && n.Mbit.Limit == 0 {
			unbounded = append(unbounded, string(n.ID))
		}
	}
	if len(unbounded) > 0 {
		remarks = append(remarks, "without a limit, these take any number: "+strings.Join(unbounded, ", "))
	}
	return remarks
}

// check finds what can be told without looking at the times.
func (p *Plan) check() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	var sites, nodes []string
	for _, n := range p.Fleet.Nodes {
		nodes = append(nodes, string(n.ID))
		if n.Site != "" && !slices.Contains(sites, n.Site) {
			sites = append(sites, n.Site)
		}
	}
	known := func(what string, all []string) string {
		if len(all) == 0 {
			return "the file names no " + what
		}
		return "there are " + strings.Join(all, ", ")
	}
	for _, site := range p.LoseSites {
		if !slices.Contains(sites, site) {
			fail("--lose-site %s: no node stands at a site of this name; %s", site, known("site: give nodes one, as in site: fra", sites))
		}
	}
	for _, site := range p.DirectorSites {
		if !slices.Contains(sites, site) {
			fail("--director-site %s: no node stands at a site of this name; %s", site, known("site", sites))
		}
	}
	for _, node := range p.LoseNodes {
		if !slices.Contains(nodes, string(node)) {
			fail("--lose-node %s: there is no such node; %s", node, known("node", nodes))
		}
	}
	if len(nodes) == 0 {
		fail("the file declares no nodes; --running adds those that are registered at a running director")
	}
	for _, region := range slices.Sorted(maps.Keys(p.Shares)) {
		if i := slices.IndexFunc(p.Fleet.Regions, func(r director.Region) bool { return r.ID == region }); i < 0 {
			fail("--share %s: there is no such region", region)
		} else if !matches(p.Fleet.Regions[i].Match) {
			fail("--share %s: the region has no match, so that nobody comes from it; others overflow into it", region)
		}
	}
	switch {
	case p.Records != nil && (p.Listeners != 0 || len(p.Day.Curve) > 0 || len(p.Shares) > 0):
		fail("--records has the listeners, when they come and from where; leave out --listeners, --day and --share")
	case p.Records == nil && p.Listeners <= 0:
		fail("how many listen? Give --listeners, the number at the highest point of the day")
	case len(p.LoseSites)+len(p.LoseNodes) > 0 && p.At < 0:
		fail("when is it lost? Give --at, such as --at 20:05")
	case len(p.LoseSites)+len(p.LoseNodes) == 0 && (p.At >= 0 || p.For != 0):
		fail("--at and --for say when something is lost; give --lose-site or --lose-node, too")
	case p.For < 0 || p.Session < 0:
		fail("--for and --session must be above 0")
	case p.Pace < 0:
		fail("--pace must be 0 or more; 0: a node accepts any number")
	case p.Directors < 1 || p.Directors < len(p.DirectorSites):
		fail("--directors %d: there must be one, and no fewer than --director-site names", p.Directors)
	}
	return errors.Join(errs...)
}

// window is what of the day is played.
func (p *Plan) window() (from, until time.Duration) {
	curve := p.Day.Curve
	switch {
	case p.Records != nil:
		from, until = p.Records.span()
		from, until = from.Truncate(time.Minute), until.Truncate(time.Minute)+time.Minute
	case p.At >= 0:
		from, until = max(0, p.At-beforeLoss), p.At+p.For+afterLoss
		if len(curve) > 0 {
			from, until = max(from, curve[0].At), min(until, curve[len(curve)-1].At)
		}
	case len(curve) > 0:
		from, until = curve[0].At, curve[len(curve)-1].At
	default:
		until = withoutDay
		if p.From >= 0 {
			until += p.From
		}
	}
	if p.From >= 0 {
		from = p.From
	}
	if p.Until >= 0 {
		until = p.Until
	}
	return from, until
}

func (p *Plan) checkWindow(from, until time.Duration) error {
	curve := p.Day.Curve
	switch {
	case p.At >= 0 && len(curve) > 0 && (p.At < curve[0].At || p.At >= curve[len(curve)-1].At):
		return fmt.Errorf("--at %s is outside of the curve, which goes from %s to %s", Clock(p.At), Clock(curve[0].At), Clock(curve[len(curve)-1].At))
	case until <= from:
		return fmt.Errorf("there is nothing to play from %s until %s; give --from and --until in that order", Clock(from), Clock(until))
	case until-from > longestPlay:
		return fmt.Errorf("%s until %s is more than 8 days; give --from and --until", Clock(from), Clock(until))
	case p.At >= 0 && (p.At < from || p.At >= until):
		return fmt.Errorf("--at %s is outside of what is played, %s until %s", Clock(p.At), Clock(from), Clock(until))
	case len(curve) > 0 && (from < curve[0].At || until > curve[len(curve)-1].At):
		return fmt.Errorf("%s until %s is more than the curve has, which goes from %s to %s", Clock(from), Clock(until), Clock(curve[0].At), Clock(curve[len(curve)-1].At))
	}
	return nil
}

// origins says where listeners are: at some places of each region, by the region's share.
func (p *Plan) origins(fleet director.Config) (all []sim.Origin, regions []director.RegionID, remarks []string, err error) {
	compiled, err := director.Compile(fleet)
	if err != nil {
		return nil, nil, nil, err
	}
	full, err := whenFull(compiled)
	if err != nil {
		return nil, nil, nil, err
	}
	shares := p.Shares
	if len(shares) == 0 {
		shares = map[director.RegionID]float64{}
		for region, n := range full.Demand(nil).Regions() {
			shares[region] = float64(n)
		}
		if len(fleet.Regions) > 1 {
			remarks = append(remarks, "regions have listeners by what their nodes should hold; --share says it better")
		}
	}
	add := func(region director.RegionID, name string, weight float64, places []sim.Origin) bool {
		places = slices.DeleteFunc(places, func(o sim.Origin) bool { return regionOf(full, o) != region })
		places = places[:min(len(places), maxPlaces)]
		allowed := p.allowed(full, region)
		if len(places) > 0 && allowed == nil {
			remarks = append(remarks, fmt.Sprintf("region %s has no listeners: all mounts are denied there", region))
			return true
		}
		for i, o := range places {
			o.Name, o.Weight, o.NAT, o.Mounts = name, weight/float64(len(places)), behindNAT, allowed
			if len(places) > 1 {
				o.Name = fmt.Sprintf("%s %d", name, i+1)
			}
			all, regions = append(all, o), append(regions, region)
		}
		return len(places) > 0
	}
	for _, r := range fleet.Regions {
		if !matches(r.Match) || shares[r.ID] == 0 {
			continue
		}
		if !add(r.ID, string(r.ID), shares[r.ID], placesOf(r, fleet)) {
			remarks = append(remarks, fmt.Sprintf("region %s has no listeners: all that it matches is matched by others, too", r.ID))
		}
	}
	if len(all) == 0 { // each listener by distance
		add("", "everywhere", 1, nodePlaces(fleet, true))
	}
	if len(all) == 0 {
		return nil, nil, nil, errors.New("nobody belongs to any region; give a region `match: default`, or --share of another one")
	}
	return all, regions, remarks, nil
}

// whenFull is the fleet with as many listeners at each node as it should hold.
func whenFull(fleet *director.Fleet) (*director.Snapshot, error) {
	in := director.Input{Now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), Reports: map[director.NodeID]director.Report{}}
	empty := fleet.Build(nil, in)
	known, sum := 0, 0
	for i := range empty.Nodes() {
		if t := empty.Node(i).EffectiveTarget; t > 0 {
			known, sum = known+1, sum+t
		}
	}
	usual := 1000
	if known > 0 {
		usual = sum / known
	}
	for i := range empty.Nodes() {
		n := empty.Node(i)
		in.Reports[n.ID] = director.Report{
			Node: n.ID, Taken: in.Now, Health: director.Up, Since: in.Now, Listeners: cmp.Or(n.EffectiveTarget, usual) + n.Relays,
		}
	}
	return fleet.Build(nil, in), nil
}

// allowed has a part of 1 for each mount that may be heard in a region, and 0 for the
// others. Nil: there is none. Nobody in the region is assumed to ask for a denied mount.
func (p *Plan) allowed(s *director.Snapshot, region director.RegionID) (parts []float64) {
	var deny []string
	for _, r := range p.Fleet.Regions {
		if r.ID == region {
			deny = r.Deny
		}
	}
	some := false
	for i := range s.Mounts() {
		if name := s.Mount(i).Name; slices.Contains(deny, name) || slices.Contains(deny, "*") {
			parts = append(parts, 0)
			continue
		}
		parts, some = append(parts, 1), true
	}
	if !some {
		return nil
	}
	return parts
}

func regionOf(s *director.Snapshot, o sim.Origin) director.RegionID {
	var d director.Decision
	s.Decide(&d, director.Listener{Addr: o.Addr, Place: o.Place, Mount: s.Mount(0).Name, Scheme: director.HTTP}, nil)
	return d.Region
}

// matches says whether anybody can belong to a region.
func matches(m director.Match) bool {
	return m.Default || len(m.CIDRs)+len(m.ASNs)+len(m.Subdivisions)+len(m.Countries)+len(m.Continents) > 0
}

// placesOf are places that a region should match.
func placesOf(r director.Region, fleet director.Config) (all []sim.Origin) {
	at := func(p director.Place) { all = append(all, sim.Origin{Place: geo.Complete(p)}) }
	for _, c := range r.Match.Countries {
		if code, err := director.ParseCode(c); err == nil {
			at(director.Place{Country: code})
		}
	}
	for _, s := range r.Match.Subdivisions {
		country, part, _ := strings.Cut(s, "-")
		code, err := director.ParseCode(country)
		if sub, err2 := director.ParseSubdivision(part); err == nil && err2 == nil {
			at(director.Place{Country: code, Subdivision: sub})
		}
	}
	for _, c := range r.Match.Continents {
		if code, err := director.ParseCode(c); err == nil {
			at(director.Place{Continent: code})
		}
	}
	for _, asn := range r.Match.ASNs {
		at(director.Place{ASN: asn})
	}
	for _, cidr := range r.Match.CIDRs {
		all = append(all, sim.Origin{Addr: cidr.Addr()})
	}
	if r.Match.Default {
		all = append(all, nodePlaces(fleet, false)...)
	}
	return all
}

// nodePlaces are the coordinates of nodes, and "unknown" if none are known. Only with named
// do they have a country, too, by which a region may match them.
func nodePlaces(fleet director.Config, named bool) (all []sim.Origin) {
	for _, n := range fleet.Nodes {
		p := director.Place{Point: n.Place.Point, Lat: n.Place.Lat, Lon: n.Place.Lon}
		if named {
			p = geo.Complete(n.Place)
		}
		if p.Point != director.NoPoint && !slices.ContainsFunc(all, func(o sim.Origin) bool { return o.Place == p }) {
			all = append(all, sim.Origin{Place: p})
		}
	}
	if len(all) == 0 {
		all = append(all, sim.Origin{})
	}
	return all
}

// Memory is about how many bytes it takes to play: what a million listeners took, a fifth
// more, and the samples.
func (p *Play) Memory() uint64 {
	peak := 1.0
	if len(p.Crowd.Curve) > 0 {
		peak = 0
		for _, point := range p.Crowd.Curve {
			peak = max(peak, point.Value)
		}
	}
	samples := float64(p.For/p.Every+1) * float64(len(p.Fleet.Nodes)) * 80
	listeners := peak * float64(p.listeners())
	return uint64(math.Ceil(perListener*listeners + 2*samples + float64(atLeast)))
}

// listeners is how many listen at the day's peak; where there are records, as it was.
func (p *Play) listeners() int {
	if p.replay != nil {
		return p.replay.most()
	}
	return p.Crowd.Listeners
}

const (
	perListener = 600      // bytes
	atLeast     = 64 << 20 // bytes
)

// CheckMemory refuses what needs more memory than there is; 0: that is not known.
func (p *Play) CheckMemory(available uint64) error {
	need := p.Memory()
	if available == 0 || need <= available {
		return nil
	}
	remedy := "fewer --listeners, and nodes' targets and limits in proportion"
	if p.replay != nil {
		remedy = "a shorter time, as with --from and --until"
	}
	return fmt.Errorf("%s need about %s of memory, and %s are available; give %s, or a machine with more",
		wording.Count(p.listeners(), "listener"), size(need), size(available), remedy)
}

func size(n uint64) string {
	if n < 1<<30 {
		return fmt.Sprintf("%d MB", (n+1<<20-1)>>20)
	}
	return fmt.Sprintf("%.1f GB", float64(n)/(1<<30))
}
