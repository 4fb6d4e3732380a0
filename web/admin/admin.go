// Package admin is the operators' side: metrics, and explanations of decisions.
// It listens apart from the public side, and asks for a token where one is set.
package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Config is what the operators' side shows.
type Config struct {
	// Token is asked for as "Authorization: Bearer <token>" everywhere but at
	// /healthz. Empty: nobody is asked, so listen on loopback only.
	Token string
	// Collectors are shown at /metrics, besides Go's and the process's own.
	Collectors []prometheus.Collector
	// Explain answers /api/v1/explain with something that becomes JSON.
	Explain func(Question) any
	// Streams answers /api/v1/streams in the same way; nil: nothing is carried inline.
	Streams func() any
	Log     *slog.Logger // for faults; nil: slog.Default
}

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
	reg := prometheus.NewRegistry()
	own := []prometheus.Collector{
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	}
	for _, col := range append(own, c.Collectors...) {
		if err := reg.Register(col); err != nil {
			return nil, fmt.Errorf("admin: register metrics: %w", err)
		}
	}
	e := echo.New()
	e.HTTPErrorHandler = func(err error, ctx echo.Context) { refuse(c.Log, err, ctx) }
	e.GET("/healthz", func(ctx echo.Context) error { return ctx.String(http.StatusOK, "ok\n") })
	guarded := e.Group("", guard(c.Token))
	guarded.GET("/metrics", echo.WrapHandler(promhttp.HandlerFor(reg, promhttp.HandlerOpts{})))
	guarded.GET("/api/v1/explain", func(ctx echo.Context) error {
		q, err := question(ctx)
		if err != nil {
			return echo.NewHTTPError(http.StatusBadRequest, err.Error())
		}
		return ctx.JSONPretty(http.StatusOK, c.Explain(q), "  ")
	})
	if c.Streams != nil {
		guarded.GET("/api/v1/streams", func(ctx echo.Context) error {
			return ctx.JSONPretty(http.StatusOK, c.Streams(), "  ")
		})
	}
	return e, nil
}

// guard lets through who has the token. It compares hashes, which have one
// length, in constant time, so that nothing of the token shows in how long it takes.
func guard(token string) echo.MiddlewareFunc {
	want := sha256.Sum256([]byte(token))
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		if token == "" {
			return next
		}
		return func(ctx echo.Context) error {
			scheme, given, _ := strings.Cut(ctx.Request().Header.Get("Authorization"), " ")
			got := sha256.Sum256([]byte(given))
			if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
				ctx.Response().Header().Set("WWW-Authenticate", `Bearer realm="signpost"`)
				return echo.NewHTTPError(http.StatusUnauthorized, "give the token of admin.token as Authorization: Bearer")
			}
			return next(ctx)
		}
	}
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

// refuse is the one place where errors become answers.
func refuse(log *slog.Logger, err error, ctx echo.Context) {
	code, msg := http.StatusInternalServerError, "internal error; the log has more"
	var he *echo.HTTPError
	if errors.As(err, &he) {
		code, msg = he.Code, fmt.Sprint(he.Message)
	} else {
		log.Error("admin request failed", "error", err, "path", ctx.Request().URL.Path)
	}
	if !ctx.Response().Committed {
		ctx.JSON(code, map[string]string{"error": msg})
	}
}
