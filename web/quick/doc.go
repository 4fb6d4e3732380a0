// Package quick answers requests that arrive together with their connection, and hands
// all others on to net/http.
//
// Most of what a redirect costs a net/http server is not the redirect itself but a
// goroutine for the connection, its buffers, a watch on the client while the handler
// runs, timers, and the scheduler's work between all these. A plain GET without a body
// needs none of them if it is complete in the socket when its connection is accepted.
// One loop for each processor accepts a connection, reads, lets the handler answer into
// memory, writes, and closes.
//
// The handler is an ordinary [http.Handler]. Any other request (another method, a body,
// an encoded path, a header that affects the connection, an unusual line end, a slow
// client) is handed on to net/http as it was read, or as it was mended (see mend).
// net/http would answer the plain requests the same way, except for the order of the
// headers; tests and a fuzz target compare the two.
package quick
