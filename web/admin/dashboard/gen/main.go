// Command gen draws the world's land, which it reads as TopoJSON, as an SVG in the
// projection of the dashboard's map. gen/assets.sh runs it.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math"
	"os"

	"github.com/signpost-fm/signpost/web/admin/dashboard"
)

// perUnit is how many of the drawing's units one of the map's has: coordinates in it are
// whole numbers.
const perUnit = 2

// tolerance is how far, in the drawing's units, the outline may be from the land's: about
// a pixel where the map shows the least, and half of one as a rule.
const tolerance = .75

// smallest is the least extent of an island, in the drawing's units: a smaller one is
// left out, for it would be a dot.
const smallest = 5

// topology is the part of TopoJSON that we use: one collection of polygons.
type topology struct {
	Arcs      [][][2]int
	Transform struct{ Scale, Translate [2]float64 }
	Objects   struct {
		Land struct {
			Geometries []struct{ Arcs [][][]int }
		}
	}
}

func main() {
	log.SetFlags(0)
	if err := draw(os.Stdin, os.Stdout); err != nil {
		log.Fatal("gen: ", err)
	}
}

func draw(in io.Reader, out io.Writer) error {
	var t topology
	if err := json.NewDecoder(in).Decode(&t); err != nil {
		return err
	}
	w := bufio.NewWriter(out)
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d"><path fill-rule="evenodd" d="`, dashboard.MapWidth*perUnit, dashboard.MapHeight*perUnit)
	for _, g := range t.Objects.Land.Geometries {
		for _, polygon := range g.Arcs {
			for _, ring := range polygon {
				drawRing(w, t.points(ring))
			}
		}
	}
	fmt.Fprint(w, "\"/></svg>\n")
	return w.Flush()
}

type point struct{ x, y int }

// points returns a ring in the drawing's units.
func (t *topology) points(ring []int) (all []point) {
	for _, index := range ring {
		arc, reverse := index, index < 0
		if reverse {
			arc = ^index
		}
		var line []point
		x, y := 0, 0
		for _, d := range t.Arcs[arc] {
			x, y = x+d[0], y+d[1]
			lon := float64(x)*t.Transform.Scale[0] + t.Transform.Translate[0]
			lat := float64(y)*t.Transform.Scale[1] + t.Transform.Translate[1]
			mx, my := dashboard.Project(lat, lon)
			line = append(line, point{int(math.Round(mx * perUnit)), int(math.Round(my * perUnit))})
		}
		for i := range line {
			p := line[i]
			if reverse {
				p = line[len(line)-1-i]
			}
			if n := len(all); n == 0 || all[n-1] != p {
				all = append(all, p)
			}
		}
	}
	return all
}

// drawRing writes a closed path, unless it is very small, drawn around the world, or below the map's edge, as
// Antarctica is.
func drawRing(w io.Writer, ring []point) {
	low, high := ring[0], ring[0]
	for _, p := range ring {
		low, high = point{min(low.x, p.x), min(low.y, p.y)}, point{max(high.x, p.x), max(high.y, p.y)}
	}
	around := high.x-low.x > dashboard.MapWidth*perUnit*9/10 && high.y-low.y < 30 // an island on the date line
	if around || max(high.x-low.x, high.y-low.y) < smallest || low.y > dashboard.MapHeight*perUnit-smallest {
		return
	}
	ring = simplify(ring)
	at := ring[0]
	fmt.Fprintf(w, "M%d %dl", at.x, at.y)
	for i, p := range ring[1:] {
		x, y := p.x-at.x, p.y-at.y
		if i > 0 && x >= 0 {
			fmt.Fprint(w, " ") // a minus separates, too
		}
		fmt.Fprint(w, x)
		if y >= 0 {
			fmt.Fprint(w, " ")
		}
		fmt.Fprint(w, y)
		at = p
	}
	fmt.Fprint(w, "z")
}

// simplify leaves out points without which a line stays within tolerance of itself (by
// U. Ramer, 1972, and D. Douglas and T. Peucker, 1973). The first and last point stay.
func simplify(line []point) []point {
	if len(line) < 3 {
		return line
	}
	first, last := line[0], line[len(line)-1]
	at, most := 0, 0.0
	for i, p := range line[1 : len(line)-1] {
		if d := p.from(first, last); d > most {
			at, most = i+1, d
		}
	}
	if most <= tolerance {
		return []point{first, last}
	}
	head := simplify(line[:at+1])
	return append(head[:len(head)-1:len(head)-1], simplify(line[at:])...)
}

// from returns the distance of p from the segment between a and b.
func (p point) from(a, b point) float64 {
	dx, dy, px, py := float64(b.x-a.x), float64(b.y-a.y), float64(p.x-a.x), float64(p.y-a.y)
	along := 0.0
	if long := dx*dx + dy*dy; long > 0 {
		along = min(1, max(0, (px*dx+py*dy)/long))
	}
	return math.Hypot(px-along*dx, py-along*dy)
}
