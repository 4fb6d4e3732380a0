package config

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/probe"
)

// Assumed is the detail of a node that nobody has probed.
const Assumed = "assumed to be up"

// AssumeUp builds a snapshot in which every node is up and empty, and has all declared
// mounts, or those given if none is declared.
func AssumeUp(f *director.Fleet, nodes []director.Node, mounts ...string) *director.Snapshot {
	now := time.Now()
	in := director.Input{Now: now, Reports: map[director.NodeID]director.Report{}}
	for _, n := range nodes {
		r := director.Report{Node: n.ID, By: "assumed", Taken: now, Health: director.Up, Since: now, Detail: Assumed, AnyMount: true}
		for _, m := range mounts {
			if own, ok := n.Paths[m]; ok {
				m = own
			}
			r.Mounts = append(r.Mounts, director.MountReport{Path: m})
		}
		in.Reports[n.ID] = r
	}
	return f.Build(nil, in)
}

// anyMount stands for all mounts if a configuration declares none.
const anyMount = "/any"

// A survey has what the core decides for a listener of each region while every node is
// up and empty.
type survey struct {
	regions []regionSurvey
	byDist  *director.Explanation // nil: there are regions
}

type regionSurvey struct {
	director.Region
	reached     bool                 // some listener belongs to it, or overflows into it
	explanation director.Explanation // for such a listener
}

// surveyOf asks the core to explain a listener of each region.
func surveyOf(c director.Config) (survey, error) {
	c.Regions = append([]director.Region(nil), c.Regions...)
	for i := range c.Regions {
		c.Regions[i].Deny = nil // a region has shares even if it denies the mount
	}
	f, err := director.Compile(c)
	if err != nil {
		return survey{}, err
	}
	snap, mount := AssumeUp(f, c.Nodes, anyMount), anyMount
	if len(c.Mounts) > 0 {
		snap, mount = AssumeUp(f, c.Nodes), c.Mounts[0].Name
	}
	ask := func(l director.Listener) director.Explanation {
		l.Mount, l.Scheme = mount, director.AnyScheme
		return snap.Explain(l, nil)
	}
	if len(c.Regions) == 0 {
		x := ask(director.Listener{})
		return survey{byDist: &x}, nil
	}
	var s survey
	for _, r := range c.Regions {
		one := regionSurvey{Region: r}
		for _, l := range listenersOf(r.Match) {
			if x := ask(l); x.Region == r.ID {
				one.explanation, one.reached = x, true
				break
			}
		}
		s.regions = append(s.regions, one)
	}
	s.reachByOverflow()
	return s, nil
}

// reachByOverflow marks the regions that are reached by overflow only.
func (s *survey) reachByOverflow() {
	for i := range s.regions {
		r := &s.regions[i]
		if r.reached {
			continue
		}
		for _, other := range s.regions {
			for _, o := range other.Overflow {
				if o == r.ID && !r.reached {
					r.reached, r.explanation = other.reached, other.explanation
				}
			}
		}
	}
}

// listenersOf returns a listener for each thing that a region matches.
func listenersOf(m director.Match) []director.Listener {
	var all []director.Listener
	for _, p := range m.CIDRs {
		all = append(all, director.Listener{Addr: p.Addr()})
	}
	for _, asn := range m.ASNs {
		all = append(all, director.Listener{Place: director.Place{ASN: asn}})
	}
	for _, s := range m.Subdivisions {
		if len(s) < 4 {
			continue
		}
		country, err1 := director.ParseCode(s[:2])
		part, err2 := director.ParseSubdivision(s[3:])
		if err1 == nil && err2 == nil {
			all = append(all, director.Listener{Place: director.Place{Country: country, Subdivision: part}})
		}
	}
	for _, c := range m.Countries {
		if code, err := director.ParseCode(c); err == nil {
			all = append(all, director.Listener{Place: director.Place{Country: code}})
		}
	}
	for _, c := range m.Continents {
		if code, err := director.ParseCode(c); err == nil {
			all = append(all, director.Listener{Place: director.Place{Continent: code}})
		}
	}
	if m.Default {
		all = append(all, director.Listener{})
	}
	return all
}

