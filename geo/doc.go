// Package geo finds the place of an address: it looks a [netip.Addr] up in databases in
// the MaxMind DB format and returns a [director.Place].
//
// # Databases
//
// It reads the nested layout of GeoLite2 and GeoIP2 (City, Country, ASN,
// Enterprise, ISP and compatible databases, such as DB-IP's and IP2Location's) and
// the flat layouts of ip-location-db, IPinfo and IPLocate. Countries, cities and
// networks may be in one file or in several, for IPv4, IPv6 or both. Without a
// configured database, an embedded country database is used, see [Embedded].
//
// Several databases complement each other. Country, subdivision and coordinates
// belong together and come from the first database in the list that knows any
// of them (one that knows only the continent, or where the network is registered,
// gives way to a later one that knows more). The ASN comes from the first that
// knows one. So list the more exact database first, and an ASN database anywhere.
//
// The operator's corrections and geofeeds (RFC 8805) take precedence over all databases.
// They give countries; a database that agrees with them adds coordinates.
//
// # What a Place holds
//
//   - Coordinates are rounded to a tenth of a degree (at most 8 km off). This is
//     finer than such databases are, and keeps the index small.
//   - A record that names neither city, subdivision nor postal code and claims no
//     accuracy of 100 km or better stands for its country: its coordinates count
//     as [director.CountryCentre]. Without coordinates it gets our [Centroid].
//   - Coordinates of a record without a country count as the listener's, and the country
//     is the one that they lie in ([CountryAt]). If the record says that they are rough,
//     they count as [director.ContinentCentre].
//   - The continent follows from the country where the database has none. A continent
//     alone gets coordinates in its middle, as [director.ContinentCentre].
//   - Where MaxMind has only a registered_country (Australia for 1.1.1.1), it is used:
//     the network's users need not be there, but nothing better is known. The place is
//     marked with [director.RegisteredCentre].
//   - Coordinates of 0,0, ASN 0 and codes of no country (ZZ, EU, A1) count as unknown.
//
// If no database knows the country, continent or coordinates of an address, they
// are taken from Config.Private for addresses that cannot be on the public
// Internet, and from Config.Unknown for others. An ASN that a database knows is
// kept even then.
//
// IPv4 addresses embedded in IPv6 addresses (mapped, 6to4, Teredo, NAT64) are looked up
// as IPv4 addresses; of a Teredo address, the client's is used, not the server's.
//
// # Speed and memory
//
// A database is compiled when it is loaded: networks become a sorted list of
// ranges, each with the number of a place. Neighbours with the same place are merged,
// and ranges are packed in blocks of two dozen, about three bytes each. After that
// neither the file nor its bytes are needed, so a file that is overwritten in place
// cannot disturb a lookup. GeoLite2-City, 66 MB with 5.8 million networks, takes some
// 2 s and 220 MB to compile, and 11 MB to keep.
package geo
