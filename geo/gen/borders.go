package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"golang.org/x/text/language"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/geo"
)

// The source: Natural Earth's borders at 1:10 million, in the public domain, as TopoJSON.
const (
	bordersPackage = "world-atlas@2.0.2" // licence: ISC, of the conversion
	bordersFile    = "countries-10m.json"
)

// The grid, which geo/borders.go reads.
const (
	perDegree = 20 // cells
	rows      = 180 * perDegree
	columns   = 360 * perDegree
	// scans is how many scan lines a row of cells has.
	scans = 4
	// coast is how many cells a country reaches into the sea: positions are rounded,
	// and a harbour may stand on a pier.
	coast = 4
)

// topology is the part of TopoJSON that we use.
type topology struct {
	Arcs      [][][2]int
	Transform struct{ Scale, Translate [2]float64 }
	Objects   struct {
		Countries struct {
			Geometries []struct {
				ID         string
				Type       string
				Arcs       json.RawMessage
				Properties struct{ Name string }
			}
		}
	}
}

// withoutNumber are the entries without an ISO 3166-1 number, each with the country that
// databases assign it to. An entry that is not listed is left to its neighbours.
var withoutNumber = map[string]string{
	"Kosovo": "XK", "Somaliland": "SO", "N. Cyprus": "CY", "Cyprus U.N. Buffer Zone": "CY", "USNB Guantanamo Bay": "CU",
	"Dhekelia": "CY", "Akrotiri": "CY", "Baikonur": "KZ", "Indian Ocean Ter.": "CX",
}

// apart are parts of a country with a code of their own: the rings of the country whose
// first point lies between these degrees.
var apart = []struct {
	of, code                 string
	south, north, west, east float64
}{
	{"FR", "GF", 0, 8, -56, -50}, {"FR", "GP", 15.7, 17, -62.5, -60.5}, {"FR", "MQ", 14, 15.2, -61.5, -60.5},
	{"FR", "RE", -22, -20, 54, 57}, {"FR", "YT", -14, -12, 44, 46}, {"NO", "SJ", 70, 82, -12, 40}, {"NO", "BV", -56, -53, 2, 5},
	{"NL", "BQ", 11, 18, -70, -62}, {"CX", "CC", -13, -11, 95, 98},
}

type edge struct{ x1, y1, x2, y2 float64 } // degrees

// borders writes borders.gz.
func borders() error {
	files, err := npmPackage(bordersPackage)
	if err != nil {
		return err
	}
	var t topology
	if err := json.Unmarshal(files[bordersFile], &t); err != nil {
		return fmt.Errorf("%s: %w", bordersFile, err)
	}
	shapes, err := t.shapes()
	if err != nil {
		return err
	}
	grid, codes := raster(shapes)
	seaward(grid)
	return writeBorders(grid, codes)
}

// shapes returns the edges of each country's polygons, by code.
func (t *topology) shapes() (map[string][]edge, error) {
	arcs := t.absolute()
	shapes := map[string][]edge{}
	for _, g := range t.Objects.Countries.Geometries {
		code := withoutNumber[g.Properties.Name]
		if n, err := strconv.Atoi(g.ID); err == nil {
			region, err := language.EncodeM49(n)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", g.Properties.Name, err)
			}
			code = region.String()
		}
		if code == "" {
			fmt.Println("left to its neighbours:", g.Properties.Name)
			continue
		}
		polygons := make([][][]int, 1)
		target := any(&polygons)
		if g.Type == "Polygon" {
			target = &polygons[0]
		}
		if err := json.Unmarshal(g.Arcs, target); err != nil {
			return nil, fmt.Errorf("%s: %w", g.Properties.Name, err)
		}
		for _, ring := range slices.Concat(polygons...) {
			edges := ringEdges(arcs, ring)
			owner := code
			for _, p := range apart {
				if first := edges[0]; p.of == code && first.y1 > p.south && first.y1 < p.north && first.x1 > p.west && first.x1 < p.east {
					owner = p.code
				}
			}
			shapes[owner] = append(shapes[owner], edges...)
		}
	}
	return shapes, nil
}

