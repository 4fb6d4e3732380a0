// Package dns answers DNS from the same decision as package web answers HTTP: it is an
// authoritative server for one zone of its own, in which a name stands for a mount (or
// for the whole fleet), another for the directors that live, and fixed records for
// whatever else has to stand there.
//
//	query -> rate limit -> name -> client subnet or resolver -> place -> Decide -> addresses
//
// Nothing on this way waits for anything outside the process, and an answer over UDP
// allocates nothing. Addresses of nodes that are known by a name are looked up in the
// background.
//
// One resolver stands for many listeners. If it says for which network it asks (EDNS
// Client Subnet, RFC 7871), that network keeps its node, as a listener does by HTTP; if
// it does not, every answer is drawn anew, so that shares hold over answers. Resolvers
// reorder and keep what they are given: any address of an answer may be taken by all of
// their listeners, and so every place in it holds the shares (director.Decision.Spread).
//
// What the server does not do: no recursion, no zone transfers, no dynamic updates, no
// signatures (DNSSEC), no wildcards.
package dns
