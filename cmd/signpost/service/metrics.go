package service

import (
	"runtime"
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signpost-fm/signpost/cmd/signpost/output"
	"github.com/signpost-fm/signpost/cmd/signpost/version"
	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/probe"
	"github.com/signpost-fm/signpost/store"
)

// fleetMetrics are about the fleet as this director sees it. It implements
// [prometheus.Collector]. The number of series grows with that of nodes.
type fleetMetrics struct {
	syncer *store.Syncer
	prober *probe.Prober
	store  store.Store
}

func fleetDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("signpost_"+name, help, labels, nil)
}

var (
	descBuild       = fleetDesc("build_info", "1, with the build of this director as labels.", "version", "commit", "goversion")
	descSnapshotAge = fleetDesc("snapshot_age_seconds", "Time since what this director answers from was computed.")
	descBuildTime   = fleetDesc("snapshot_build_seconds", "How long computing what this director answers from took last.")
	descPictureAge  = fleetDesc("store_picture_age_seconds", "Time since the last contact with the store.")
	descStoreUp     = fleetDesc("store_up", "1 while the store answers, 0 while this director goes on alone.")
	descSyncs       = fleetDesc("store_syncs_total", "Exchanges with the store.")
	descSyncErrors  = fleetDesc("store_sync_errors_total", "Exchanges with the store that failed.")
	descSyncSeconds = fleetDesc("store_sync_duration_seconds", "How long the newest exchange with the store took.")
	descRoundTrips  = fleetDesc("store_round_trips_total", "Times that the store was asked something over the network.")
	descPeerAge     = fleetDesc("store_peer_age_seconds", "Age of the oldest of the other live directors' data, when the store last answered; 0: there is no other director.")
	descEditLag     = fleetDesc("overlay_lag_seconds", "How long the newest of the operators' changes took from its director to this one; 0: there was none yet.")
	descClockAhead  = fleetDesc("store_clock_ahead_seconds", "How far the store's clock is ahead of this machine's; below 0: behind.")
	descProblems    = fleetDesc("store_problems", "Invalid entries in the store, which are ignored.")
	descDirectors   = fleetDesc("directors", "Live directors, including this one.")
	descRevision    = fleetDesc("overlay_revision", "Number of the newest of the operators' changes that are in force.")
	descSuspects    = fleetDesc("suspects_itself", "1 while this director does not trust its own probes, because most nodes failed for it at once.")

	descNodeUp       = fleetDesc("node_up", "1 if the node is up by the directors that probe it, 0 if it is down or not yet probed.", "node")
	descNodeDrained  = fleetDesc("node_drained", "1 if the node takes no new listeners, because operators, its agent or the file drain or disable it, else 0.", "node")
	descNodeUsed     = fleetDesc("node_used", "Listeners at the node, including those on the way to it.", "node")
	descNodeEnRoute  = fleetDesc("node_en_route", "Listeners on the way to the node: sent there, and not yet counted by it.", "node")
	descNodeEstimate = fleetDesc("node_en_route_estimated", "How many of the listeners on the way to the node are an estimate: those whom DNS answers bring.", "node")
	descNodeTarget   = fleetDesc("node_target", "Listeners that the node should hold; 0: not known.", "node")
	descNodeLimit    = fleetDesc("node_limit", "Listeners that the node can hold; 0: not known.", "node")

	descProbeSeconds = fleetDesc("probe_duration_seconds", "How long this director's newest probe of the node took.", "node")
	descProbes       = fleetDesc("probes_total", "This director's probes of the nodes that it probes now.", "node", "result")
)

// Describe implements [prometheus.Collector].
func (m fleetMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descBuild, descSnapshotAge, descBuildTime, descPictureAge, descStoreUp, descSyncs, descSyncErrors, descSyncSeconds, descRoundTrips,
		descPeerAge, descEditLag, descClockAhead, descProblems,
		descDirectors, descRevision, descSuspects,
		descNodeUp, descNodeDrained, descNodeUsed, descNodeEnRoute, descNodeEstimate, descNodeTarget, descNodeLimit, descProbeSeconds, descProbes,
	} {
		ch <- d
	}
}

