package web

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/pires/go-proxyproto"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/hls/session"
	"github.com/signpost-fm/signpost/web/lane"
	"github.com/signpost-fm/signpost/web/visits"
)

// Server answers listeners: it is a director's public side. It is safe for concurrent use.
type Server struct {
	cfg     Config
	policy  atomic.Pointer[policy]
	hits    ruleHits   // of the policy in force
	setting sync.Mutex // one policy at a time; guards hits
	keys    *keyer
	stats   *stats
	start   time.Time
	past    *past     // nil: nothing is remembered
	pool    sync.Pool // of *exchange
	fleet   atomic.Pointer[fleetPage]
	dnas    atomic.Pointer[dnasPage]
	page    atomic.Pointer[cachedPage]

	visits   *visits.Table[visits.Visit] // by Key
	sessions *session.Table              // of players that can be moved
	moves    session.Moves
	mark     uint32 // of this director, in their tokens
	// counting guards what was last counted of them, and when.
	counting  sync.Mutex
	counted   map[director.NodeID]map[string]int
	countedAt time.Time
	relays    relays
	// challenges is how many requests for challenges are being answered.
	challenges atomic.Int32
	addresses  *visits.Table[visits.Rate]

	echo      *echo.Echo
	http      *http.Server
	lane      *lane.Server // in front of http, for requests that need no waiting
	connLimit int64
	idle      idlers

	base     context.Context // the parent of all requests' contexts
	cut      context.CancelFunc
	inline   sync.Mutex // orders draining and the start of inline streams
	draining atomic.Bool
	leaving  atomic.Bool
	carrying sync.WaitGroup
}

const (
	// rememberedKeys bounds the table of visits: at 4,000 new listeners a second, each is
	// remembered for the 15 seconds that matter. The table takes about 9 MB.
	rememberedKeys = 1 << 16
	// rememberedAddresses bounds the table of addresses, 0.5 MB.
	rememberedAddresses = 1 << 15

	defaultMaxConnections = 20_000

	maxHeaderBytes    = 16 << 10
	readHeaderTimeout = 5 * time.Second
	idleTimeout       = 60 * time.Second
)

