// Package acme gets and renews the certificates of the directors' names from a
// certificate authority that speaks ACME (RFC 8555), such as Let's Encrypt.
//
// All directors of a fleet share one account and one certificate for each name, in
// [store.Files]. One of them at a time orders a certificate, by a lease that runs out
// when it dies, and any of them answers the authority's challenge, whichever it reaches.
// A director without the store goes on with what it has. An expired certificate is
// served rather than none.
//
// The protocol is certmagic's work. This package gives it the shared storage, encrypted,
// and decides who may try when: a fleet that fails must not run into the authority's
// limits because each of its directors tries by itself.
package acme
