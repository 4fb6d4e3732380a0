// Package admin is the operators' side: metrics, explanations of decisions, and
// the nodes, where agents register theirs. It listens apart from the public side,
// and asks for a token where one is set.
package admin

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/signpost-fm/signpost/store"
)

// Config is what the operators' side shows.
type Config struct {
	// Tokens returns those of which one is asked for, as "Authorization: Bearer
	// <token>", everywhere but at /healthz. None: nobody is asked, so listen on
	// loopback only. Nil: none.
	Tokens func() []Token
	// Syncer is where nodes register, and what knows all nodes. Nil: there is
	// nothing about nodes here.
	Syncer *store.Syncer
	// Collectors are shown at /metrics, besides Go's and the process's own.
	Collectors []prometheus.Collector
	// Explain answers /api/v1/explain with something that becomes JSON.
	Explain func(Question) any
	// Streams answers /api/v1/streams in the same way; nil: nothing is carried inline.
	Streams func() any
	Now     func() time.Time // this machine's clock; nil: time.Now
	Log     *slog.Logger     // for faults; nil: slog.Default
}

type server struct{ cfg Config }

// Question is a request that is only thought of.
type Question struct {
	Addr      netip.Addr
	Path      string // "/live.mp3"
	UserAgent string
	TLS       bool
}

// New returns the operators' side. It fails if two collectors have the same metric.
func New(c Config) (http.Handler, error) {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Tokens == nil {
		c.Tokens = func() []Token { return nil }
	}
	s := &server{c}
	reg := prometheus.NewRegistry()
	own := []prometheus.Collector{
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	}
	if c.Syncer != nil {
		own = append(own, reserveMetrics{c.Syncer.View})
	}
	for _, col := range append(own, c.Collectors...) {
		if err := reg.Register(col); err != nil {
			return nil, fmt.Errorf("admin: register metrics: %w", err)
		}
	}
	e := echo.New()
	e.HTTPErrorHandler = func(err error, ctx echo.Context) { refuse(c.Log, err, ctx) }
	e.GET("/healthz", func(ctx echo.Context) error { return ctx.String(http.StatusOK, "ok\n") })
	view, agent := s.allow(RoleView), s.allow(RoleAgent)
	e.GET("/metrics", echo.WrapHandler(promhttp.HandlerFor(reg, promhttp.HandlerOpts{})), view)
	e.GET("/api/v1/explain", s.explain, view)
	if c.Streams != nil {
		e.GET("/api/v1/streams", func(ctx echo.Context) error { return ctx.JSONPretty(http.StatusOK, c.Streams(), "  ") }, view)
	}
	if c.Syncer != nil {
		e.GET("/api/v1/nodes", s.nodes, view)
		e.GET("/api/v1/reserve", s.reserve, view)
		e.PUT("/api/v1/nodes/:id", s.announce, agent)
		e.POST("/api/v1/nodes/:id/drain", s.drain, agent)
		e.DELETE("/api/v1/nodes/:id", s.deregister, agent)
	}
	return e, nil
}

func (s *server) explain(ctx echo.Context) error {
	q, err := question(ctx)
	if err != nil {
		return problem(http.StatusBadRequest, err.Error())
	}
	return ctx.JSONPretty(http.StatusOK, s.cfg.Explain(q), "  ")
}

func question(ctx echo.Context) (q Question, err error) {
	q = Question{Path: ctx.QueryParam("mount"), UserAgent: ctx.QueryParam("ua")}
	if q.Addr, err = netip.ParseAddr(ctx.QueryParam("addr")); err != nil {
		return q, errors.New("addr: give the listener's IP address, as in ?addr=203.0.113.7&mount=/live.mp3")
	}
	if !strings.HasPrefix(q.Path, "/") {
		return q, errors.New("mount: give the path that the listener asks for, with its slash: ?mount=/live.mp3")
	}
	if s := ctx.QueryParam("tls"); s != "" {
		if q.TLS, err = strconv.ParseBool(s); err != nil {
			return q, errors.New("tls: say true or false")
		}
	}
	return q, nil
}