// New returns a server. The error joins the mistakes in the policy, one
// [director.ConfigError] each.
func New(c Config) (*Server, error) {
	if c.View == nil || c.Locate == nil {
		return nil, errors.New("web: Config.View and Config.Locate are needed")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.MaxConnections == 0 {
		c.MaxConnections = defaultMaxConnections
	}
	s := &Server{
		cfg: c, keys: newKeyer(c.HashSecret), stats: newStats(), start: c.Now(), past: newPast(c.Past, c.Now()), connLimit: int64(c.MaxConnections),
		sessions: new(session.Table), mark: rand.Uint32() & 0xffffff,
		visits: visits.NewTable[visits.Visit](rememberedKeys), addresses: visits.NewTable[visits.Rate](rememberedAddresses),
	}
	s.pool.New = func() any { return newExchange() }
	if err := s.SetPolicy(c.Policy); err != nil {
		return nil, err
	}
	s.stats.sessions, s.stats.uncounted = s.Sessions, s.sessions.Excess
	s.base, s.cut = context.WithCancel(context.Background())
	s.echo = s.routes()
	s.idle.least = minIdle
	s.http = &http.Server{
		Handler:        http.HandlerFunc(s.answer),
		MaxHeaderBytes: maxHeaderBytes, ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout,
		// No WriteTimeout: it would cut streams that are carried inline.
		BaseContext: func(net.Listener) context.Context { return s.base },
		ConnContext: connContext, ConnState: s.idle.state,
		ErrorLog: log.New(serverLog{c.Log}, "", 0),
	}
	s.lane = &lane.Server{
		Handler: s.echo, Context: s.base, HeadTimeout: readHeaderTimeout, IdleTimeout: idleTimeout,
		Admit: s.letIn, Released: s.letOut, ErrorLog: s.http.ErrorLog,
	}
	return s, nil
}

func (s *Server) routes() *echo.Echo {
	e := echo.New()
	stream, options, status := s.stream, s.options, s.fleetStatus
	anything := func(c echo.Context) error { return s.run(c, stream) }
	e.GET("/*", anything)
	e.HEAD("/*", anything)
	e.OPTIONS("/*", func(c echo.Context) error { return s.run(c, options) })
	for path, h := range map[string]echo.HandlerFunc{
		"/healthz": s.healthz, "/readyz": s.readyz,
		statusPath: func(c echo.Context) error { return s.run(c, status) },
	} {
		e.GET(path, h)
		e.HEAD(path, h)
	}
	if s.cfg.Challenge != nil {
		e.GET("/.well-known/acme-challenge/*", s.challenge)
	}
	e.HTTPErrorHandler = func(err error, c echo.Context) {
		_ = s.run(c, func(*exchange) error { return err }) // run answers the error
	}
	return e
}

// CheckPolicy returns the mistakes for which [Server.SetPolicy] would refuse a policy, so that
// a whole configuration can be refused before any part of it is applied.
func CheckPolicy(p Policy) error {
	_, err := compilePolicy(p)
	return err
}

// SetPolicy puts a policy in force for further requests. A policy with mistakes is refused
// as a whole, and the old one stays.
func (s *Server) SetPolicy(p Policy) error {
	c, err := compilePolicy(p)
	if err != nil {
		return fmt.Errorf("web: %w", err)
	}
	s.setting.Lock()
	defer s.setting.Unlock()
	s.hits = keepCounting(s.hits, c.rules.rules)
	s.policy.Store(c)
	return nil
}

// Handler returns the public side as a handler.
func (s *Server) Handler() http.Handler { return s.echo }

// Collector returns the metrics of the public side.
func (s *Server) Collector() prometheus.Collector { return s.stats }

// since is the time since an hour before the server began. It is never 0, which means
// "never".
func (s *Server) since(now time.Time) time.Duration { return now.Sub(s.start) + time.Hour }

// answer is what net/http calls; package lane calls echo itself.
func (s *Server) answer(w http.ResponseWriter, r *http.Request) {
	if s.leaving.Load() {
		w.Header()["Connection"] = closeConnection
	}
	s.echo.ServeHTTP(w, r)
}

// Serve answers the connections of l until l is closed or [Server.Shutdown] is called, and
// then returns nil. What was accepted before is answered all the same. It may be called
// for several listening sockets.
func (s *Server) Serve(l net.Listener) error {
	switch plain := l.(type) { // neither case is TLS
	case *limitedListener: // no PROXY header before the requests
		front, err := s.lane.Listen(plain.Listener)
		if err != nil {
			return s.failed(l, err)
		}
		if front == nil {
			l = patientListener{plain, true}
			break
		}
		plain.answers(front)
		served := make(chan error, 1)
		go func() { served <- s.serve(patientListener{departures{front, s}, false}) }()
		select {
		case <-front.Quiet(): // net/http goes on with what is handed on by connections that stay open
			return nil
		case err := <-served:
			return err
		}
	case *proxyproto.Listener:
		l = patientListener{plain, true}
	}
	return s.serve(l)
}

func (s *Server) serve(l net.Listener) error { return s.failed(l, s.http.Serve(l)) }

// failed is why serving failed; nil: it was ended.
func (s *Server) failed(l net.Listener, err error) error {
	if !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("web: serve %s: %w", l.Addr(), err)
	}
	return nil
}

// Leave makes each answer the last one on its connection, for a server whose sockets were
// closed or given to another process. All else goes on.
func (s *Server) Leave() {
	s.leaving.Store(true)
	s.lane.Leave()
}

// Connections is how many connections are open.
func (s *Server) Connections() int { return int(s.stats.open.Load()) }

// Drain makes /readyz answer 503 and begins no new inline streams; all else goes on. It gives
// a load balancer time to notice before [Server.Shutdown].
func (s *Server) Drain() {
	s.inline.Lock()
	defer s.inline.Unlock()
	s.draining.Store(true)
}

// beginCarrying says whether a new inline stream may begin. If so, the caller must call
// s.carrying.Done when the stream has ended.
func (s *Server) beginCarrying() bool {
	s.inline.Lock()
	defer s.inline.Unlock()
	if s.draining.Load() {
		return false
	}
	s.carrying.Add(1)
	return true
}

// Shutdown drains, closes the listening sockets, and lets requests and inline streams finish
// until ctx is done. Then it cuts them and returns ctx's error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.Drain()
	defer s.cut()
	err := s.http.Shutdown(ctx)
	if err == nil {
		err = s.lane.Shutdown(ctx)
	}
	if err == nil {
		// net/http does not wait for hijacked connections.
		err = wait(ctx, &s.carrying)
	}
	if err != nil {
		s.cut()
		s.http.Close()
		s.lane.Close()
	}
	return err
}

func wait(ctx context.Context, wg *sync.WaitGroup) error {
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// serverLog logs net/http's errors, except TLS handshake errors, with which any scanner on
// the internet could fill the log.
type serverLog struct{ log *slog.Logger }

func (l serverLog) Write(b []byte) (int, error) {
	msg := strings.TrimSpace(string(b))
	if !strings.HasPrefix(msg, "http: TLS handshake error") {
		l.log.Warn("http server", "message", msg)
	}
	return len(b), nil
}
