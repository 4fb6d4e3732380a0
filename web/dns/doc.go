// Package dns answers DNS from the same decision by which package web answers HTTP. It is
// an authoritative server for one zone of its own. A name in the zone stands for a mount,
// for the whole fleet, or for the live directors; fixed records hold everything else.
//
//	query -> rate limit -> name -> client subnet or resolver -> place -> Decide -> addresses
//
// No step waits for anything outside the process, and an answer over UDP allocates
// nothing. The addresses of nodes that are known by a name are looked up in the
// background.
//
// One resolver stands for many listeners. If it says for which network it asks (EDNS
// Client Subnet, RFC 7871), that network keeps its node, as a listener does by HTTP. If
// it does not, every answer is drawn anew, so that shares hold over many answers.
// Resolvers reorder and cache answers, so that all of a resolver's listeners may take any
// address of an answer. Therefore the shares hold at every position of an answer
// (director.Decision.Spread).
//
// The server does no recursion, zone transfers, dynamic updates, signatures (DNSSEC) or
// wildcards.
package dns
