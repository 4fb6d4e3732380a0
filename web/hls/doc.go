// Package hls reads the playlists of HLS and the MPDs of DASH as a node serves them, and
// writes those that players need in order to be moved between nodes while they play: one
// playlist or MPD with every node as a pathway, and the answers of a content steering
// server. It is pure: it opens nothing and has no clock.
//
// A section such as 4.4.6.2 is one of draft-pantos-hls-rfc8216bis (HTTP Live Streaming
// 2nd Edition), from version 13 on. DASH is ISO/IEC 23009-1, and its content steering ETSI
// TS 103 998.
//
// What comes from a node is read tolerantly. What is not known is passed on to players as
// it is (section 6.3.1: they ignore it). What would harm them is refused, with an error
// that names the line and the reason.
package hls