// shares returns the part of a rung's listeners that each of its nodes gets.
func shares(x director.Explanation, rung string) map[director.NodeID]float64 {
	out := map[director.NodeID]float64{}
	for _, c := range x.Candidates {
		if c.Rung == rung {
			out[c.Node] = c.Expected
		}
	}
	return out
}

// settleTime is how long mounts in doubt may take that are asked for as a listener would.
const settleTime = 6 * time.Second

// Faults returns an error for each node that is down, each that plays none of the mounts,
// each scheme of a node that fails, and each declared mount that no node plays. What is
// drained is left out. Nodes that register are not known here.
func (s *Settings) Faults(reports map[director.NodeID]director.Report) (errs []error) {
	f, err := director.Compile(s.Fleet)
	if err != nil {
		return []error{err}
	}
	snap := f.Build(nil, director.Input{Now: time.Now(), Reports: reports})
	for n := range snap.Nodes() {
		st := snap.Node(n)
		r := st.Report
		switch {
		case st.State == director.Drained:
			continue
		case r.Health == director.Failed:
			errs = append(errs, fmt.Errorf("node %s is down: %s", st.ID, r.Detail))
			continue
		case r.Health != director.Up:
			errs = append(errs, fmt.Errorf("node %s was not probed in time: %s", st.ID, r.Detail))
			continue
		}
		plays := r.AnyMount && len(snap.Mounts()) == 0
		for m := range snap.Mounts() {
			state := snap.MountState(n, m)
			plays = plays || state == director.MountPlays || state == director.MountFull
		}
		if !plays {
			errs = append(errs, fmt.Errorf("node %s is up, and plays none of the mounts: %s", st.ID, r.Detail))
			continue
		}
		for _, l := range snap.Lacks(n) {
			if l.Mount == "" || l.Scheme != 0 && l.State == director.MountSilent {
				errs = append(errs, fmt.Errorf("node %s: %s%s", st.ID, l.String(time.Now()), detailOf(l)))
			}
		}
	}
	for _, off := range snap.OffAir() {
		if len(s.Fleet.MayRegister) == 0 {
			errs = append(errs, fmt.Errorf("no node plays %s", off.Mount))
		}
	}
	return errs
}

// MountWarnings returns what single nodes do not play though others do.
func (s *Settings) MountWarnings(reports map[director.NodeID]director.Report) (all []string) {
	f, err := director.Compile(s.Fleet)
	if err != nil {
		return nil // it was compiled before
	}
	snap := f.Build(nil, director.Input{Now: time.Now(), Reports: reports})
	for n := range snap.Nodes() {
		for _, l := range snap.Lacks(n) {
			if l.Mount != "" && l.Scheme == 0 {
				l.Since = time.Time{} // of this one look
				all = append(all, fmt.Sprintf("node %s %s%s", snap.NodeID(n), l.String(time.Now()), detailOf(l)))
			}
		}
	}
	return all
}

func detailOf(l director.Lack) string {
	if l.Detail == "" {
		return ""
	}
	return " (" + l.Detail + ")"
}

// ProbeOnce probes every node once, as a director does. The warnings are of nodes that are
// up and do not tell all.
func (s *Settings) ProbeOnce() (reports map[director.NodeID]director.Report, warnings []string) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c := s.Probe
	c.Kind, c.Credentials, c.Path, c.Expect = s.Kind, s.Credentials, s.ProbePath, s.ProbeExpect
	c.Fall = 1 // there is no second look
	p := probe.New(c)
	p.SetNodes(s.Fleet.Nodes, s.Fleet.Mounts)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = p.Run(ctx) // it ends with ctx, without an error
	}()
	<-p.First()
	for deadline := time.Now().Add(settleTime); p.Pending() && time.Now().Before(deadline); {
		time.Sleep(settleTime / 100)
	}
	reports = map[director.NodeID]director.Report{}
	for _, r := range p.Reports() {
		reports[r.Node] = r
	}
	for _, w := range p.Warnings() {
		warnings = append(warnings, fmt.Sprintf("node %s answers in part: %s; %s", w.Node, w.Text, w.Remedy))
	}
	cancel()
	<-ended
	return reports, warnings
}

