package admin

import (
	"github.com/prometheus/client_golang/prometheus"
)

var descSafe = prometheus.NewDesc("signpost_node_safe_to_terminate",
	"1 if the node is drained and no more than admin.safe_below listen or are on their way, else 0.", []string{"node"}, nil)

// nodeMetrics shows what is computed for [api.Node], one series a node.
type nodeMetrics struct{ *API }

// Describe implements [prometheus.Collector].
func (m nodeMetrics) Describe(ch chan<- *prometheus.Desc) { ch <- descSafe }

// Collect implements [prometheus.Collector].
func (m nodeMetrics) Collect(ch chan<- prometheus.Metric) {
	view, err := m.view()
	if err != nil {
		return // there is no snapshot yet
	}
	d := m.describer(view, m.cfg.SafeBelow())
	for i := range view.Nodes() {
		n, safe := d.summary(i), 0.0
		if n.SafeToTerminate {
			safe = 1
		}
		ch <- prometheus.MustNewConstMetric(descSafe, prometheus.GaugeValue, safe, string(n.ID))
	}
}
