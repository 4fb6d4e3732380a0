package geo

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// Config configures a Locator. Only Open reads it.
type Config struct {
	// Databases are paths of MaxMind DB files, the most exact first. Empty: the
	// embedded database of countries.
	Databases []string
	// Feeds are paths of geofeeds (RFC 8805), which network operators publish about their
	// own networks. They take precedence over databases. The first feed that has an
	// address counts.
	Feeds []string
	// Awaited are those of Databases and Feeds that need not exist yet, because
	// they are about to be fetched.
	Awaited []string
	// Corrections take precedence over feeds and databases.
	Corrections []Correction
	// Unknown is the place of public addresses that no database knows. Private is
	// the place of private, loopback, link-local, reserved and other special addresses.
	// Both are completed, see [Complete].
	Unknown, Private director.Place
	// NAT64 are IPv6 prefixes whose addresses embed IPv4 addresses, besides the
	// well-known 64:ff9b::/96: /32, /40, /48, /56, /64 or /96 (RFC 6052).
	NAT64 []netip.Prefix
	Log   *slog.Logger // nil: no log
}

// Source describes a database in use.
type Source struct {
	Path        string    `json:"path,omitempty"` // of the file; empty: embedded
	Type        string    `json:"type"`           // as the database calls itself: "GeoLite2-City"
	Built       time.Time `json:"built"`          // when its publisher built it
	Embedded    bool      `json:"embedded,omitempty"`
	Description string    `json:"description,omitempty"` // as the database describes itself
}

// Describe returns a source's name and age for people: "GeoLite2-City of
// 2026-06-01, 12 days old, /var/lib/GeoIP/GeoLite2-City.mmdb".
func (s Source) Describe(now time.Time) string {
	out := s.Type
	if !s.Built.IsZero() {
		out += fmt.Sprintf(" of %s, %d days old", s.Built.Format(time.DateOnly), int(now.Sub(s.Built).Hours()/24))
	}
	if s.Embedded {
		out += ", embedded"
	}
	if s.Path != "" {
		out += ", " + s.Path
	}
	return out
}

// Locator finds the places of addresses. It is safe for concurrent use.
type Locator struct {
	unknown, private director.Place
	nat64            []netip.Prefix
	edges6           []bounds // see edges
	log              *slog.Logger
	corrections      layer
	fallback         layer   // the embedded database, if there is no other
	files            []*file // Run watches them; after Open only Run touches them
	current          atomic.Pointer[[]layer]
	edition          atomic.Uint64 // of current

	settle time.Duration // how long a directory must be unchanged before its files are read
	poll   time.Duration // how often files are checked without a notification
}

// A layer is a source and its index. The layers in use are ordered by precedence, and
// the list is replaced as a whole.
type layer struct {
	index   *index
	source  Source
	overlay bool // corrections or a feed: it gives countries, and databases add coordinates
}

// Open loads and compiles the databases, which takes some seconds for a city
// database. If a file cannot be used, the error names the file and the remedy. Call Run
// to watch the files.
func Open(c Config) (*Locator, error) {
	l := &Locator{
		unknown: Complete(c.Unknown),
		private: Complete(c.Private),
		nat64:   c.NAT64,
		log:     c.Log,
		settle:  500 * time.Millisecond,
		poll:    time.Minute,
	}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	for _, p := range c.NAT64 {
		if err := CheckNAT64(p); err != nil {
			return nil, fmt.Errorf("geo: %w", err)
		}
	}
	l.edges6 = l.findEdges()
	if len(c.Corrections) > 0 {
		ix, err := compileCorrections(c.Corrections)
		if err != nil {
			return nil, fmt.Errorf("geo corrections: %w", err)
		}
		l.corrections = layer{ix, Source{Type: "corrections"}, true}
	}
	for _, path := range c.Feeds {
		l.files = append(l.files, &file{path: path, feed: true})
	}
	for _, path := range c.Databases {
		l.files = append(l.files, &file{path: path})
	}
	for _, f := range l.files {
		f.look(0)
		if f.seen == nil && slices.Contains(c.Awaited, f.path) {
			l.log.Warn(f.kind()+" not there yet, and used once it is", "file", f.path)
			continue
		}
		if err := f.load(l.log, "loaded"); err != nil {
			return nil, err
		}
	}
	return l, l.publish()
}

