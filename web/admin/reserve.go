package admin

import (
	"net/http"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/signpost-fm/signpost/director"
)

// reserve tells what is left when a node or a site dies.
func (s *server) reserve(ctx echo.Context) error {
	view := s.cfg.Syncer.View()
	if view.Snapshot == nil {
		return problem(http.StatusServiceUnavailable, starting)
	}
	r := view.Reserve()
	return ctx.JSONPretty(http.StatusOK, map[string][]director.Loss{"nodes": r.Nodes, "sites": r.Sites}, "  ")
}

var descMissing = prometheus.NewDesc("signpost_reserve_missing_seats",
	"Listeners who would find no seat below target, or below limit, if a node or a site died now.", []string{"dies", "name", "below"}, nil)

// reserveMetrics reckons the reserve when metrics are collected.
type reserveMetrics struct{ view func() director.View }

// Describe implements [prometheus.Collector].
func (m reserveMetrics) Describe(ch chan<- *prometheus.Desc) { ch <- descMissing }

// Collect implements [prometheus.Collector].
func (m reserveMetrics) Collect(ch chan<- prometheus.Metric) {
	view := m.view()
	if view.Snapshot == nil {
		return
	}
	tell := func(n int, labels ...string) {
		ch <- prometheus.MustNewConstMetric(descMissing, prometheus.GaugeValue, float64(n), labels...)
	}
	r := view.Reserve()
	for _, l := range r.Nodes {
		tell(l.BeyondTarget, "node", string(l.Node), "target")
		tell(l.BeyondLimit, "node", string(l.Node), "limit")
	}
	for _, l := range r.Sites {
		tell(l.BeyondTarget, "site", l.Site, "target")
		tell(l.BeyondLimit, "site", l.Site, "limit")
	}
}
