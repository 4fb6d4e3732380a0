package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/signpost-fm/signpost/cmd/signpost/yamlfile"
	"github.com/signpost-fm/signpost/director"
)

// The methods implement [yamlfile.Unmarshaler], [yamlfile.Typed] and
// [encoding.TextUnmarshaler].

func (m *mountEntry) UnmarshalValue(v yamlfile.Value) {
	if text, ok := v.Scalar(); ok {
		m.Name = text
		return
	}
	v.Decode(m)
}

func (m *matchEntry) UnmarshalValue(v yamlfile.Value) {
	text, ok := v.Scalar()
	switch {
	case ok && text == "default":
		m.Default = true
	case ok:
		v.Fail("match is written as keys such as countries: [DE], or as the word default, not as %q", text)
	default:
		v.Decode(m)
	}
}

func (s *regionsSection) UnmarshalValue(v yamlfile.Value) { v.DecodeSection(s, &s.List) }

func (s *rulesSection) UnmarshalValue(v yamlfile.Value) { v.DecodeSection(s, &s.List) }

// A placeValue is a country code, or latitude and longitude, or all three.
type placeValue struct {
	// ISO 3166-1 code of two letters.
	Country string `yaml:"country"`
	// Degrees, -90 to 90, north is positive.
	Lat float64 `yaml:"lat"`
	// Degrees, -180 to 180, east is positive.
	Lon float64 `yaml:"lon"`

	point bool // Lat and Lon are given
}

func (placeValue) TypeName() string {
	return "a country code (`DE`), \"latitude,longitude\" (`50.1,8.7`), or `{country, lat, lon}`, in degrees"
}

func (p *placeValue) UnmarshalValue(v yamlfile.Value) {
	if text, ok := v.Scalar(); ok {
		var err error
		if *p, err = parsePlace(text); err != nil {
			v.Fail("%s", err)
		}
		return
	}
	v.Decode(p)
	lat, lon := v.Has("lat"), v.Has("lon")
	if p.point = lat && lon; lat != lon {
		v.Fail("lat and lon belong together; give both or neither")
	}
}

func parsePlace(text string) (p placeValue, err error) {
	lat, lon, isPoint := strings.Cut(text, ",")
	if !isPoint {
		return placeValue{Country: text}, nil
	}
	var errLat, errLon error
	p.Lat, errLat = strconv.ParseFloat(strings.TrimSpace(lat), 64)
	p.Lon, errLon = strconv.ParseFloat(strings.TrimSpace(lon), 64)
	if errLat != nil || errLon != nil {
		return p, fmt.Errorf("%q is not a place; write a country code such as DE, or degrees such as 50.1,8.7", text)
	}
	p.point = true
	return p, nil
}

// ParsePlace reads a country code, or "latitude,longitude" in degrees.
func ParsePlace(text string) (director.Place, error) {
	p, err := parsePlace(text)
	if err != nil {
		return director.Place{}, err
	}
	return p.place()
}

// An mbitValue is a capacity in Mbit/s: a number is the target.
type mbitValue struct {
	// The Mbit/s that a node should send. 0: it does not matter.
	Target float64 `yaml:"target" default:"0"`
	// The Mbit/s that no director knowingly exceeds. 0: no limit.
	Limit float64 `yaml:"limit" default:"0"`
}

func (mbitValue) TypeName() string { return "a number (the target), or `{target, limit}`" }

func (m *mbitValue) UnmarshalValue(v yamlfile.Value) {
	if _, ok := v.Scalar(); ok {
		v.Decode(&m.Target)
		return
	}
	v.Decode(m)
}

// A weightsValue is a region's row: nodes with weights, or nodes alone.
type weightsValue []weightEntry

type weightEntry struct {
	node   string
	weight float64
	given  bool
}

func (weightsValue) TypeName() string { return "node to weight, or a list of nodes" }

func (w *weightsValue) UnmarshalValue(v yamlfile.Value) {
	switch {
	case v.IsNull():
	case v.IsList():
		var nodes []string
		v.Decode(&nodes)
		for _, id := range nodes {
			*w = append(*w, weightEntry{node: id})
		}
	default:
		for _, e := range v.Entries("weights") {
			row := weightEntry{node: e.Key, given: true}
			e.Decode(&row.weight)
			if e.IsNull() {
				e.Fail("node %q has no weight; give it a number, or make the row a list of nodes", e.Key)
			}
			*w = append(*w, row)
		}
	}
}

// A correctionsValue is networks with their places.
type correctionsValue []correctionEntry

type correctionEntry struct {
	network cidrValue
	place   placeValue
	key     string // as it stands in the file
}

func (correctionsValue) TypeName() string { return "network to place" }

// UnmarshalValue reads the networks in order.
func (c *correctionsValue) UnmarshalValue(v yamlfile.Value) {
	if v.IsNull() {
		return
	}
	for _, e := range v.Entries("corrections") {
		one := correctionEntry{key: e.Key}
		if err := one.network.UnmarshalText([]byte(e.Key)); err != nil {
			e.Fail("%s", err)
			continue
		}
		e.Decode(&one.place)
		*c = append(*c, one)
	}
}

// A cidrValue is a network; a single address is a network of one.
type cidrValue struct{ netip.Prefix }

func (cidrValue) TypeName() string { return "a network such as `192.0.2.0/24`" }

// UnmarshalText reads a network or an address.
func (c *cidrValue) UnmarshalText(text []byte) error {
	s := string(text)
	if addr, err := netip.ParseAddr(s); err == nil {
		if addr.Zone() != "" {
			return fmt.Errorf("%q has a zone, which a network cannot have", s)
		}
		c.Prefix = netip.PrefixFrom(addr, addr.BitLen())
		return nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return fmt.Errorf("%q is not a network; write one such as 192.0.2.0/24 or 2001:db8::/32", s)
	}
	if p != p.Masked() {
		return fmt.Errorf("%s has bits set after its length; write %s", p, p.Masked())
	}
	c.Prefix = p
	return nil
}

// An asnValue is the number of an autonomous system.
type asnValue uint32

func (asnValue) TypeName() string { return "a number such as `AS3320`" }

// UnmarshalText reads the number, with or without "AS" in front.
func (a *asnValue) UnmarshalText(text []byte) error {
	s := string(text)
	digits := s
	if len(s) > 2 && strings.EqualFold(s[:2], "as") {
		digits = s[2:]
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil {
		return fmt.Errorf("%q is not an AS number; write one such as AS3320", s)
	}
	*a = asnValue(n)
	return nil
}
