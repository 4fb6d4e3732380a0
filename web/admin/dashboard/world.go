package dashboard

//go:generate ./gen/assets.sh

import "math"

// The map's size, in its own units.
const (
	MapWidth  = 1000
	MapHeight = 430
)

const (
	mapScale = MapWidth / (2 * 0.8707 * math.Pi)
	mapTop   = 1.3783 // of the projection: 83.6 degrees north, the last land
)

// Project returns where a place is on the map, in the projection of Natural Earth (Tom
// Patterson's, with the polynomials that Bojan Šavrič published in 2011). lat and lon are
// in degrees. What is south of 56 degrees is below the map.
func Project(lat, lon float64) (x, y float64) {
	p, l := lat*math.Pi/180, lon*math.Pi/180
	p2 := p * p
	p4 := p2 * p2
	px := l * (0.8707 - 0.131979*p2 + p4*(-0.013791+p4*(0.003971*p2-0.001529*p4)))
	py := p * (1.007226 + p2*(0.015085+p4*(-0.044475+0.028874*p2-0.005916*p4)))
	return MapWidth/2 + px*mapScale, (mapTop - py) * mapScale
}
