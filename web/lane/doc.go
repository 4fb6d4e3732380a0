// Package lane answers plain requests in a few threads of its own, and hands all others on
// to net/http.
//
// Most of what a redirect costs a net/http server is not the redirect itself but a
// goroutine for the connection, its buffers, a watch on the client while the handler
// runs, timers, the runtime's poller, and the scheduler's work between all these. A plain
// GET without a body needs none of them. Each thread of the lane has an epoll set of its
// own with the listening socket, which all share, and with the connections that it has
// accepted. It takes what has arrived in steps: it accepts until nobody is left, reads
// from all, answers all into one buffer, sends to all, and closes. A redirect takes five
// system calls and one packet: accept4, recvfrom, sendto, shutdown and close.
//
// The handler is an ordinary [http.Handler] that must not wait. Any other request
// (another method, a body, an encoded path, a header that affects the connection, an
// unusual line end) leaves the lane, once and with what was read of it, or as it was
// mended (see mend); its connection is net/http's from then on. net/http would answer the
// plain requests the same way, except for the order of the headers; tests and a fuzz
// target compare the two. Connections that say nothing, or that say it slowly, wait in the
// lane, where each costs a few hundred bytes.
//
// It is for Linux. On other systems, all connections are net/http's.
package lane
