package lane

import (
	"context"
	"log"
	"net"
	"net/http"
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
	// HeadTimeout bounds the time from a connection's beginning, or from a later request's
	// first byte, to the end of the request's headers.
	HeadTimeout time.Duration
	// IdleTimeout bounds the wait for the next request on a connection that stays open,
	// and the wait for a client that does not read its answer.
	IdleTimeout time.Duration
	// Admit, if set, is asked whether a connection that was accepted may stay. Released is
	// called when one that was admitted has ended in the lane. One that is handed on is
	// net/http's, and Released is not called for it.
	Admit    func() bool
	Released func()
	ErrorLog *log.Logger // nil: the standard one

	ending  atomic.Bool // connections that wait for a next request end
	leaving atomic.Bool // each answer is the last one on its connection
	cut     atomic.Bool // all connections end
	busy    sync.WaitGroup

	mu        sync.Mutex
	listeners map[*Listener]struct{} // those whose threads run
}

// Listen begins to accept the connections of l and to answer what can be answered. It
// returns a listener for net/http, of the connections that are handed on. If l is not a
// TCP socket, this system is not Linux, or Shutdown came before, it returns nil and does nothing.
func (s *Server) Listen(l net.Listener) (*Listener, error) {
	s.mu.Lock()
	if s.ending.Load() {
		s.mu.Unlock()
		return nil, nil
	}
	s.busy.Add(1) // before Shutdown waits
	s.mu.Unlock()
	defer s.busy.Done()
	p := &Listener{Listener: l, s: s, more: make(chan struct{}, 1), over: make(chan struct{}), quiet: make(chan struct{})}
	if err := p.start(); err != nil || p.threads == nil {
		return nil, err
	}
	return p, nil
}

// Leave makes each answer the last one on its connection. Connections that wait for a
// request go on waiting for it.
func (s *Server) Leave() { s.leaving.Store(true) }

// Shutdown ends connections that wait for another request at once, and the others with their
// next answer. It waits for these until ctx is done. The caller closes the listeners first.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.ending.Store(true)
	s.mu.Unlock()
	s.wake()
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

// Close ends all connections that are in the lane.
func (s *Server) Close() {
	s.cut.Store(true)
	s.wake()
}

func (s *Server) wake() { s.each((*thread).wake) }

// Longest is since when the connection waits that has waited longest for a request, or for
// the rest of one; zero: none waits.
func (s *Server) Longest() time.Time {
	at, _ := s.longest()
	return at
}

// Shed ends the connection that has waited longest. It returns false if none waits.
func (s *Server) Shed() bool {
	_, t := s.longest()
	return t != nil && t.shed()
}

func (s *Server) longest() (at time.Time, of *thread) {
	s.each(func(t *thread) {
		if since := t.longest(); !since.IsZero() && (of == nil || since.Before(at)) {
			at, of = since, t
		}
	})
	return at, of
}

// each calls f for all threads.
func (s *Server) each(f func(*thread)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.listeners {
		for _, t := range p.threads {
			f(t)
		}
	}
}

func (s *Server) released() {
	if s.Released != nil {
		s.Released()
	}
}

func (s *Server) logf(format string, args ...any) {
	if s.ErrorLog != nil {
		s.ErrorLog.Printf(format, args...)
		return
	}
	log.Printf(format, args...)
}

// A Listener accepts the connections that leave the lane, also those that do so after the
// socket below it was closed.
type Listener struct {
	net.Listener
	s       *Server
	threads []*thread
	fd      int           // a duplicate of the socket, which all threads share
	stopped atomic.Bool   // nobody is accepted any more
	over    chan struct{} // closed by Close
	quiet   chan struct{}
	once    sync.Once

	mu   sync.Mutex
	left []departure
	more chan struct{} // there is something in left
}

// noMore stands behind the connections that had sent a request before the socket was closed.
const noMore = -1

// A departure is a connection that leaves the lane, or noMore.
type departure struct {
	fd   int
	read []byte // what was read of its next request
	note any
}

// Quiet returns a channel that is closed after the socket below was, when every connection
// that had sent a request was answered or is net/http's.
func (p *Listener) Quiet() <-chan struct{} { return p.quiet }

// Accept implements [net.Listener].
func (p *Listener) Accept() (net.Conn, error) {
	for {
		if d, ok := p.next(); !ok {
			select {
			case <-p.more:
			case <-p.over:
				return nil, net.ErrClosed
			}
		} else if d.fd != noMore {
			if c := p.adopt(d); c != nil {
				return c, nil
			}
		}
	}
}

func (p *Listener) next() (d departure, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.left) == 0 {
		return d, false
	}
	d, p.left = p.left[0], p.left[1:]
	if d.fd == noMore {
		close(p.quiet)
	}
	return d, true
}

// leave hands a connection on to net/http, without waiting for it.
func (p *Listener) leave(d departure) {
	p.mu.Lock()
	p.left = append(p.left, d)
	p.mu.Unlock()
	select {
	case p.more <- struct{}{}:
	default:
	}
	select {
	case <-p.over:
		p.drop()
	default:
	}
}

// drop closes the connections that net/http will not accept any more.
func (p *Listener) drop() {
	for d, ok := p.next(); ok; d, ok = p.next() {
		if d.fd != noMore {
			d.close()
			p.s.released()
		}
	}
}

// Stop closes the socket below, after all who have sent a request are accepted. All else goes
// on.
func (p *Listener) Stop() error {
	if p.stopped.Swap(true) {
		return nil
	}
	defer p.s.wake()
	return p.Listener.Close()
}

// Close implements [net.Listener]. Connections that would be handed on later are closed.
func (p *Listener) Close() error {
	err := p.Stop()
	p.once.Do(func() { close(p.over) })
	p.drop()
	return err
}
