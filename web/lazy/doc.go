// Package lazy is a TCP listener for servers that answer once and hang up.
//
// A connection of the standard library joins the runtime's poller when it is
// accepted and leaves it when it is closed, and has its options set and its
// addresses asked for in between: a dozen system calls, for one request that has
// arrived already and one answer that fits into the socket's buffer. A connection
// of this package reads and writes at once, and becomes an ordinary *net.TCPConn
// only when it must wait. For a redirect that leaves accept4, recvfrom, sendto, and the
// end, shutdown and close, which goes out in one packet with the answer.
//
// On systems other than Linux, Listen is the standard library's.
package lazy