// Collect implements [prometheus.Collector].
func (m fleetMetrics) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	count := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	b := version.Current()
	gauge(descBuild, 1, b.Version, b.Commit, runtime.Version())
	st := m.syncer.Status()
	gauge(descSnapshotAge, st.SnapshotAge.Seconds())
	gauge(descBuildTime, st.BuildTime.Seconds())
	gauge(descPictureAge, st.PictureAge.Seconds())
	gauge(descStoreUp, oneIf(!st.Degraded && st.Syncs > st.Failures))
	count(descSyncs, float64(st.Syncs))
	count(descSyncErrors, float64(st.Failures))
	gauge(descSyncSeconds, st.Exchange.Seconds())
	if s, ok := m.store.(interface{ RoundTrips() uint64 }); ok {
		count(descRoundTrips, float64(s.RoundTrips()))
	}
	gauge(descPeerAge, st.PeerAge.Seconds())
	gauge(descEditLag, st.EditLag.Seconds())
	gauge(descClockAhead, st.ClockAhead.Seconds())
	gauge(descProblems, float64(len(st.Problems)))
	gauge(descDirectors, float64(max(1, len(st.Directors))))
	gauge(descRevision, float64(st.Revision))
	gauge(descSuspects, oneIf(st.Suspect != ""))

	if view := m.syncer.View(); view.Snapshot != nil {
		for i := range view.Nodes() {
			n := view.Node(i)
			id := string(n.ID)
			gauge(descNodeUp, oneIf(n.Report.Health == director.Up), id)
			gauge(descNodeDrained, oneIf(n.State == director.Drained), id)
			gauge(descNodeUsed, float64(view.Live.Used(i)), id)
			gauge(descNodeEnRoute, float64(n.EnRoute), id)
			gauge(descNodeEstimate, float64(n.Estimated), id)
			gauge(descNodeTarget, float64(n.EffectiveTarget), id)
			gauge(descNodeLimit, float64(n.EffectiveLimit), id)
		}
	}
	for _, t := range m.prober.Tallies() {
		gauge(descProbeSeconds, t.Took.Seconds(), string(t.Node))
		count(descProbes, float64(t.Answers), string(t.Node), "answered")
		count(descProbes, float64(t.Failures), string(t.Node), "failed")
	}
}

// warningMetrics count what stands for operators to mend, by its kind: the part of a
// warning's key before the slash. It implements [prometheus.Collector].
type warningMetrics struct{ *Service }

var descWarnings = fleetDesc("warnings", "Warnings that stand until they are mended, as in status, by kind.", "kind")

// Describe implements [prometheus.Collector].
func (m warningMetrics) Describe(ch chan<- *prometheus.Desc) { ch <- descWarnings }

// Collect implements [prometheus.Collector].
func (m warningMetrics) Collect(ch chan<- prometheus.Metric) {
	kinds := map[string]float64{}
	for _, w := range m.shown() {
		kind, _, _ := strings.Cut(w.Key, "/")
		kinds[kind]++
	}
	for kind, n := range kinds {
		ch <- prometheus.MustNewConstMetric(descWarnings, prometheus.GaugeValue, n, kind)
	}
}

// configMetrics are about the configStatus. It implements [prometheus.Collector].
type configMetrics struct{ status *atomic.Pointer[configStatus] }

var (
	descRefused = fleetDesc("config_refused", "1 while the configuration file is refused: the old one stays in force, and a restart would fail.")
	descRestart = fleetDesc("config_restart_needed", "1 while changes of the configuration file need a restart.")
)

// Describe implements [prometheus.Collector].
func (m configMetrics) Describe(ch chan<- *prometheus.Desc) { ch <- descRefused; ch <- descRestart }

// Collect implements [prometheus.Collector].
func (m configMetrics) Collect(ch chan<- prometheus.Metric) {
	s := m.status.Load()
	ch <- prometheus.MustNewConstMetric(descRefused, prometheus.GaugeValue, oneIf(s.refused != nil))
	ch <- prometheus.MustNewConstMetric(descRestart, prometheus.GaugeValue, oneIf(len(s.restart) > 0))
}

// outputMetrics are about records and log. It implements [prometheus.Collector].
type outputMetrics struct{ *Service }

var (
	descRecordsDropped = fleetDesc("records_dropped_total", "Request records that were dropped, for their reader was too slow, full or gone.")
	descLinesDropped   = fleetDesc("log_lines_dropped_total", "Log lines that were dropped, for their reader was too slow, full or gone.")
)

// Describe implements [prometheus.Collector].
func (m outputMetrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- descRecordsDropped
	ch <- descLinesDropped
}

// Collect implements [prometheus.Collector].
func (m outputMetrics) Collect(ch chan<- prometheus.Metric) {
	count := func(d *prometheus.Desc, w *output.Writer) {
		n := uint64(0)
		if w != nil {
			n = w.Dropped()
		}
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n))
	}
	count(descRecordsDropped, m.records.writer())
	count(descLinesDropped, m.options.LogTo)
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
