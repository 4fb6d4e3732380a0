// Package geo says where an address is: it turns a [netip.Addr] into a
// [director.Place] by databases in the MaxMind DB format.
//
// # Databases
//
// It reads the nested layout of GeoLite2 and GeoIP2 (City, Country, ASN,
// Enterprise, ISP and what is compatible with them, such as DB-IP's and
// IP2Location's) and the flat ones of ip-location-db, IPinfo and IPLocate, with
// countries, cities and networks in one file or apart, for IPv4, IPv6 or both.
// With no database given, an embedded one of countries is used, see [Embedded].
//
// Several databases complement each other. Country, subdivision and coordinates
// belong together and come from the first database in the list that knows any
// of them (one that knows only the continent, or where the network is registered,
// gives way to a later one that knows more); the ASN comes from the first that
// knows one. So the more exact database stands first, and an ASN database anywhere.
//
// Before all databases come the operator's corrections and geofeeds (RFC 8805), which
// know countries; a database that agrees with them adds coordinates.
//
// # What a Place holds
//
//   - Coordinates are rounded to a tenth of a degree (at most 8 km off), which is
//     finer than such databases are and keeps the index small.
//   - A record that names neither city, subdivision nor postal code and claims no
//     accuracy of 100 km or better stands for its country: its coordinates count
//     as [director.CountryCentre]. Without coordinates it gets our [Centroid].
//   - Without a country, coordinates count for what they are: for the listener's, and
//     then the country is the one that they lie in ([CountryAt]), or, where the record
//     says that they are rough, as [director.ContinentCentre].
//   - The continent follows from the country where the database has none. A continent
//     alone gets coordinates in its middle, as [director.ContinentCentre].
//   - Where MaxMind has only a registered_country (Australia for 1.1.1.1), it is taken:
//     the network's users need not be there, but nothing better is known. The place is
//     marked by [director.RegisteredCentre].
//   - Coordinates of 0,0, ASN 0 and codes that are no country's (ZZ, EU, A1) are unknown.
//
// If no database knows country, continent or coordinates of an address, these
// are taken from Config.Private for addresses that cannot be on the public
// Internet and from Config.Unknown for others. An ASN that a database knows is
// kept even then.
//
// IPv4 addresses inside IPv6 ones (mapped, 6to4, Teredo, NAT64) are looked up as
// what they are; of a Teredo address that is the client's, not the server's.
//
// # Speed and memory
//
// A database is compiled when it is loaded: networks become a sorted list of
// ranges with the number of a place, equal neighbours become one, and ranges are
// packed in blocks of two dozen, three bytes each. After that neither the file nor
// its bytes are needed, so that a file which is overwritten in place cannot disturb
// a lookup. GeoLite2-City, 66 MB with 5.8 million networks, takes some 2 s and
// 220 MB to compile and 11 MB to keep.
package geo
