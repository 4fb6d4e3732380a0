package geo

import (
	"fmt"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// Config says where geography comes from. Only Open reads it.
type Config struct {
	// Databases are paths of MaxMind DB files, the most exact first. Empty: the
	// embedded database of countries.
	Databases []string
	// Unknown is the place of public addresses that no database knows, Private
	// that of private, loopback, link-local, reserved and other special ones. A
	// country without coordinates is completed, see [Complete].
	Unknown, Private director.Place
	// NAT64 are prefixes of IPv6 behind which IPv4 addresses stand, besides the
	// well-known 64:ff9b::/96: /32, /40, /48, /56, /64 or /96 (RFC 6052).
	NAT64 []netip.Prefix
	Log   *slog.Logger // nil: no log
}

// Source describes a database in use.
type Source struct {
	Path        string    `json:"path,omitempty"` // of its file; empty: embedded
	Type        string    `json:"type"`           // as the database calls itself: "GeoLite2-City"
	Built       time.Time `json:"built"`          // when its publisher built it
	Embedded    bool      `json:"embedded,omitempty"`
	Description string    `json:"description,omitempty"` // as the database describes itself
}

// Locator finds the places of addresses. It is safe for concurrent use.
type Locator struct {
	unknown, private director.Place
	nat64            []netip.Prefix
	edges6           []bounds // see edges
	log              *slog.Logger
	files            []*file // what Run watches; after Open only Run touches them
	current          atomic.Pointer[set]

	settle time.Duration // how long a directory must be quiet before its files are read
	poll   time.Duration // how often files are looked at without any notice
}

// A set is the databases that are in use together. It is immutable.
type set struct {
	indexes []*index
	sources []Source
}

// Open loads the databases and compiles them, which takes some seconds for a
// city database. A file that cannot be used is an error that names it and the
// remedy. Call Run to have the files watched.
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
	if len(c.Databases) == 0 {
		return l, l.useEmbedded()
	}
	for _, path := range c.Databases {
		f := &file{path: path}
		l.files = append(l.files, f)
		f.look(0)
		if err := f.load(l.log, "geo database loaded"); err != nil {
			return nil, err
		}
	}
	l.publish()
	return l, nil
}

// Sources lists the databases in use, in the order of Config.Databases. It is
// safe for concurrent use; the caller must not change the slice.
func (l *Locator) Sources() []Source { return l.current.Load().sources }

// Locate returns where an address is, see the package's description for what
// that means. It allocates nothing, waits for nothing and is safe for concurrent use.
func (l *Locator) Locate(addr netip.Addr) director.Place {
	if !addr.IsValid() {
		return l.unknown
	}
	return l.locate(l.current.Load(), l.split(addr))
}

func (l *Locator) locate(s *set, a address) director.Place {
	var place director.Place
	known := nothing
	for _, ix := range s.indexes {
		p := ix.at(a)
		asn := place.ASN
		if k := knowledge(p); k > known {
			place, known = p, k
		}
		if asn == 0 {
			asn = p.ASN
		}
		place.ASN = asn
	}
	if known > nothing {
		return place
	}
	fallback := l.unknown
	if isSpecial(a) {
		fallback = l.private
	}
	if place.ASN != 0 {
		fallback.ASN = place.ASN
	}
	return fallback
}

func (l *Locator) split(addr netip.Addr) address {
	if len(l.nat64) > 0 && addr.Is6() {
		if a, ok := unmapNAT64(l.nat64, addr); ok {
			return a
		}
	}
	return split(addr)
}

// What a database knows of where an address is. The first database that knows most
// is believed.
const (
	nothing = iota
	roughly // the continent, or where the network is registered
	somewhere
)

func knowledge(p director.Place) int {
	switch {
	case p == (director.Place{ASN: p.ASN}):
		return nothing
	case p.Point == director.RegisteredCentre || p.Point == director.ContinentCentre:
		return roughly
	}
	return somewhere
}

// Complete fills in what follows from the rest of a place: the country from the
// coordinates where they are exact ones, the continent from the country, and the
// middle of the country or the continent where the coordinates are unknown.
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
