// Package lazy is a TCP listener for servers that answer one request and close.
//
// A connection of the standard library joins the runtime's poller when it is accepted
// and leaves it when it is closed. In between, its options are set and its addresses
// are looked up. That is a dozen system calls, for one request that has already arrived
// and one answer that fits into the socket's buffer. A connection of this package reads
// and writes at once, and becomes an ordinary *net.TCPConn only when it must wait. A
// redirect then takes five calls: accept4, recvfrom, sendto, shutdown and close. The
// FIN goes out in one packet with the answer.
//
// On systems other than Linux, Listen uses the standard library's listener.
package lazy
