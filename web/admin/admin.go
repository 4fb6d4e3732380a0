// Package admin is the operators' side of a director: the API with its tokens,
// sessions and events, operators' edits, agents' registrations, explanations,
// forecasts and metrics. Package api has the bodies of its requests and answers.
//
// It listens apart from the public side, and asks for a token where one is set.
package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/web/admin/api"
	"github.com/signpost-fm/signpost/web/admin/ring"
)

// Config is what the operators' side shows and changes.
type Config struct {
	// Tokens returns the valid tokens. Each request but /healthz must show one as
	// "Authorization: Bearer <token>". With none, nobody is asked: listen on loopback
	// only. Nil: none.
	Tokens func() []Token
	// Syncer knows the nodes, and takes registrations and edits. Nil: there are no
	// routes about nodes.
	Syncer *store.Syncer
	// Collectors are shown at /metrics, besides Go's and the process's own.
	Collectors []prometheus.Collector
	// Explain answers /api/v1/explain; the answer becomes JSON.
	Explain func(Question) any
	// ExplainDNS answers /api/v1/explain/dns; the answer becomes JSON, and the error is
	// what is wrong with the question. nil: there is no DNS.
	ExplainDNS func(DNSQuestion) (any, error)
	// Streams answers /api/v1/streams in the same way; nil: nothing is carried inline.
	Streams func() any
	// Rules returns all client rules that are in force, in order of precedence; nil: none.
	Rules func() []RuleUse
	// CheckRule says what is wrong with a client rule; nil: any JSON object is taken.
	CheckRule func(rule json.RawMessage) error
	// NoteRules sets Effect or Note of rules that are never reached, and of those of one
	// name. They are all that there are, in order of precedence. nil: it does nothing.
	NoteRules func([]api.Rule)
	// Clients returns the clients for which there is no rule; nil: none.
	Clients func() []api.Client
	// Traffic returns what this director has done since it started; nil: nothing.
	Traffic func() Traffic
	// Mix says from which regions a node's listeners came, in any unit; nil, or an
	// empty answer: not known.
	Mix director.Mix
	// Simulate plays what may come of a proposal, and tells the part 0..1 that is done. Its
	// result becomes JSON. It takes no more than what the main work of the process can spare,
	// and ends early when ctx does. nil: nothing is played.
	Simulate func(ctx context.Context, s Simulation, progress func(part float64)) (any, error)
	// Dashboard makes the handler of every path that is not the API's; nil: none.
	Dashboard func(*API) http.Handler

	// Probes returns what came of this director's last probes of a node, the newest first;
	// nil: not known.
	Probes func(director.NodeID) []api.Probe
	// SafeBelow returns how many listeners may be left on a drained node that is
	// safe to terminate; nil: none.
	SafeBelow func() int
	// Complete fills in what follows from what an agent says of a node's place; nil:
	// nothing does.
	Complete func(director.Place) director.Place
	// PublicURL returns where listeners reach the directors, without a slash at
	// its end; empty, or nil: not known.
	PublicURL func() string
	// Unmap returns the IPv4 address that an IPv6 address stands for, see web.Config; nil:
	// only IPv4-mapped ones do.
	Unmap func(netip.Addr) (unmapped netip.Addr, before int)
	// Certificates returns those that this director shows, and Databases those from
	// which it knows places; nil: none.
	Certificates func() []api.Certificate
	Databases    func() []api.Database
	// Bundle returns the certificate of a name with its private key, as PEM, and when it
	// ends; nil: this director gets no certificates.
	Bundle func(ctx context.Context, name string) (pem []byte, ends time.Time, err error)
	// Plots is sampled as long as [API.Run] runs; nil: one that begins empty.
	Plots *ring.Ring
	// Forgets says that operators' changes end with this process.
	Forgets bool
	// Warnings returns what stands until it is mended; nil: what the Syncer tells.
	Warnings func() []api.Warning
	Version  string // of the program
	Store    string // the kind of store: memory or redis

	Now func() time.Time // this machine's clock; nil: time.Now
	Log *slog.Logger     // for faults; nil: slog.Default
}

// API is the operators' side: an [http.Handler], and its answers as values, for pages.
// [API.Run] must run beside it. It is safe for concurrent use.
type API struct {
	cfg     Config
	echo    *echo.Echo
	started time.Time

	eventInterval, editTimeout, applyTimeout time.Duration // see the constants

	sessions sessions
	throttle throttle
	hub      hub
	meter    meter
	sampler  sampler
	stage    stage
}

// Question is a request to be explained, which nobody makes.
type Question struct {
	Addr      netip.Addr
	Path      string // "/live.mp3"
	Query     string // behind it; empty: none
	UserAgent string
	TLS       bool
	Header    http.Header // further ones
}

