// Package importer reads what a station has today, icecast.xml files, running servers, an
// AzuraCast, lists of URLs, and writes a configuration of Signpost for it.
//
// Each source is read into [Server]s, which [Combine] makes a [Fleet] of; [Fleet.YAML]
// writes it. What was left out, and why, is a [Note].
package importer
