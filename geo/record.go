package geo

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/oschwald/maxminddb-golang/v2/mmdbdata"

	"github.com/signpost-fm/signpost/director"
)

// A record is what we use of a database's record. Layouts differ: the same value has
// different keys, is a text or a number, at the top level or in a map. A value of an
// unexpected kind is skipped, so a key that means something else in another layout does
// no harm.
type record struct {
	country    string // a code of two letters
	registered string // likewise, of the country in which the network's owner is registered
	continent  string // a code of two letters, or a name in English
	part       string // the subdivision: what follows the country in an ISO 3166-2 code
	named      bool   // it names a city, a subdivision or a postcode
	lat, lon   float64
	accuracy   float64 // of lat and lon in km; 0: unknown
	asn        uint32
}

// UnmarshalMaxMindDBCursor implements [mmdbdata.CursorUnmarshaler].
func (r *record) UnmarshalMaxMindDBCursor(c mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	*r = record{}
	return eachKey(c, func(key string, c mmdbdata.Cursor) (mmdbdata.Cursor, error) {
		kind, err := c.Kind()
		if err != nil {
			return c, err
		}
		prefix, nested := nestedKeys[key]
		if kind != mmdbdata.KindMap || !nested {
			return r.take(key, c)
		}
		return eachKey(c, func(inner string, c mmdbdata.Cursor) (mmdbdata.Cursor, error) {
			return r.take(prefix+inner, c)
		})
	})
}

// nestedKeys are the keys of maps that we read, each with the prefix that take gets
// before the keys inside.
var nestedKeys = map[string]string{
	"country": "country.", "registered_country": "registered_country.", "continent": "continent.", "location": "location.",
	"traits": "", "geo": "", "as": "", // the keys inside are those of flat layouts
}

// take reads the value of a key. It knows the keys of MaxMind and DB-IP (nested) and
// those of ip-location-db, IPinfo, IP2Location and IPLocate (flat).
func (r *record) take(key string, c mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	switch key {
	case "country.iso_code", "country_code", "country_iso_code", "country":
		return readCode(c, &r.country)
	case "registered_country.iso_code", "registered_country":
		return readCode(c, &r.registered)
	case "continent.code", "continent_code":
		return readText(c, &r.continent)
	case "continent":
		if r.continent != "" { // this is the name, and the code is known
			return c.Skip()
		}
		return readText(c, &r.continent)
	case "subdivisions":
		return r.subdivisions(c)
	case "region_code", "state_code":
		return readText(c, &r.part)
	case "city", "postal", "region", "state", "state1", "postcode", "postal_code", "zip_code":
		return r.name(c)
	case "location.latitude", "latitude", "lat":
		return readNumber(c, &r.lat)
	case "location.longitude", "longitude", "lon", "lng":
		return readNumber(c, &r.lon)
	case "loc":
		return r.pair(c)
	case "location.accuracy_radius", "accuracy_radius", "radius":
		return readNumber(c, &r.accuracy)
	case "autonomous_system_number", "asn":
		return readASN(c, &r.asn)
	}
	return c.Skip()
}

// eachKey calls f with each key and value of the map at c. It skips any other kind.
func eachKey(c mmdbdata.Cursor, f func(string, mmdbdata.Cursor) (mmdbdata.Cursor, error)) (mmdbdata.Cursor, error) {
	if kind, err := c.Kind(); err != nil {
		return c, err
	} else if kind != mmdbdata.KindMap {
		return c.Skip()
	}
	entries, err := c.Map()
	if err != nil {
		return c, err
	}
	var next mmdbdata.Cursor
	for {
		key, value, more := entries.Next(next)
		if !more {
			return entries.End()
		}
		if next, err = f(string(key), value); err != nil {
			return next, err
		}
	}
}

// maxText is how long a text may be, in bytes, to be read as a code or a number.
const maxText = 64

// readText reads a text. It skips other kinds, and texts longer than maxText.
func readText(c mmdbdata.Cursor, into *string) (mmdbdata.Cursor, error) {
	kind, err := c.Kind()
	if err != nil {
		return c, err
	}
	if kind != mmdbdata.KindString {
		return c.Skip()
	}
	s, next, err := c.ReadString()
	if err == nil && s != "" && len(s) <= maxText {
		*into = s
	}
	return next, err
}

// readCode reads a code of two letters. A text of another length is a name, which
// some layouts have besides the code.
func readCode(c mmdbdata.Cursor, into *string) (mmdbdata.Cursor, error) {
	var s string
	next, err := readText(c, &s)
	if len(s) == len(director.Code{}) {
		*into = s
	}
	return next, err
}

// readNumber reads a number, or a text that holds one.
func readNumber(c mmdbdata.Cursor, into *float64) (mmdbdata.Cursor, error) {
	kind, err := c.Kind()
	if err != nil {
		return c, err
	}
	switch kind {
	case mmdbdata.KindFloat64, mmdbdata.KindFloat32:
		f, next, err := c.ReadFloat()
		*into = f
		return next, err
	case mmdbdata.KindUint16, mmdbdata.KindUint32, mmdbdata.KindUint64, mmdbdata.KindInt32:
		n, signed, next, err := c.ReadInteger()
		if *into = float64(n); signed {
			*into = float64(int64(n)) // the bit pattern of an int64, as ReadInteger says
		}
		return next, err
	}
	var s string
	next, err := readText(c, &s)
	if f, bad := strconv.ParseFloat(strings.TrimSpace(s), 64); bad == nil {
		*into = f
	}
	return next, err
}