// New returns the operators' side. It fails if two collectors have the same metric.
func New(c Config) (*API, error) {
	c.setDefaults()
	a := &API{cfg: c, started: c.Now(), eventInterval: eventInterval, editTimeout: editTimeout, applyTimeout: applyTimeout}
	reg := prometheus.NewRegistry()
	own := []prometheus.Collector{
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	}
	if c.Syncer != nil {
		own = append(own, reserveMetrics{c.Syncer.View, c.Mix}, nodeMetrics{a})
	}
	for _, col := range append(own, c.Collectors...) {
		if err := reg.Register(col); err != nil {
			return nil, fmt.Errorf("admin: register metrics: %w", err)
		}
	}
	e := echo.New()
	e.HTTPErrorHandler = func(err error, ctx echo.Context) { refuse(c.Log, err, ctx) }
	e.Pre(a.guard)
	a.routes(e, promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	a.echo = e
	return a, nil
}

func (c *Config) setDefaults() {
	c.Log = cmp.Or(c.Log, slog.Default())
	if c.Plots == nil {
		c.Plots = ring.New()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.CheckRule == nil {
		c.CheckRule = anyJSON
	}
	orNothing(&c.Tokens)
	orNothing(&c.SafeBelow)
	if c.Probes == nil {
		c.Probes = func(director.NodeID) []api.Probe { return nil }
	}
	orNothing(&c.PublicURL)
	orNothing(&c.Rules)
	orNothing(&c.Clients)
	orNothing(&c.Traffic)
	orNothing(&c.Certificates)
	orNothing(&c.Databases)
	if c.NoteRules == nil {
		c.NoteRules = func([]api.Rule) {}
	}
	if c.Warnings == nil {
		c.Warnings = func() []api.Warning { return StoreWarnings(c.Syncer.Status()) }
	}
}

// orNothing sets a nil function to one that returns the zero value.
func orNothing[T any](f *func() T) {
	if *f == nil {
		*f = func() (nothing T) { return nothing }
	}
}

const healthPath = "/healthz"

// ServeHTTP implements [http.Handler].
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.echo.ServeHTTP(w, r) }

func (a *API) routes(e *echo.Echo, metrics http.Handler) {
	e.GET(healthPath, func(ctx echo.Context) error { return ctx.String(http.StatusOK, "ok\n") })
	view := a.allow(api.RoleView)
	e.GET("/metrics", echo.WrapHandler(metrics), view)
	v1 := e.Group("/api/v1")
	v1.GET("/openapi.json", a.openapi)
	v1.POST("/session", a.login)
	v1.DELETE("/session", a.logout)
	v1.GET("/session", a.whoami, view)
	v1.GET("/explain", a.explain, view)
	v1.GET("/explain/dns", a.explainDNS, view)
	if a.cfg.Streams != nil {
		v1.GET("/streams", func(ctx echo.Context) error { return answer(ctx, a.cfg.Streams(), nil) }, view)
	}
	v1.GET("/certificates/:name", a.getCertificate, a.allow(api.RoleAgent))
	if a.cfg.Syncer != nil {
		a.fleetRoutes(v1)
	}
	if a.cfg.Dashboard != nil {
		e.Any("/*", echo.WrapHandler(a.cfg.Dashboard(a)), a.allowPages)
	}
}

func (a *API) fleetRoutes(v1 *echo.Group) {
	view, agent, either, operate := a.allow(api.RoleView), a.allow(api.RoleAgent), a.allow(api.RoleView, api.RoleAgent), a.allow(api.RoleOperate)
	v1.GET("/status", a.getStatus, view)
	v1.GET("/reserve", a.reserve, view)
	v1.GET("/mounts", a.getMounts, view)
	v1.GET("/plots", a.getPlots, view)
	v1.GET("/events", a.events, view)

	v1.GET("/nodes", a.getNodes, view)
	v1.GET("/nodes/:id", a.getNode, either)
	v1.GET("/nodes/:id/detail", a.getNodeDetail, view)
	v1.GET("/nodes/:id/safe_to_terminate", a.safeToTerminate, either)
	v1.PUT("/nodes/:id", a.announce, agent)
	v1.DELETE("/nodes/:id", a.deregister, agent)
	v1.POST("/nodes/:id/drain", a.drain, agent)
	v1.POST("/nodes/:id/disable", a.disable, operate)
	v1.POST("/nodes/:id/resume", a.resume, operate)

	v1.GET("/regions", a.getRegions, view)
	v1.GET("/regions/:id", a.getRegion, view)
	v1.PUT("/regions/:id/weights", a.putWeights, operate)
	v1.DELETE("/regions/:id/weights", a.deleteWeights, operate)
	v1.PUT("/regions/:id/overflow", a.putOverflow, operate)
	v1.DELETE("/regions/:id/overflow", a.deleteOverflow, operate)
	v1.PUT("/weights", a.putAllWeights, operate)
	v1.POST("/whatif", a.whatIf, view)
	if a.cfg.Simulate != nil {
		v1.POST("/whatif/simulation", a.simulate, operate)
	}

	v1.GET("/rules", a.getRules, view)
	v1.POST("/rules", a.postRule, operate)
	v1.GET("/rules/:id", a.getRule, view)
	v1.PUT("/rules/:id", a.putRule, operate)
	v1.DELETE("/rules/:id", a.deleteRule, operate)
	v1.GET("/clients", a.getClients, view)

	v1.GET("/overlay", a.getOverlay, view)
	v1.GET("/history", a.getHistory, view)
	v1.POST("/history/:revision/undo", a.undo, operate)
	v1.PUT("/notes/:id", a.putNote, operate)
	v1.DELETE("/notes/:id", a.deleteNote, operate)
}

// answer answers with v as JSON, or with err.
func answer(ctx echo.Context, v any, err error) error {
	if err != nil {
		return err
	}
	return ctx.JSONPretty(http.StatusOK, v, "  ")
}

// answerVersion answers like answer, with the version as ETag.
func answerVersion(ctx echo.Context, v any, version string, err error) error {
	if err == nil {
		ctx.Response().Header().Set("ETag", `"`+version+`"`)
	}
	return answer(ctx, v, err)
}

// Explain answers the query of a GET /api/v1/explain. Its error is
// a *[api.Problem].
func (a *API) Explain(query url.Values) (any, error) {
	q, err := question(query)
	if err != nil {
		return nil, problem(http.StatusBadRequest, err.Error())
	}
	return a.cfg.Explain(q), nil
}

func (a *API) explain(ctx echo.Context) error {
	out, err := a.Explain(ctx.QueryParams())
	return answer(ctx, out, err)
}

// DNSQuestion is a question to explain that a resolver could ask.
type DNSQuestion struct {
	Name, Type string       // Type: A, AAAA, or empty for A
	Resolver   netip.Addr   // not valid: nobody knows
	Subnet     netip.Prefix // for which it asks; not valid: it tells none
}

func dnsQuestion(query url.Values) (q DNSQuestion, err error) {
	q = DNSQuestion{Name: query.Get("name"), Type: query.Get("type")}
	if s := query.Get("resolver"); s != "" {
		if q.Resolver, err = netip.ParseAddr(s); err != nil {
			return q, errors.New("resolver: give its IP address, as in ?name=a.live.radio.example&resolver=192.0.2.53")
		}
	}
	if s := query.Get("subnet"); s != "" {
		if q.Subnet, err = netip.ParsePrefix(s); err != nil {
			return q, errors.New("subnet: give the network for which the resolver asks, as in &subnet=203.0.113.0/24")
		}
	}
	if !q.Resolver.IsValid() && !q.Subnet.IsValid() {
		return q, errors.New("give resolver, the address of who asks, or subnet, the network for which it asks, or both")
	}
	return q, nil
}

func (a *API) explainDNS(ctx echo.Context) error {
	q, err := dnsQuestion(ctx.QueryParams())
	var out any
	switch {
	case err != nil:
	case a.cfg.ExplainDNS == nil:
		err = errors.New("this director does not answer DNS")
	default:
		out, err = a.cfg.ExplainDNS(q)
	}
	if err != nil {
		err = problem(http.StatusBadRequest, err.Error())
	}
	return answer(ctx, out, err)
}

const maxQuestionHeaders = 50

func question(query url.Values) (q Question, err error) {
	q = Question{UserAgent: query.Get("ua"), Header: http.Header{}}
	if q.Addr, err = netip.ParseAddr(query.Get("addr")); err != nil {
		return q, errors.New("addr: give the listener's IP address, as in ?addr=203.0.113.7&mount=/live.mp3")
	}
	asked, err := api.ParseAsked(query.Get("mount"))
	if err == nil && query.Get("mount") == "" {
		err = errors.New("give the path that the listener asks for: ?mount=/live.mp3")
	}
	if err != nil {
		return q, fmt.Errorf("mount: %w", err)
	}
	q.Path, q.Query, q.TLS = asked.Path, asked.Query, asked.TLS
	if s := query.Get("tls"); s != "" {
		if q.TLS, err = strconv.ParseBool(s); err != nil {
			return q, errors.New("tls: say true or false")
		}
	}
	if len(query["header"]) > maxQuestionHeaders {
		return q, fmt.Errorf("header: at most %d are taken", maxQuestionHeaders)
	}
	for _, line := range query["header"] {
		name, value, ok := strings.Cut(line, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return q, fmt.Errorf("header: %.80q: write it as Name: value", line)
		}
		q.Header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	return q, nil
}