// absolute returns the arcs' points in degrees.
func (t *topology) absolute() [][][2]float64 {
	out := make([][][2]float64, len(t.Arcs))
	for i, arc := range t.Arcs {
		x, y := 0, 0
		for _, step := range arc {
			x, y = x+step[0], y+step[1]
			out[i] = append(out[i], [2]float64{
				float64(x)*t.Transform.Scale[0] + t.Transform.Translate[0],
				float64(y)*t.Transform.Scale[1] + t.Transform.Translate[1],
			})
		}
	}
	return out
}

// ringEdges joins the arcs of a ring. A negative number, ^i, is arc i backwards.
func ringEdges(arcs [][][2]float64, ring []int) (edges []edge) {
	for _, n := range ring {
		points := slices.Clone(arcs[max(n, ^n)])
		if n < 0 {
			slices.Reverse(points)
		}
		for i := 1; i < len(points); i++ {
			a, b := points[i-1], points[i]
			edges = append(edges, edge{a[0], a[1], b[0], b[1]})
		}
	}
	return edges
}

// raster assigns each cell to the country that covers most of it. The numbers in
// the grid are those of the codes, from 1; 0 is the sea.
func raster(shapes map[string][]edge) (grid [][]byte, codes []string) {
	grid = make([][]byte, rows)
	best := make([][]float32, rows)
	for i := range grid {
		grid[i], best[i] = make([]byte, columns), make([]float32, columns)
	}
	codes = slices.Sorted(maps.Keys(shapes))
	for i, code := range codes {
		crossings := map[int][]float64{} // scan line -> where edges cross it, in columns
		for _, e := range shapes[code] {
			if e.y1 > e.y2 {
				e = edge{e.x2, e.y2, e.x1, e.y1}
			}
			line := func(y float64) int { return int(math.Ceil((y+90)*perDegree*scans - 0.5)) }
			for s := line(e.y1); s < line(e.y2); s++ {
				y := (float64(s)+0.5)/(perDegree*scans) - 90
				x := e.x1 + (e.x2-e.x1)*(y-e.y1)/(e.y2-e.y1)
				crossings[s] = append(crossings[s], (x+180)*perDegree)
			}
		}
		covered := map[int]map[int]float32{}                    // row -> column -> how much of the cell
		for _, s := range slices.Sorted(maps.Keys(crossings)) { // the order changes floating-point sums
			xs := crossings[s]
			slices.Sort(xs)
			row := covered[s/scans]
			if row == nil {
				row = map[int]float32{}
				covered[s/scans] = row
			}
			for j := 0; j+1 < len(xs); j += 2 {
				for c := int(xs[j]); c < columns && float64(c) < xs[j+1]; c++ {
					row[c] += float32(min(float64(c+1), xs[j+1]) - max(float64(c), xs[j]))
				}
			}
		}
		for r, row := range covered {
			for c, much := range row {
				if r >= 0 && r < rows && much > best[r][c] {
					best[r][c], grid[r][c] = much, byte(i+1)
				}
			}
		}
	}
	return grid, codes
}

// seaward extends the countries into the sea, cell by cell.
func seaward(grid [][]byte) {
	for range coast {
		before := make([][]byte, rows)
		for r := range grid {
			before[r] = slices.Clone(grid[r])
		}
		for r := range grid {
			for c := range grid[r] {
				if grid[r][c] != 0 {
					continue
				}
				for _, n := range [][2]int{{r, c - 1}, {r, c + 1}, {r - 1, c}, {r + 1, c}} {
					if n[0] >= 0 && n[0] < rows && grid[r][c] == 0 {
						grid[r][c] = before[n[0]][(n[1]+columns)%columns]
					}
				}
			}
		}
	}
}

// writeBorders writes the codes and then, row by row from the south, the runs of
// cells: how many cells, and the number of their country.
func writeBorders(grid [][]byte, codes []string) error {
	raw := binary.AppendUvarint(nil, uint64(len(codes)))
	for _, code := range codes {
		c, err := director.ParseCode(code)
		if err != nil || geo.ContinentOf(c) == (director.Code{}) {
			return fmt.Errorf("%q is no country of the table", code)
		}
		raw = append(raw, code...)
	}
	runs := 0
	for _, row := range grid {
		for c := 0; c < columns; {
			end := c + 1
			for end < columns && row[end] == row[c] {
				end++
			}
			raw = append(binary.AppendUvarint(raw, uint64(end-c)), row[c])
			c, runs = end, runs+1
		}
	}
	fmt.Printf("%d countries, %d runs\n", len(codes), runs)
	return pack("borders.gz", raw)
}
