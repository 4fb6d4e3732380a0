package main

import (
	"fmt"
	"net/netip"
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// decodeStruct reads n into the struct behind v by its keys, for types that have
// a short form besides.
func decodeStruct[T any](d *decoder, n ast.Node, v *T, path []any) {
	d.structure(n, reflect.ValueOf(v).Elem(), path)
}

func isNull(n ast.Node) bool { return n.Type() == ast.NullType }

func (m *mountEntry) decodeNode(d *decoder, n ast.Node, path []any) {
	if text, ok := scalarText(n); ok {
		m.Name = text
		return
	}
	decodeStruct(d, n, m, path)
}

func (m *matchEntry) decodeNode(d *decoder, n ast.Node, path []any) {
	text, ok := scalarText(n)
	switch {
	case ok && text == "default":
		m.Default = true
	case ok:
		d.fail(n, "match is written as keys such as countries: [DE], or as the word default, not as %q", text)
	case !isNull(n):
		decodeStruct(d, n, m, path)
	}
}

// decodeSection reads a section that is a list, or a mapping with that list and
// settings beside it. The list's places are noted without the key "list".
func decodeSection[T any](d *decoder, n ast.Node, section *T, path []any) {
	v := reflect.ValueOf(section).Elem()
	list := v.FieldByName("List")
	if n.Type() == ast.SequenceType {
		d.decode(n, list, path)
		return
	}
	if isNull(n) {
		return
	}
	d.structure(n, v, path)
	for key, at := range d.places {
		if rest, ok := strings.CutPrefix(key, pathKey(append(path, "list"))); ok {
			d.places[pathKey(path)+rest] = at
		}
	}
}

func (s *regionsSection) decodeNode(d *decoder, n ast.Node, path []any) {
	decodeSection(d, n, s, path)
}

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

func (placeValue) typeName() string {
	return "a country code (`DE`), \"latitude,longitude\" (`50.1,8.7`), or `{country, lat, lon}`, in degrees"
}

func (p *placeValue) decodeNode(d *decoder, n ast.Node, path []any) {
	if isNull(n) {
		return
	}
	text, ok := scalarText(n)
	if !ok {
		decodeStruct(d, n, p, path)
		_, lat := d.places[pathKey(append(path, "lat"))]
		_, lon := d.places[pathKey(append(path, "lon"))]
		if p.point = lat && lon; lat != lon {
			d.fail(n, "lat and lon belong together; give both or neither")
		}
		return
	}
	lat, lon, isPoint := strings.Cut(text, ",")
	if !isPoint {
		p.Country = text
		return
	}
	var errLat, errLon error
	p.Lat, errLat = strconv.ParseFloat(strings.TrimSpace(lat), 64)
	p.Lon, errLon = strconv.ParseFloat(strings.TrimSpace(lon), 64)
	if p.point = errLat == nil && errLon == nil; !p.point {
		d.fail(n, "%q is no place; write a country code such as DE, or degrees such as 50.1,8.7", text)
	}
}

// An mbitValue is a capacity in Mbit/s: a number is the target.
type mbitValue struct {
	// The Mbit/s a node should send. 0: not reckoned.
	Target float64 `yaml:"target" default:"0"`
	// The Mbit/s that no director knowingly exceeds. 0: no limit.
	Limit float64 `yaml:"limit" default:"0"`
}

func (mbitValue) typeName() string { return "a number (the target), or `{target, limit}`" }

func (m *mbitValue) decodeNode(d *decoder, n ast.Node, path []any) {
	switch _, ok := scalarText(n); {
	case ok:
		d.scalar(n, reflect.ValueOf(&m.Target).Elem())
	case !isNull(n):
		decodeStruct(d, n, m, path)
	}
}

// A weightsValue is a row: nodes with weights, or nodes alone.
type weightsValue []weightEntry

type weightEntry struct {
	node   string
	weight float64
	given  bool
}

func (weightsValue) typeName() string { return "node to weight, or a list of nodes" }

func (w *weightsValue) decodeNode(d *decoder, n ast.Node, path []any) {
	if isNull(n) {
		return
	}
	if n.Type() == ast.SequenceType {
		var nodes []string
		d.list(n, reflect.ValueOf(&nodes).Elem(), path)
		for _, id := range nodes {
			*w = append(*w, weightEntry{node: id})
		}
		return
	}
	rows, ok := d.entries(n, "weights")
	if !ok {
		return
	}
	for _, e := range rows {
		row := weightEntry{node: e.key, given: true}
		d.decode(e.value, reflect.ValueOf(&row.weight).Elem(), append(path, e.key))
		if isNull(e.value) {
			d.fail(e.node, "node %q has no weight; give it a number, or make the row a list of nodes", e.key)
		}
		*w = append(*w, row)
	}
}

// A cidrValue is a network; a single address is a network of one.
type cidrValue struct{ netip.Prefix }

func (cidrValue) typeName() string { return "a network such as `192.0.2.0/24`" }

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
		return fmt.Errorf("%q is no network; write one such as 192.0.2.0/24 or 2001:db8::/32", s)
	}
	if p != p.Masked() {
		return fmt.Errorf("%s has bits set behind its length; write %s", p, p.Masked())
	}
	c.Prefix = p
	return nil
}

// An asnValue is the number of an autonomous system.
type asnValue uint32

func (asnValue) typeName() string { return "a number such as `AS3320`" }

// UnmarshalText reads the number, with or without "AS" in front.
func (a *asnValue) UnmarshalText(text []byte) error {
	s := string(text)
	digits := s
	if len(s) > 2 && strings.EqualFold(s[:2], "as") {
		digits = s[2:]
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil {
		return fmt.Errorf("%q is no AS number; write one such as AS3320", s)
	}
	*a = asnValue(n)
	return nil
}
