package director

import (
	"fmt"
	"math"
)

// A Place is where an address is, as far as the databases know. It is a small
// comparable value; its zero value means "unknown". ASN 0 means unknown. With
// NoPoint, zero coordinates mean unknown too, and not a point in the Gulf of Guinea.
type Place struct {
	Continent   Code        // AF AN AS EU NA OC SA, as MaxMind writes them
	Country     Code        // ISO 3166-1 alpha-2
	Subdivision Subdivision // ISO 3166-2 without the country: "BY" in DE-BY
	Point       Point       // what Lat and Lon stand for; NoPoint: nothing
	ASN         uint32      // autonomous system number; 0: unknown
	Lat, Lon    float32     // degrees, -90..90 and -180..180
}

// Point says what a Place's coordinates stand for.
type Point uint8

// What coordinates may stand for. Stores keep the numbers: add new values at the end.
const (
	NoPoint         Point = iota // coordinates unknown
	CountryCentre                // the middle of the country: accurate to some hundred kilometres
	CityPoint                    // from a city database or the operator
	ContinentCentre              // the middle of the continent: accurate to some thousand kilometres
	// RegisteredCentre is the middle of the country in which the network's owner is
	// registered. Its users need not be there, but mostly are.
	RegisteredCentre
)

// String returns what the coordinates stand for, for people.
func (p Point) String() string {
	switch p {
	case NoPoint:
		return "unknown"
	case CountryCentre:
		return "centre of the country"
	case CityPoint:
		return "city"
	case ContinentCentre:
		return "centre of the continent"
	case RegisteredCentre:
		return "centre of the country where the network is registered"
	}
	return fmt.Sprintf("point %d", uint8(p))
}

// A Code is a two-letter country or continent code in upper case; its zero value is "unknown".
type Code [2]byte

// ParseCode reads a two-letter code in either case.
func ParseCode(s string) (Code, error) {
	if len(s) != 2 || !isLetter(s[0]) || !isLetter(s[1]) {
		return Code{}, fmt.Errorf("%q is not a two-letter code", s)
	}
	return Code{s[0] &^ 0x20, s[1] &^ 0x20}, nil
}

// String returns the code, or "" if it is unknown.
func (c Code) String() string {
	if c == (Code{}) {
		return ""
	}
	return string(c[:])
}

// A Subdivision is the part of an ISO 3166-2 code after the country: one to
// three letters or digits in upper case, padded with zero bytes.
type Subdivision [3]byte

// ParseSubdivision reads the part of an ISO 3166-2 code after the dash, in either case.
func ParseSubdivision(s string) (Subdivision, error) {
	var out Subdivision
	if len(s) == 0 || len(s) > len(out) {
		return Subdivision{}, fmt.Errorf("%q is not the second part of an ISO 3166-2 code", s)
	}
	for i := range len(s) {
		switch c := s[i]; {
		case isLetter(c):
			out[i] = c &^ 0x20
		case c >= '0' && c <= '9':
			out[i] = c
		default:
			return Subdivision{}, fmt.Errorf("%q is not the second part of an ISO 3166-2 code", s)
		}
	}
	return out, nil
}

// String returns the subdivision without its country, or "" if it is unknown.
func (s Subdivision) String() string {
	n := 0
	for n < len(s) && s[n] != 0 {
		n++
	}
	return string(s[:n])
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// String describes the place for people: "DE-BY AS3320 48.1,11.6".
func (p Place) String() string {
	s := "unknown"
	switch {
	case p.Country != Code{} && p.Subdivision != Subdivision{}:
		s = p.Country.String() + "-" + p.Subdivision.String()
	case p.Country != Code{}:
		s = p.Country.String()
	case p.Continent != Code{}:
		s = p.Continent.String()
	}
	if p.ASN != 0 {
		s += fmt.Sprintf(" AS%d", p.ASN)
	}
	switch p.Point {
	case NoPoint:
	case CityPoint:
		s += fmt.Sprintf(" %.1f,%.1f", p.Lat, p.Lon)
	default:
		s += fmt.Sprintf(" %.1f,%.1f (%s)", p.Lat, p.Lon, p.Point)
	}
	return s
}

// earthRadiusKm is the mean radius of the Earth (IUGG, R1).
const earthRadiusKm = 6371.0088

// distanceKm is the great-circle distance by the haversine formula, which stays
// exact for small distances (R. W. Sinnott, "Virtues of the Haversine", 1984).
func distanceKm(lat1, lon1, lat2, lon2 float64) float64 {
	const rad = math.Pi / 180
	sLat := math.Sin((lat2 - lat1) * rad / 2)
	sLon := math.Sin((lon2 - lon1) * rad / 2)
	h := sLat*sLat + math.Cos(lat1*rad)*math.Cos(lat2*rad)*sLon*sLon
	return 2 * earthRadiusKm * math.Asin(math.Sqrt(min(1, h)))
}
