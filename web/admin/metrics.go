package admin

import (
	"math"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signpost-fm/signpost/director"
)

var descSafe = prometheus.NewDesc("signpost_node_safe_to_terminate",
	"1 if the node is drained and no more than admin.safe_below listen or are on the way, else 0.", []string{"node"}, nil)

var (
	descMount = prometheus.NewDesc("signpost_node_mount_state",
		"1 if a mount at a node is in the state plays, does_not_play, full or unknown. The state plays is always there, 0 or 1; of the others only the present one. Past the bound, mounts that play are left out.", []string{"node", "mount", "state"}, nil)
	descCertificate = prometheus.NewDesc("signpost_node_certificate_end_time_seconds",
		"When the TLS certificate of a node's https URL ends. +Inf: it has none, or nobody has seen it yet.", []string{"node"}, nil)
)

// maxMountSeries bounds the series of nodes' mounts.
const maxMountSeries = 20_000

// nodeMetrics shows what is computed for [api.Node], and the states of its mounts.
type nodeMetrics struct{ *API }

// Describe implements [prometheus.Collector].
func (m nodeMetrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- descSafe
	ch <- descMount
	ch <- descCertificate
}

// mounts shows the states of a node's mounts, in at most so many series.
func (m nodeMetrics) mounts(ch chan<- prometheus.Metric, d *describer, n, most int) (series int) {
	if most <= 0 {
		return 0
	}
	st := d.Node(n)
	show := func(mount string, state director.MountState, value float64) {
		series++
		ch <- prometheus.MustNewConstMetric(descMount, prometheus.GaugeValue, value, string(st.ID), mount, state.String())
	}
	crowded := 2*len(d.Mounts())*d.Nodes() > maxMountSeries
	for i := range d.Mounts() {
		mount := d.Mount(i).Name
		switch state := d.MountState(n, i); {
		case series+2 > most:
			return series
		case state != director.MountPlays:
			show(mount, director.MountPlays, 0)
			show(mount, state, 1)
		case !crowded:
			show(mount, director.MountPlays, 1)
		}
	}
	return series
}

// Collect implements [prometheus.Collector].
func (m nodeMetrics) Collect(ch chan<- prometheus.Metric) {
	view, err := m.view()
	if err != nil {
		return // there is no snapshot yet
	}
	d := m.describer(view, m.cfg.SafeBelow())
	left := maxMountSeries
	for i := range view.Nodes() {
		n, safe := d.summary(i), 0.0
		left -= m.mounts(ch, &d, i, left)
		ends := math.Inf(1)
		if !n.CertificateEnds.IsZero() {
			ends = float64(n.CertificateEnds.Unix())
		}
		ch <- prometheus.MustNewConstMetric(descCertificate, prometheus.GaugeValue, ends, string(n.ID))
		if n.SafeToTerminate {
			safe = 1
		}
		ch <- prometheus.MustNewConstMetric(descSafe, prometheus.GaugeValue, safe, string(n.ID))
	}
}