// readASN reads 3320, "3320" or "AS3320".
func readASN(c mmdbdata.Cursor, into *uint32) (mmdbdata.Cursor, error) {
	kind, err := c.Kind()
	if err != nil {
		return c, err
	}
	if kind != mmdbdata.KindString {
		var f float64
		next, err := readNumber(c, &f)
		if f >= 0 && f <= math.MaxUint32 {
			*into = uint32(f)
		}
		return next, err
	}
	var s string
	next, err := readText(c, &s)
	if len(s) > 2 && strings.EqualFold(s[:2], "AS") {
		s = s[2:]
	}
	if n, bad := strconv.ParseUint(s, 10, 32); bad == nil {
		*into = uint32(n)
	}
	return next, err
}

// name sets r.named if the value is a text that is not empty, or a map.
func (r *record) name(c mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	kind, err := c.Kind()
	if err != nil {
		return c, err
	}
	if kind == mmdbdata.KindMap {
		r.named = true
		return c.Skip()
	}
	var s string
	next, err := readText(c, &s)
	r.named = r.named || s != ""
	return next, err
}

// pair reads "48.14,11.58".
func (r *record) pair(c mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	var s string
	next, err := readText(c, &s)
	first, second, _ := strings.Cut(s, ",")
	lat, badLat := strconv.ParseFloat(strings.TrimSpace(first), 64)
	lon, badLon := strconv.ParseFloat(strings.TrimSpace(second), 64)
	if badLat == nil && badLon == nil {
		r.lat, r.lon = lat, lon
	}
	return next, err
}

// subdivisions reads the code of the first map of a list, which is the largest subdivision.
func (r *record) subdivisions(c mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	kind, err := c.Kind()
	if err != nil {
		return c, err
	}
	if kind != mmdbdata.KindSlice {
		return c.Skip()
	}
	parts, err := c.Slice()
	if err != nil {
		return c, err
	}
	var next mmdbdata.Cursor
	for {
		i, part, more := parts.Next(next)
		if !more {
			return parts.End()
		}
		r.named = true
		if i > 0 {
			next, err = part.Skip()
		} else {
			next, err = eachKey(part, func(key string, c mmdbdata.Cursor) (mmdbdata.Cursor, error) {
				if key == "iso_code" {
					return readText(c, &r.part)
				}
				return c.Skip()
			})
		}
		if err != nil {
			return next, err
		}
	}
}

// goodAccuracy is the radius, in km, up to which coordinates without a name
// count as the listener's. For the middle of a country MaxMind gives 200 and more.
const goodAccuracy = 100

var errCoordinates = errors.New("its coordinates are not valid: the file is damaged, download it again")

// place reduces a record to what a decision needs.
func (r *record) place() (director.Place, error) {
	if !(math.Abs(r.lat) <= 90 && math.Abs(r.lon) <= 180) { // written so that it refuses NaN, too
		return director.Place{}, errCoordinates
	}
	p := director.Place{ASN: r.asn, Country: countryCode(r.country), Continent: continentCode(r.continent)}
	if p.Country != (director.Code{}) && r.part != "" {
		p.Subdivision, _ = director.ParseSubdivision(r.part) // unknown if it is invalid
	}
	if r.lat != 0 || r.lon != 0 {
		p.Lat, p.Lon, p.Point = tenth(r.lat), tenth(r.lon), r.point(p)
	}
	if p.Country == (director.Code{}) && p.Point != director.CityPoint {
		r.placeRegistered(&p)
	}
	return Complete(p), nil
}

// placeRegistered places a network without a country where its owner is registered,
// unless that is on another continent.
func (r *record) placeRegistered(p *director.Place) {
	row := find(countryCode(r.registered))
	if row == nil || p.Continent != (director.Code{}) && p.Continent != row.continent {
		return
	}
	p.Country, p.Continent = row.code, row.continent
	p.Point, p.Lat, p.Lon = director.RegisteredCentre, row.lat, row.lon
}

// point returns what the record's coordinates stand for.
func (r *record) point(p director.Place) director.Point {
	nothingElse := p.Country == (director.Code{}) && r.accuracy == 0 // not a country's middle, then
	switch {
	case r.named, r.accuracy > 0 && r.accuracy <= goodAccuracy, nothingElse:
		return director.CityPoint
	case p.Country == (director.Code{}):
		return director.ContinentCentre
	}
	return director.CountryCentre
}

// countryCode returns the country of a code, or the zero Code if it is no country's:
// databases also use ZZ (unknown), EU and AP (somewhere there), A1 (a proxy), T1 (Tor).
func countryCode(s string) director.Code {
	c, err := director.ParseCode(s)
	if err != nil || find(c) == nil {
		return director.Code{}
	}
	return c
}

func tenth(degrees float64) float32 { return float32(math.Round(degrees*10) / 10) }

// A shape lists the keys of a record, for people: "continent.code, country".
type shape []string

const maxKeys = 20 // of a shape, which is for people

// UnmarshalMaxMindDBCursor implements [mmdbdata.CursorUnmarshaler].
func (s *shape) UnmarshalMaxMindDBCursor(c mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	*s = shape{}
	return eachKey(c, func(key string, c mmdbdata.Cursor) (mmdbdata.Cursor, error) {
		if len(*s) < maxKeys {
			*s = append(*s, fmt.Sprintf("%.40q", key))
		}
		return c.Skip()
	})
}
