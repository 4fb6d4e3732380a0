package dashboard

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/signpost-fm/signpost/web/admin/api"
)

// A worldMap is the part of the world where nodes and regions are. Lengths are in the
// map's units; pixel is how many of them a pixel has on a wide screen.
type worldMap struct {
	X, Y, W, H float64
	Nodes      []marker
	Regions    []regionMarker
	Elsewhere  []string // nodes without a place
}

// A marker is the nodes at one spot.
type marker struct {
	X, Y, R, Load float64 // Load: the radius of what is used
	Shape, Label  string
	Size          float64 // of the label
	LabelX        float64
	Anchor        string // start or end
	Title         string
}

// A regionMarker is the middle of a region, with lines to where its listeners are sent.
type regionMarker struct {
	X, Y, R float64
	Title   string
	Lines   []mapLine
}

type mapLine struct {
	Path  string
	Width float64
}

const (
	mapAspect = 2.1 // width over height
	mapPixels = 620 // its width on a wide screen
	mapLeast  = 240 // the narrowest part that is shown, in units
	together  = 20  // pixels: nodes that are nearer have one marker
)

// drawMap draws the nodes that have a place and the regions that have a middle.
func drawMap(nodes []api.Node, regions []api.Region) worldMap {
	var m worldMap
	var points [][2]float64
	at := func(p *api.Place) (x, y float64) { return Project(float64(p.Lat), float64(p.Lon)) }
	for _, n := range nodes {
		if n.Place != nil {
			x, y := at(n.Place)
			points = append(points, [2]float64{x, y})
		} else {
			m.Elsewhere = append(m.Elsewhere, string(n.ID))
		}
	}
	if len(points) == 0 {
		return m
	}
	for _, r := range regions {
		if r.Centre != nil && r.Listeners > 0 {
			x, y := at(r.Centre)
			points = append(points, [2]float64{x, y})
		}
	}
	m.frame(points)
	spots := m.spots(nodes, at)
	for _, r := range regions {
		if r.Centre != nil && r.Listeners > 0 {
			x, y := at(r.Centre)
			m.Regions = append(m.Regions, m.region(r, x, y, spots))
		}
	}
	for i, s := range spots {
		m.Nodes = append(m.Nodes, m.mark(s, spots, i))
	}
	return m
}

// frame chooses the part that has all points, with room around them.
func (m *worldMap) frame(points [][2]float64) {
	low, high := points[0], points[0]
	for _, p := range points {
		for i := range p {
			low[i], high[i] = min(low[i], p[i]), max(high[i], p[i])
		}
	}
	m.W = min(MapWidth, max(mapLeast, (high[0]-low[0])*1.35, (high[1]-low[1])*1.4*mapAspect))
	m.H = min(MapHeight, m.W/mapAspect)
	m.X = min(max(0, (low[0]+high[0]-m.W)/2), MapWidth-m.W)
	m.Y = min(max(0, (low[1]+high[1]-m.H)/2), MapHeight-m.H)
}

// pixel returns the map's units in a pixel.
func (m *worldMap) pixel() float64 { return m.W / mapPixels }

// A spot is where nodes are too near to each other for markers of their own.
type spot struct {
	x, y  float64
	nodes []api.Node
}

func (m *worldMap) spots(nodes []api.Node, at func(*api.Place) (x, y float64)) (all []*spot) {
	for _, n := range nodes {
		if n.Place == nil {
			continue
		}
		x, y := at(n.Place)
		near := slices.IndexFunc(all, func(s *spot) bool { return math.Hypot(s.x-x, s.y-y) < together*m.pixel() })
		if near < 0 {
			all = append(all, &spot{x: x, y: y})
			near = len(all) - 1
		}
		all[near].nodes = append(all[near].nodes, n)
	}
	return all
}

// mark draws a spot: as large as what it should hold, filled as far as it does, in the
// shape of the worst state there. all are the spots, of which s is one.
func (m *worldMap) mark(s *spot, all []*spot, own int) marker {
	used, room, worst := 0, 0, calm
	out := marker{X: tenths(s.x), Y: tenths(s.y), Shape: "fit"}
	var names, lines []string
	for i := range s.nodes {
		n := &s.nodes[i]
		w := wording(*n)
		used, room = used+n.Used, room+max(n.Target, n.Used)
		if u := urgency(n); u < worst {
			worst, out.Shape = u, w.Shape
			if w.Shape == "fit" {
				out.Shape = "lacking"
			}
		}
		line := fmt.Sprintf("%s: %s, %s listeners", n.ID, w.Word, listeners(*n))
		if n.Target > 0 {
			line += " of " + count(n.Target)
		}
		lines = append(lines, line)
		if name := n.Site; name == "" {
			names = append(names, string(n.ID))
		} else if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	px := m.pixel()
	radius := min(15, 6+math.Sqrt(float64(room))/12)
	out.R = tenths(radius * px)
	if room > 0 {
		out.Load = tenths(radius * px * math.Sqrt(float64(used)/float64(room)))
	}
	out.Title, out.Size = strings.Join(lines, "\n"), tenths(11.5*px)
	out.Label = names[0]
	if len(names) > 1 {
		out.Label += fmt.Sprintf(" +%d", len(names)-1)
	}
	out.Anchor, out.LabelX = "start", tenths(s.x+(radius+4)*px)
	long := float64(7*len(out.Label)) * px
	right := s.x+long > m.X+m.W || crowded(all, own, s.x, s.x+long, s.y, 16*px)
	left := s.x-long < m.X || crowded(all, own, s.x-long, s.x, s.y, 16*px)
	switch {
	case right && left:
		out.Label = "" // its title has it, and so does the table
	case right:
		out.Anchor, out.LabelX = "end", tenths(s.x-(radius+4)*px)
	}
	return out
}

// crowded says whether another spot lies where a label would.
func crowded(all []*spot, own int, from, to, y, height float64) bool {
	for i, s := range all {
		if i != own && s.x > from-height && s.x < to+height && math.Abs(s.y-y) < height {
			return true
		}
	}
	return false
}

// region draws a region, with a curve to each spot that gets a share of its listeners.
func (m *worldMap) region(r api.Region, x, y float64, spots []*spot) regionMarker {
	px := m.pixel()
	out := regionMarker{X: tenths(x), Y: tenths(y), R: tenths(min(9, 3+math.Sqrt(float64(r.Listeners))/20) * px)}
	shares := wholePercents(r.Shares)
	parts := make([]string, 0, len(shares))
	for _, s := range shares {
		parts = append(parts, fmt.Sprintf("%s %d %%", s.Node, s.Percent))
	}
	out.Title = fmt.Sprintf("%s: ≈ %s listeners; newcomers go to %s", r.ID, count(r.Listeners), strings.Join(parts, ", "))
	for _, s := range spots {
		share := 0.0
		for _, n := range s.nodes {
			for _, to := range r.Shares {
				if to.Node == n.ID {
					share += to.Share
				}
			}
		}
		if share < .03 {
			continue
		}
		// The curve bends to its left, by a sixth of its length.
		mx, my := (x+s.x)/2+(s.y-y)/6, (y+s.y)/2-(s.x-x)/6
		out.Lines = append(out.Lines, mapLine{fmt.Sprintf("M%.1f %.1fQ%.1f %.1f %.1f %.1f", x, y, mx, my, s.x, s.y), tenths(1 + 4*share)})
	}
	return out
}

func tenths(v float64) float64 { return math.Round(v*10) / 10 }
