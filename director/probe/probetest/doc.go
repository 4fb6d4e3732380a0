// Package probetest runs real servers for tests, on loopback addresses and free ports:
// Debian's icecast2, fed by ffmpeg, and also nginx and Liquidsoap. Whatever it starts
// ends with the test. The servers need a Unix system.
package probetest