// listenTimeout bounds one request as a listener's.
const listenTimeout = 3 * time.Second

// MembersWarnings asks for every mount as a listener would who shows no password, at
// the first node that plays it, and says of which that is not enough.
func (s *Settings) MembersWarnings(reports map[director.NodeID]director.Report) []string {
	var mu sync.Mutex
	var all []string
	var asking sync.WaitGroup
	asked := map[string]bool{}
	for _, n := range s.Fleet.Nodes {
		for _, m := range reports[n.ID].Mounts {
			name := n.MountAt(m.Path)
			if reports[n.ID].Health != director.Up || name == "" || asked[name] {
				continue
			}
			asked[name] = true
			asking.Go(func() {
				if s.wantsPassword(n, m.Path) {
					mu.Lock()
					defer mu.Unlock()
					all = append(all, fmt.Sprintf("mount %s: node %s answers 401 to a listener without a password. Most players forget a user:password@ "+
						"when they are redirected to another host: let them use a token in the query, or send the mount inline (a rule with answer: proxy)", name, n.ID))
				}
			})
		}
	}
	asking.Wait()
	slices.Sort(all)
	return all
}

func (s *Settings) wantsPassword(n director.Node, path string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), listenTimeout)
	defer cancel()
	base, err := url.Parse(cmp.Or(n.InternalURL, n.URLs[0]))
	if err != nil {
		return false
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, base.JoinPath(path).String(), nil)
	if err != nil {
		return false
	}
	transport := &http.Transport{TLSClientConfig: s.Probe.TLS, DisableKeepAlives: true}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusUnauthorized
}

// mostKbit is the largest bitrate of the mounts, in kbit/s.
func (s *Settings) mostKbit() int {
	most := 0
	for _, m := range s.Fleet.Mounts {
		most = max(most, cmp.Or(m.Kbit, 128))
	}
	return cmp.Or(most, 128)
}

// LimitWarnings says which nodes are to hold more listeners than their servers take, or
// than all of their mounts take together.
func (s *Settings) LimitWarnings(reports map[director.NodeID]director.Report) (all []string) {
	for _, n := range s.Fleet.Nodes {
		wanted, r := max(n.Target, n.Limit), reports[n.ID]
		if r.Limit > 0 && wanted > r.Limit {
			all = append(all, fmt.Sprintf("node %s is to hold %d listeners (target or limit), and its server takes %d: raise its own limit (Icecast: <clients>), or lower these", n.ID, wanted, r.Limit))
		}
		if seats, bounded := s.seatsAt(n, r); bounded && wanted > seats {
			all = append(all, fmt.Sprintf("node %s is to hold %d listeners (target or limit), and its mounts take %d: raise their own limits (Icecast: <max-listeners>), or lower these", n.ID, wanted, seats))
		}
	}
	return all
}

// seatsAt adds up the own limits of the fleet's mounts at a node. bounded says that there are
// such mounts, and that each of them has a limit.
func (s *Settings) seatsAt(n director.Node, r director.Report) (seats int, bounded bool) {
	for _, m := range r.Mounts {
		name := n.MountAt(m.Path)
		ours := slices.ContainsFunc(s.Fleet.Mounts, func(m director.Mount) bool { return m.Name == name })
		if name == "" || len(s.Fleet.Mounts) > 0 && !ours {
			continue
		}
		if m.Limit <= 0 {
			return 0, false
		}
		seats, bounded = seats+m.Limit, true
	}
	return seats, bounded
}
