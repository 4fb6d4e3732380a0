// Package quick answers requests that arrive with their connection, and hands all
// others on to net/http.
//
// Most of what a redirect costs a net/http server is not the redirect: a goroutine
// for the connection, its buffers, a watch over the client while the handler runs,
// timers, and the scheduler's work between all these. A plain GET without a body
// that lies complete in the socket when its connection is accepted needs none of
// them. A loop for each processor accepts a connection, reads, has the handler
// answer into memory, writes, and closes.
//
// The handler is an ordinary [http.Handler]. Whatever is not plain (another method,
// a body, an encoded path, a header with a meaning for the connection, a line that
// ends unusually, a client that is slow) is handed on to net/http as it was read.
// net/http would answer the same requests the same way, except for the order of the
// headers; tests and a fuzz target compare the two.
package quick
