package director

import (
	"fmt"
	"testing"
)

// sized is a fleet of n nodes on a circle round the Earth, without regions or
// with one row that names all of them.
func sized(tb testing.TB, n int, row bool) *Snapshot {
	tb.Helper()
	c := Config{Mounts: []Mount{{Name: "/live.mp3"}}}
	reports := map[NodeID]Report{}
	var all []Weight
	for i := range n {
		id := NodeID(fmt.Sprintf("n%d", i))
		c.Nodes = append(c.Nodes, Node{
			ID: id, URLs: []string{fmt.Sprintf("http://n%d.example:8000", i)}, Target: 1000, Limit: 1500,
			Place: Place{Point: CityPoint, Lat: 45, Lon: float32(i)*360/float32(n) - 180},
		})
		reports[id] = Report{Node: id, Health: Up, AnyMount: true}
		all = append(all, Weight{Node: id, Weight: 1, Given: true})
	}
	if row {
		c.Regions = []Region{{ID: "world", Match: Match{Default: true}, Row: all}}
	}
	f, err := Compile(c)
	if err != nil {
		tb.Fatal(err)
	}
	return f.Build(nil, Input{Reports: reports})
}

func BenchmarkDecide(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		for _, row := range []bool{true, false} {
			name := map[bool]string{true: "row", false: "distance"}[row]
			b.Run(fmt.Sprintf("%s/nodes=%d", name, n), func(b *testing.B) {
				s := sized(b, n, row)
				var d Decision
				l := Listener{Mount: "/live.mp3", Scheme: HTTP, Place: Place{Point: CityPoint, Lat: 50}}
				b.ReportAllocs()
				for b.Loop() {
					l.Key++
					s.Decide(&d, l, nil)
				}
				if d.Outcome != Placed {
					b.Fatal(d.Outcome)
				}
			})
		}
	}
}

// BenchmarkSpread decides for answers in DNS: two nodes of a row of 10.
func BenchmarkSpread(b *testing.B) {
	s := sized(b, 10, true)
	d := Decision{Want: 2, Spread: true}
	l := Listener{Mount: "/live.mp3", Scheme: HTTP, Port: 8000, Family: IPv4}
	b.ReportAllocs()
	for b.Loop() {
		l.Key++
		s.Decide(&d, l, nil)
	}
	if d.Drawn != 10 {
		b.Fatal(d.Drawn)
	}
}