// Sources lists the sources in use, in order of precedence. It is safe for concurrent use.
func (l *Locator) Sources() []Source {
	var all []Source
	for _, y := range *l.current.Load() {
		all = append(all, y.source)
	}
	return all
}

// editions numbers what all Locators published.
var editions atomic.Uint64

// Edition returns a number that no other Locator has, and that changes when databases or
// feeds are replaced. What Locate and Widest return after a call of Edition may be of a
// later edition, and never of an earlier one.
func (l *Locator) Edition() uint64 { return l.edition.Load() }

// Locate returns the place of an address, as the package comment defines it. It does not
// allocate or block, and is safe for concurrent use.
func (l *Locator) Locate(addr netip.Addr) (place director.Place) {
	if !addr.IsValid() {
		return l.unknown
	}
	l.locate(&place, *l.current.Load(), l.split(addr))
	return place
}

// Origin returns the source that the place of an address comes from. ok is false if no
// source knows the address, and its place is Config.Unknown or Config.Private. It is for
// people, and may allocate.
func (l *Locator) Origin(addr netip.Addr) (s Source, ok bool) {
	if !addr.IsValid() {
		return Source{}, false
	}
	var place director.Place
	by := l.locate(&place, *l.current.Load(), l.split(addr))
	if by == nil {
		return Source{}, false
	}
	return by.source, true
}

// locate sets out to the place of an address, and returns the layer that it comes from,
// nil if none knows it. It copies a place once: on the way of every request, a copy of a
// copy costs as much as finding the place.
func (l *Locator) locate(out *director.Place, layers []layer, a address) *layer {
	var (
		place   = &director.Place{}
		refined *director.Place // has better coordinates than place; nil: none
		by      *layer
		asn     uint32
	)
	known := nothing
	for i := range layers {
		y := &layers[i]
		p := y.index.at(a)
		switch k := knowledge(p); {
		case k > known:
			place, known, by, refined = p, k, y, nil
		case by != nil && by.overlay && refined == nil && refines(p, place):
			refined = p
		}
		if asn == 0 {
			asn = p.ASN
		}
	}
	if known == nothing {
		place = &l.unknown
		if isSpecial(a) {
			place = &l.private
		}
	}
	*out = *place
	if refined != nil {
		out.Subdivision, out.Point, out.Lat, out.Lon = refined.Subdivision, refined.Point, refined.Lat, refined.Lon
	}
	if asn != place.ASN && asn != 0 {
		out.ASN = asn
	}
	return by
}

// refines reports whether p has coordinates of a listener, place has only those of a
// country, and p does not contradict place's country and subdivision.
func refines(p, place *director.Place) bool {
	return place.Point == director.CountryCentre && p.Point == director.CityPoint && p.Country == place.Country &&
		(place.Subdivision == director.Subdivision{} || place.Subdivision == p.Subdivision)
}

func (l *Locator) split(addr netip.Addr) address {
	if len(l.nat64) > 0 && addr.Is6() {
		if a, before := unmapNAT64(l.nat64, addr.WithZone("")); before >= 0 {
			return a
		}
	}
	return split(addr)
}

// Levels of what a database knows about the place of an address. The first database with
// the highest level wins.
const (
	nothing = iota
	roughly // the continent, or where the network is registered
	somewhere
)

func knowledge(p *director.Place) int {
	switch {
	case p.Point == director.NoPoint && p.Country == (director.Code{}) && p.Continent == (director.Code{}) &&
		p.Subdivision == (director.Subdivision{}):
		return nothing
	case p.Point == director.RegisteredCentre || p.Point == director.ContinentCentre:
		return roughly
	}
	return somewhere
}

// Complete fills in what follows from the rest of a place: the country from
// exact coordinates, the continent from the country, and the middle of the country or
// continent as coordinates where they are unknown.
func Complete(p director.Place) director.Place {
	if p.Country == (director.Code{}) && p.Point == director.CityPoint {
		p.Country = CountryAt(p.Lat, p.Lon)
	}
	if row := find(p.Country); row != nil {
		if p.Continent == (director.Code{}) {
			p.Continent = row.continent
		}
		if p.Point == director.NoPoint {
			p.Point, p.Lat, p.Lon = director.CountryCentre, row.lat, row.lon
		}
	}
	if middle, ok := continentCentres[p.Continent]; ok && p.Point == director.NoPoint {
		p.Point, p.Lat, p.Lon = director.ContinentCentre, middle.lat, middle.lon
	}
	return p
}
