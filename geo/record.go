package geo

import (
	"cmp"
	"errors"
	"math"

	"github.com/oschwald/maxminddb-golang/v2/mmdbdata"

	"github.com/signpost-fm/signpost/director"
)

// record is what we take of a database's record, in MaxMind's nested layout and
// in the flat one of ip-location-db; each leaves the fields of the other empty.
type record struct {
	Continent struct {
		Code string `maxminddb:"code"`
	} `maxminddb:"continent"`
	Country struct {
		ISOCode string `maxminddb:"iso_code"`
	} `maxminddb:"country"`
	Subdivisions []struct {
		ISOCode string `maxminddb:"iso_code"`
	} `maxminddb:"subdivisions"`
	Postal   named `maxminddb:"postal"`
	Location struct {
		Latitude  float64 `maxminddb:"latitude"`
		Longitude float64 `maxminddb:"longitude"`
		Accuracy  uint16  `maxminddb:"accuracy_radius"` // km
	} `maxminddb:"location"`

	CountryCode string  `maxminddb:"country_code"`
	State       named   `maxminddb:"state1"` // a name, from which no ISO code follows
	Postcode    named   `maxminddb:"postcode"`
	Latitude    float64 `maxminddb:"latitude"`
	Longitude   float64 `maxminddb:"longitude"`

	City named  `maxminddb:"city"` // both layouts
	ASN  uint32 `maxminddb:"autonomous_system_number"`
}

// named tells whether a record names something, by a text or by a map.
type named bool

// UnmarshalMaxMindDBCursor implements [mmdbdata.CursorUnmarshaler].
func (n *named) UnmarshalMaxMindDBCursor(c mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	kind, err := c.Kind()
	if err != nil {
		return mmdbdata.Cursor{}, err
	}
	if kind != mmdbdata.KindString {
		*n = true
		return c.Skip()
	}
	s, next, err := c.ReadString()
	*n = s != ""
	return next, err
}

// goodAccuracy is the radius, in km, up to which coordinates without any name
// are taken for the listener's. MaxMind gives 200 and more to the middle of a country.
const goodAccuracy = 100

var errCoordinates = errors.New("its coordinates are none: the file is damaged, download it again")

// place reduces a record to what a decision needs.
func (r *record) place() (director.Place, error) {
	lat, lon := r.Latitude, r.Longitude
	if lat == 0 && lon == 0 {
		lat, lon = r.Location.Latitude, r.Location.Longitude
	}
	if !(math.Abs(lat) <= 90 && math.Abs(lon) <= 180) { // so that NaN is refused too
		return director.Place{}, errCoordinates
	}
	p := director.Place{ASN: r.ASN, Country: countryCode(cmp.Or(r.Country.ISOCode, r.CountryCode))}
	p.Continent, _ = director.ParseCode(r.Continent.Code) // unknown if it is none
	if p.Country != (director.Code{}) && len(r.Subdivisions) > 0 {
		p.Subdivision, _ = director.ParseSubdivision(r.Subdivisions[0].ISOCode)
	}
	exact := bool(r.City || r.State || r.Postal || r.Postcode) || len(r.Subdivisions) > 0 ||
		r.Location.Accuracy > 0 && r.Location.Accuracy <= goodAccuracy
	if lat != 0 || lon != 0 {
		p.Point, p.Lat, p.Lon = director.CountryCentre, tenth(lat), tenth(lon)
		if exact {
			p.Point = director.CityPoint
		}
	}
	return complete(p), nil
}

// countryCode returns the zero Code for what names no country: databases also
// use ZZ (unknown), EU and AP (somewhere there), A1 (a proxy), T1 (Tor).
func countryCode(s string) director.Code {
	c, err := director.ParseCode(s)
	if err != nil || find(c) == nil {
		return director.Code{}
	}
	return c
}

func tenth(degrees float64) float32 { return float32(math.Round(degrees*10) / 10) }
