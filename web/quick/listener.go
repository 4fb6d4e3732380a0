package quick

import (
	"context"
	"errors"
	"log"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Server answers what it can on the connections of its listeners. Its fields are
// set before the first of them. Safe for concurrent use.
type Server struct {
	// Handler must not wait for anything. If it would have to, it hands the request on
	// to net/http; see [Passer].
	Handler http.Handler
	// Context is the requests'; nil: [context.Background]. A client that leaves does
	// not end it.
	Context context.Context
	// IdleTimeout bounds the wait for the next request on a connection that stays,
	// and for a client who does not take the answer.
	IdleTimeout time.Duration
	ErrorLog    *log.Logger // nil: the standard one

	ending atomic.Bool
	busy   sync.WaitGroup // of loops, and of connections that have a goroutine

	mu    sync.Mutex
	stays map[net.Conn]struct{} // connections that have a goroutine
}

// An Immediate connection can be read and written without waiting. ReadNow returns 0
// and no error if nothing is there, and WriteNow less than all if no more fits; what
// is the last before Close may be kept back until then. A connection that wraps
// another one has a method NetConn that returns it.
type Immediate interface {
	ReadNow(b []byte) (int, error)
	WriteNow(b []byte, last bool) (int, error)
}

func immediate(c net.Conn) Immediate {
	for c != nil {
		if i, ok := c.(Immediate); ok {
			return i
		}
		w, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		c = w.NetConn()
	}
	return nil
}

// Listen accepts the connections of l, answers what it can, and returns a listener
// of those that are left, for net/http. Closing it closes l.
func (s *Server) Listen(l net.Listener) net.Listener {
	p := &passage{Listener: l, s: s, left: make(chan arrival), closed: make(chan struct{})}
	for range runtime.GOMAXPROCS(0) {
		s.busy.Go(p.loop)
	}
	return p
}

// Shutdown ends connections that wait for a request, and the others with their
// next answer, and waits for these until ctx is done. Listeners are closed before.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.ending.Store(true)
	for c := range s.stays {
		_ = c.SetReadDeadline(time.Unix(1, 0))
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		s.busy.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close cuts connections that still have a goroutine.
func (s *Server) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.stays {
		_ = c.Close()
	}
}

// passage is the listener that net/http gets: its connections are those that are left.
type passage struct {
	net.Listener
	s      *Server
	left   chan arrival
	once   sync.Once
	closed chan struct{}
}

type arrival struct {
	conn net.Conn
	err  error
}

// Accept implements [net.Listener].
func (p *passage) Accept() (net.Conn, error) {
	select {
	case a := <-p.left:
		return a.conn, a.err
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener].
func (p *passage) Close() error {
	p.once.Do(func() { close(p.closed) })
	return p.Listener.Close()
}

// leave gives net/http a connection, or an error of Accept: net/http knows which
// errors are temporary, and waits.
func (p *passage) leave(a arrival) {
	select {
	case p.left <- a:
	case <-p.closed:
		if a.conn != nil {
			_ = a.conn.Close()
		}
	}
}

// loop answers one connection after the other, until the listener is closed.
func (p *passage) loop() {
	x := newSession(p)
	for {
		c, err := p.Listener.Accept()
		if err != nil {
			p.leave(arrival{err: err})
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		if i := immediate(c); i == nil {
			p.leave(arrival{conn: c})
		} else if x.begin(c, i); !x.serve() {
			// It keeps its memory, and a goroutine until it ends.
			stays := x
			p.s.busy.Go(stays.stay)
			x = newSession(p)
		}
	}
}

func (s *Server) enter(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stays == nil {
		s.stays = map[net.Conn]struct{}{}
	}
	s.stays[c] = struct{}{}
}

func (s *Server) exit(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.stays, c)
}
