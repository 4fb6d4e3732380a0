// Package geo says where an address is: it turns a [netip.Addr] into a
// [director.Place] by databases in the MaxMind DB format.
//
// # Databases
//
// It reads the nested layout of GeoLite2 and GeoIP2 (City, Country, ASN,
// Enterprise, ISP and what is compatible with them) and the flat layout of
// ip-location-db (country_code; city, latitude, longitude;
// autonomous_system_number), for IPv4, IPv6 or both. With no database given, an
// embedded one of countries is used, see [Embedded].
//
// Several databases complement each other. Country, subdivision and coordinates
// belong together and come from the first database in the list that knows any
// of them; the ASN comes from the first that knows one. So the more exact
// database stands first, and an ASN database anywhere.
//
// # What a Place holds
//
//   - Coordinates are rounded to a tenth of a degree (at most 8 km off), which is
//     finer than such databases are and keeps the index small.
//   - A record that names neither city, subdivision nor postal code and claims no
//     accuracy of 100 km or better stands for its country: its coordinates count
//     as [director.CountryCentre]. Without coordinates it gets our [Centroid].
//   - The continent follows from the country where the database has none.
//   - Where MaxMind has only a registered_country, the country is unknown: that is
//     where the network's owner is registered (Australia for 1.1.1.1), not where
//     its users are.
//   - Coordinates of 0,0, ASN 0 and codes that are no country's (ZZ, EU, A1) are unknown.
//
// If no database knows country, continent or coordinates of an address, these
// are taken from Config.Private for addresses that cannot be on the public
// Internet and from Config.Unknown for others. An ASN that a database knows is
// kept even then.
//
// IPv4 addresses inside IPv6 ones (mapped, 6to4, Teredo) are looked up as what
// they are; of a Teredo address that is the client's, not the server's.
//
// # Speed and memory
//
// A database is compiled when it is loaded: networks become a sorted list of
// ranges with the number of a place, and equal neighbours become one. After that
// neither the file nor its bytes are needed, so that a file which is overwritten
// in place cannot disturb a lookup. GeoLite2-City, 60 MB with 5.8 million networks,
// takes some 2 s and 220 MB to compile and 28 MB to keep.
package geo
