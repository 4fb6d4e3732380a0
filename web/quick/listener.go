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

// Server answers what it can on the connections of its listeners. Its fields must be
// set before the first call of Listen. It is safe for concurrent use.
type Server struct {
	// Handler must not wait for anything. A request that would make it wait is handed
	// on to net/http; see [Passer].
	Handler http.Handler
	// Context is the context of all requests; nil: [context.Background]. It does not end
	// when a client leaves.
	Context context.Context
	// IdleTimeout bounds the wait for the next request on a connection that stays open,
	// and the wait for a client that does not read its answer.
	IdleTimeout time.Duration
	// Waits, if set, is called when a connection begins to wait for its next request, and
	// when it no longer does. The connection may be closed meanwhile.
	Waits    func(c net.Conn, waits bool)
	ErrorLog *log.Logger // nil: the standard one

	ending  atomic.Bool
	leaving atomic.Bool
	busy    sync.WaitGroup // loops, and connections that have a goroutine

	mu    sync.Mutex
	stays map[net.Conn]struct{} // connections that have a goroutine
}

// An Immediate connection can be read and written without waiting. ReadNow returns 0
// and no error if nothing has arrived. WriteNow writes less than all if no more fits; the
// last write before Close may be held back until Close. A connection that wraps another
// one has a method NetConn that returns it.
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

// Listen accepts the connections of l and answers what it can. It returns a listener for
// net/http, which accepts the connections that are handed on. Closing it closes l.
func (s *Server) Listen(l net.Listener) *Listener {
	p := &Listener{Listener: l, s: s, left: make(chan arrival), over: make(chan struct{}), quiet: make(chan struct{})}
	var loops sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		loops.Add(1)
		s.busy.Go(func() {
			defer loops.Done()
			p.loop()
		})
	}
	go func() {
		loops.Wait()
		close(p.quiet)
	}()
	return p
}

// Leave makes each answer the last one on its connection. Connections that wait for a
// request go on waiting for it.
func (s *Server) Leave() { s.leaving.Store(true) }

// Shutdown ends connections that wait for a request at once, and the others with their
// next answer. It waits for these until ctx is done. The caller closes the listeners first.
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

// Close closes the connections that still have a goroutine.
func (s *Server) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.stays {
		_ = c.Close()
	}
}

// A Listener is what net/http gets. It accepts the connections that are handed on, also
// those that are so after the socket below it was closed.
type Listener struct {
	net.Listener
	s     *Server
	left  chan arrival
	once  sync.Once
	over  chan struct{} // closed by Close
	quiet chan struct{} // closed when the loops have ended
}

type arrival struct {
	conn net.Conn
	err  error
}

// Quiet returns a channel that is closed after the socket below was: when every connection
// that was accepted has had its first answer or was handed on.
func (p *Listener) Quiet() <-chan struct{} { return p.quiet }

// Accept implements [net.Listener].
func (p *Listener) Accept() (net.Conn, error) {
	select {
	case a := <-p.left:
		return a.conn, a.err
	case <-p.over:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener]. Connections that would be handed on later are closed.
func (p *Listener) Close() error {
	p.once.Do(func() { close(p.over) })
	select {
	case <-p.quiet:
		return nil // l was closed before
	default:
		return p.Listener.Close()
	}
}

// leave hands net/http a connection or an error of Accept. net/http knows which errors
// are temporary, and backs off.
func (p *Listener) leave(a arrival) {
	select {
	case p.left <- a:
	case <-p.over:
		if a.conn != nil {
			_ = a.conn.Close()
		}
	}
}

// loop answers one connection after another until the listener is closed.
func (p *Listener) loop() {
	x := newSession(p)
	for {
		c, err := p.Listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			p.leave(arrival{err: err})
			continue
		}
		if i := immediate(c); i == nil {
			p.leave(arrival{conn: c})
		} else if x.begin(c, i); !x.serve() {
			// The connection keeps this session's memory, and a goroutine, until it ends.
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
