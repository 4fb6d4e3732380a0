package geo

import (
	"bytes"
	"slices"

	"github.com/signpost-fm/signpost/director"
)

// country is a row of countryTable; lat and lon are degrees.
type country struct {
	code, continent director.Code
	lat, lon        float32
}

// continentCentres are about in the middle of a continent's people: where a listener
// of whom only the continent is known is least wrong.
var continentCentres = map[director.Code]struct{ lat, lon float32 }{
	code("AF"): {5, 20},
	code("AN"): {-80, 0},
	code("AS"): {28, 95},
	code("EU"): {50, 12},
	code("NA"): {38, -95},
	code("OC"): {-28, 145},
	code("SA"): {-15, -58},
}

// continentNames are those that some databases write in place of a code.
var continentNames = map[string]director.Code{
	"Africa": code("AF"), "Antarctica": code("AN"), "Asia": code("AS"), "Europe": code("EU"),
	"North America": code("NA"), "Oceania": code("OC"), "South America": code("SA"),
}

// continentCode reads a code or a name; the zero Code: it is no continent's.
func continentCode(s string) director.Code {
	if c, ok := continentNames[s]; ok {
		return c
	}
	c, err := director.ParseCode(s)
	if _, ok := continentCentres[c]; err != nil || !ok {
		return director.Code{}
	}
	return c
}

func code(s string) director.Code { return director.Code{s[0], s[1]} }

// find returns the row of a country, or nil if ISO 3166-1 has none of that code.
func find(c director.Code) *country {
	i, ok := slices.BinarySearchFunc(countryTable[:], c, func(row country, c director.Code) int {
		return bytes.Compare(row.code[:], c[:])
	})
	if !ok {
		return nil
	}
	return &countryTable[i]
}

// Centroid returns the middle of a country in degrees, as the World Factbook
// gives it, to a tenth of a degree. Of a large country most listeners are far
// from it; for Russia and Canada, where nearly nobody is anywhere near, it is
// Moscow and Toronto. ok is false for a code that ISO 3166-1 lacks.
func Centroid(country director.Code) (lat, lon float32, ok bool) {
	row := find(country)
	if row == nil {
		return 0, 0, false
	}
	return row.lat, row.lon, true
}

// ContinentOf returns the continent a country is counted to, or the zero Code
// for a code that ISO 3166-1 lacks. Countries on two continents are counted to
// one, as MaxMind does: Russia to Europe, Turkey and Kazakhstan to Asia, Egypt to
// Africa.
func ContinentOf(country director.Code) director.Code {
	row := find(country)
	if row == nil {
		return director.Code{}
	}
	return row.continent
}
