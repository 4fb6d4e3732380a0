package admin

import (
	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// Reserve computes who would find no seat if a node or a site died.
func (a *API) Reserve() (api.ReserveAnswer, error) {
	view, err := a.view()
	if err != nil {
		return api.ReserveAnswer{}, err
	}
	r := view.Reserve(a.cfg.Mix)
	return api.ReserveAnswer{Nodes: append([]director.Loss{}, r.Nodes...), Sites: append([]director.Loss{}, r.Sites...)}, nil
}

func (a *API) reserve(ctx echo.Context) error {
	out, err := a.Reserve()
	return answer(ctx, out, err)
}

var descMissing = prometheus.NewDesc("signpost_reserve_missing_seats",
	"Listeners who would end above target, or be turned away (above limit), if a node or a site died now.", []string{"dies", "name", "below"}, nil)

// reserveMetrics computes the reserve when metrics are collected.
type reserveMetrics struct {
	view func() director.View
	mix  director.Mix
}

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
	r := view.Reserve(m.mix)
	for _, l := range r.Nodes {
		tell(l.BeyondTarget, "node", string(l.Node), "target")
		tell(l.BeyondLimit, "node", string(l.Node), "limit")
	}
	for _, l := range r.Sites {
		tell(l.BeyondTarget, "site", l.Site, "target")
		tell(l.BeyondLimit, "site", l.Site, "limit")
	}
}
