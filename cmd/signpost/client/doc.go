// Package client is the operators' command line: commands that ask a running
// director, and change what it does, through the API of its operators' side.
// Whatever they print was answered by a director; nothing is reckoned here.
package client
