package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signpost-fm/signpost/cmd/signpost/config"
	"github.com/signpost-fm/signpost/cmd/signpost/version"
	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/geo"
	"github.com/signpost-fm/signpost/web"
	"github.com/signpost-fm/signpost/web/admin"
	"github.com/signpost-fm/signpost/web/admin/api"
	"github.com/signpost-fm/signpost/web/admin/dashboard"
	"github.com/signpost-fm/signpost/web/lastcall"
)

const (
	adminHeaderTimeout = 5 * time.Second
	adminTimeout       = 30 * time.Second // to read a request, and to answer it
	adminIdleTimeout   = 2 * time.Minute
)

// openAdmin opens the operators' listener.
func (d *Service) openAdmin(s *config.Settings) error {
	if s.Admin.Listen == "" {
		return nil
	}
	log := d.log.With("part", "admin")
	defer d.closing.markFront(len(d.closing.all))
	d.plots = openPlots(s.StateDir, log)
	d.closing.run("plots", d.plots.run)
	c := admin.Config{
		Tokens:     d.operatorTokens,
		Syncer:     d.syncer,
		Collectors: []prometheus.Collector{d.web.Collector(), fleetMetrics{d.syncer, d.prober, d.store}, configMetrics{&d.status}, warningMetrics{d}, outputMetrics{d}, certificateMetrics{d}},
		Explain: func(q admin.Question) any {
			return d.web.Explain(web.Question{Addr: q.Addr, Path: q.Path, Query: q.Query, UserAgent: q.UserAgent, TLS: q.TLS, Header: q.Header})
		},
		ExplainDNS: d.explainDNS,
		Simulate:   d.simulate,
		Dashboard:  dashboard.New,
		Rules:      d.ruleUses, CheckRule: checkRule, NoteRules: noteRules, Clients: d.clientUses, Traffic: d.traffic, Mix: d.mix.of,
		Plots:     d.plots.ring,
		Databases: d.databases, Certificates: d.shownCertificates, Bundle: d.bundle,
		Probes:    d.pastProbes,
		SafeBelow: func() int { return d.settings.Load().Admin.SafeBelow },
		Complete:  geo.Complete,
		Unmap:     d.geo.unmap,
		PublicURL: d.publicURL,
		Warnings:  d.warnings, Forgets: d.forgets(),
		Version: version.Current().Version,
		Store:   "memory",
		Log:     log,
	}
	if s.Store.Redis != nil {
		c.Store = "redis"
	}
	if d.proxy != nil {
		inline := streams{d.proxy}
		c.Collectors, c.Streams = append(c.Collectors, inline), inline.list
	}
	if d.names.server != nil {
		c.Collectors = append(c.Collectors, d.names.server)
	}
	h, err := admin.New(c)
	if err != nil {
		return err
	}
	listen := net.Listen
	if d.options.Listen != nil {
		listen = d.options.Listen
	}
	if own := d.handed.take(s.Admin.Listen); own != nil {
		listen = func(string, string) (net.Listener, error) { return own, nil }
	}
	l, err := listen("tcp", s.Admin.Listen)
	if err != nil {
		return fmt.Errorf("listen for operators: %w; is another program there? choose another address under admin.listen or with --admin", err)
	}
	d.admin = l.Addr()
	d.keepSocket(l)
	answer := func(s *http.Server, l net.Listener) error { return s.Serve(l) }
	if s.Admin.Certificate != (config.Certificate{}) {
		if err := d.openCertificates(&d.adminCerts, "admin", func(s *config.Settings) config.Certificate { return s.Admin.Certificate }); err != nil {
			return errors.Join(err, l.Close())
		}
		answer = func(s *http.Server, l net.Listener) error { return s.ServeTLS(l, "", "") }
	}
	server := &http.Server{
		Handler: h, TLSConfig: d.adminCerts.config("h2", "http/1.1"),
		ReadHeaderTimeout: adminHeaderTimeout, ReadTimeout: adminTimeout, WriteTimeout: adminTimeout, IdleTimeout: adminIdleTimeout,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	d.closing.run("tokens", d.followTokens)
	d.closing.add("admin", lastcall.For(server).Shutdown)
	d.closing.run("events for operators", h.Run)
	claimed := func(ctx context.Context) bool {
		select {
		case <-d.claimed:
			return true
		case <-ctx.Done():
			return false
		}
	}
	d.serve("operators", l, claimed, func(l net.Listener) error {
		if err := answer(server, l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	return nil
}

// publicURL returns where listeners reach this director: the file's public URL, or else
// its own address, if that is a single one.
func (d *Service) publicURL() string {
	s := d.settings.Load()
	if s.Policy.PublicURL != "" || len(s.Listen.HTTP) == 0 || len(d.addrs) == 0 {
		return s.Policy.PublicURL
	}
	if a, ok := d.addrs[0].(*net.TCPAddr); ok && !a.IP.IsUnspecified() {
		return "http://" + a.String()
	}
	return ""
}

// pastProbes returns what came of this director's last probes of a node, the newest first.
func (d *Service) pastProbes(id director.NodeID) (all []api.Probe) {
	for _, p := range slices.Backward(d.prober.Past(id)) {
		all = append(all, api.Probe{
			At: p.Taken, TookMS: float64(p.Took.Microseconds()) / 1000, URL: p.URL, Mount: p.Mount, Failed: p.Failed, Detail: p.Detail,
		})
	}
	return all
}

// operatorTokens returns those in force. A reload may remove all of them, and cannot move
// the listener: if that can be reached from other machines, nobody is let in.
func (d *Service) operatorTokens() []admin.Token {
	tokens := d.tokens.list()
	if a, ok := d.admin.(*net.TCPAddr); len(tokens) == 0 && ok && !a.IP.IsLoopback() {
		return []admin.Token{{Name: "nobody"}} // no token has this hash
	}
	return tokens
}
