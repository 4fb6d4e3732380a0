// Package lastcall ends an [http.Server] without losing a request.
//
// [http.Server.Shutdown] closes a connection that was accepted before it, and whose request
// it reads after, without an answer (net/http's conn.serve looks whether the server shuts
// down when it has read a request; seen with Go 1.26.8). A server that begins with no
// connection left has none to lose.
package lastcall

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// Server counts the connections of an [http.Server]. It is safe for concurrent use.
type Server struct {
	server *http.Server
	open   atomic.Int64
}

// For takes over s.ConnState, which must be done before s serves.
func For(s *http.Server) *Server {
	l := &Server{server: s}
	s.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			l.open.Add(1)
		case http.StateClosed, http.StateHijacked:
			l.open.Add(-1)
		}
	}
	return l
}

// look is how often it is looked whether connections are left.
const look = 5 * time.Millisecond

// Shutdown is [http.Server.Shutdown] for a server whose listeners are closed already: it
// first answers who has connected, at most until ctx is done. Connections that wait for a further
// request are closed at once, and those that send none within ReadHeaderTimeout.
func (l *Server) Shutdown(ctx context.Context) error {
	l.server.SetKeepAlivesEnabled(false)
	tick := time.NewTicker(look)
	defer tick.Stop()
	for l.open.Load() > 0 && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	return l.server.Shutdown(ctx)
}
