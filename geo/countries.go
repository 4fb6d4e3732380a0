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

// continentCentres are roughly the centres of the continents' populations: the best guess
// for a listener of whom only the continent is known.
var continentCentres = map[director.Code]struct{ lat, lon float32 }{
	code("AF"): {5, 20},
	code("AN"): {-80, 0},
	code("AS"): {28, 95},
	code("EU"): {50, 12},
	code("NA"): {38, -95},
	code("OC"): {-28, 145},
	code("SA"): {-15, -58},
}

// continentNames are the names that some databases have in place of a code.
var continentNames = map[string]director.Code{
	"Africa": code("AF"), "Antarctica": code("AN"), "Asia": code("AS"), "Europe": code("EU"),
	"North America": code("NA"), "Oceania": code("OC"), "South America": code("SA"),
}

// continentCode returns the continent of a code or a name, or the zero Code if s is neither.
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

// find returns the row of a country, or nil if countryTable has none with that code.
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
// gives it, to a tenth of a degree. In a large country most listeners are far
// from it. For Russia and Canada, where hardly anybody lives near the middle, it is
// Moscow and Toronto. ok is false for a code that is neither in ISO 3166-1 nor XK.
func Centroid(country director.Code) (lat, lon float32, ok bool) {
	row := find(country)
	if row == nil {
		return 0, 0, false
	}
	return row.lat, row.lon, true
}

// ContinentOf returns the continent that a country belongs to, or the zero Code
// for a code that is neither in ISO 3166-1 nor XK. A country on two continents belongs to
// one, as at MaxMind: Russia to Europe, Turkey and Kazakhstan to Asia, Egypt to Africa.
func ContinentOf(country director.Code) director.Code {
	row := find(country)
	if row == nil {
		return director.Code{}
	}
	return row.continent
}
