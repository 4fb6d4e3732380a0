package service

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/signpost-fm/signpost/web/proxy"
)

// streams are the inline streams, for operators. It implements [prometheus.Collector].
type streams struct{ *proxy.Proxy }

// list is the answer of /api/v1/streams.
func (s streams) list() any {
	return map[string]any{"budget": s.Usage(), "streams": s.Streams()}
}

var (
	descInline    = prometheus.NewDesc("signpost_inline_listeners", "Inline listeners, by the node that their stream comes from.", []string{"mount", "node"}, nil)
	descUpstreams = prometheus.NewDesc("signpost_inline_upstreams", "Connections to nodes for inline streams.", []string{"mount", "node"}, nil)
	descSentBytes = prometheus.NewDesc("signpost_inline_sent_bytes_total", "Bytes of inline streams that were sent.", []string{"mount"}, nil)
	descEnded     = prometheus.NewDesc("signpost_inline_ended_total", "Inline streams that have ended, by cause.", []string{"mount", "end"}, nil)
	descTakenOver = prometheus.NewDesc("signpost_inline_failovers_total", "Times that another node took over a node's inline listeners, by cause.", []string{"mount", "cause"}, nil)
	descRenewed   = prometheus.NewDesc("signpost_inline_renewed_total", "Connections that a node ended after a while (Icecast's max-listener-duration), and that were opened again at the same node.", []string{"mount"}, nil)
	descSkips     = prometheus.NewDesc("signpost_inline_skips_total", "Times that an inline listener was too slow and skipped to the newest audio.", []string{"mount"}, nil)
	descFailures  = prometheus.NewDesc("signpost_inline_node_failures_total", "Times that a node failed to play, by cause.", []string{"why"}, nil)
	descBudget    = prometheus.NewDesc("signpost_inline_budget_kbit", "Audio of inline streams, in kbit/s as declared.", nil, nil)
	descMaxKbit   = prometheus.NewDesc("signpost_inline_max_kbit", "Audio that inline streams may take, in kbit/s; 0: as much as signpost_inline_max_listeners take.", nil, nil)
	descMaxInline = prometheus.NewDesc("signpost_inline_max_listeners", "Inline listeners that there may be at once.", nil, nil)
)

// Describe implements [prometheus.Collector].
func (s streams) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descInline, descUpstreams, descSentBytes, descEnded, descTakenOver, descRenewed, descSkips, descFailures, descBudget, descMaxKbit, descMaxInline} {
		ch <- d
	}
}

// Collect implements [prometheus.Collector].
func (s streams) Collect(ch chan<- prometheus.Metric) {
	one := func(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, t, v, labels...)
	}
	for _, m := range s.Streams() {
		listeners, upstreams := map[string]int{}, map[string]int{}
		for _, u := range m.Upstreams {
			listeners[string(u.Node)] += u.Listeners
			upstreams[string(u.Node)]++
		}
		for node := range upstreams {
			one(descInline, prometheus.GaugeValue, float64(listeners[node]), m.Mount, node)
			one(descUpstreams, prometheus.GaugeValue, float64(upstreams[node]), m.Mount, node)
		}
		one(descSentBytes, prometheus.CounterValue, float64(m.Bytes), m.Mount)
		one(descSkips, prometheus.CounterValue, float64(m.Skips), m.Mount)
		one(descRenewed, prometheus.CounterValue, float64(m.Renewed), m.Mount)
		for end, n := range m.Ended {
			one(descEnded, prometheus.CounterValue, float64(n), m.Mount, string(end))
		}
		for cause, n := range m.TakenOver {
			one(descTakenOver, prometheus.CounterValue, float64(n), m.Mount, string(cause))
		}
	}
	for why, n := range s.Whys() {
		one(descFailures, prometheus.CounterValue, float64(n), string(why))
	}
	u := s.Usage()
	one(descBudget, prometheus.GaugeValue, float64(u.Kbit))
	one(descMaxKbit, prometheus.GaugeValue, u.MaxMbit*1000)
	one(descMaxInline, prometheus.GaugeValue, float64(u.MaxListeners))
}
