// Package probetest runs real streaming servers for tests: Debian's icecast2, fed
// by ffmpeg, on loopback addresses and free ports. Whatever it starts ends with
// the test. It needs a Unix system.
package probetest
