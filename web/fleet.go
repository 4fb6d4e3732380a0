package web

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// statusPath is the path of Icecast's statistics, which tools read.
const statusPath = "/status-json.xsl"

// icestats is the page's content, with the keys that Icecast 2.4 and 2.5 share.
// Keys for which a fleet has no value are empty, not missing: some tools insist on them.
type icestats struct {
	Admin       string `json:"admin"`
	Host        string `json:"host"`
	Location    string `json:"location"`
	ServerID    string `json:"server_id"`
	ServerStart string `json:"server_start"`
	StartISO    string `json:"server_start_iso8601"`
	Source      any    `json:"source,omitempty"` // as at Icecast: missing, one, or an array of several
}

// fleetSource is one mount, summed over all nodes that carry it.
type fleetSource struct {
	Genre        string `json:"genre"`
	ListenerPeak int    `json:"listener_peak"` // the sum of the nodes' peaks, which need not have been at one time
	Listeners    int    `json:"listeners"`
	ListenURL    string `json:"listenurl"`
	Description  string `json:"server_description"`
	Name         string `json:"server_name"`
	Type         string `json:"server_type"`
	Start        string `json:"stream_start,omitempty"`
	StartISO     string `json:"stream_start_iso8601,omitempty"`
	Title        string `json:"title,omitempty"` // always a string; Icecast's "99" is a number, its "-" invalid JSON

	mount   string
	started time.Time
	most    int // listeners at the node that Name, Type and Title are from
}

// fleetPage is a page made from a snapshot. It is cached as long as the snapshot is in force.
type fleetPage struct {
	snapshot *director.Snapshot
	base     string // the director's own URL, as the listener knows it
	body     []byte
}

// fleetStatus answers with the statistics of the whole fleet as if it were one Icecast.
func (s *Server) fleetStatus(x *exchange) error {
	if err := s.identify(&x.request); err != nil {
		return err
	}
	if x.policy.NoStatus {
		return faultNoMount
	}
	if err := s.admit(&x.request); err != nil {
		return err
	}
	body, err := s.fleetBody(x)
	if err != nil {
		return err
	}
	h := x.header()
	x.streamHeaders()
	h["Content-Type"] = formats[JSON].mediaType
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	x.w.WriteHeader(http.StatusOK)
	if x.r.Method != http.MethodHead {
		_, _ = x.w.Write(body) // the client may be gone
	}
	return nil
}

// fleetBody returns the page. The page with all mounts is cached: it is made once for a
// snapshot, however many clients ask, unless they know the director by different URLs.
func (s *Server) fleetBody(x *exchange) ([]byte, error) {
	base := x.ownBase()
	only := x.r.URL.Query().Get("mount")
	if p := s.fleet.Load(); only == "" && p != nil && p.snapshot == x.view.Snapshot && p.base == base {
		return p.body, nil
	}
	sources := fleetSources(x.view.Snapshot)
	if only != "" {
		sources = onlyMount(sources, x.view.Snapshot, only)
	}
	for i := range sources {
		sources[i].ListenURL = base + sources[i].mount // not escaped, as at Icecast
	}
	body, err := s.icestats(base, sources)
	if err == nil && only == "" {
		s.fleet.Store(&fleetPage{x.view.Snapshot, base, body})
	}
	return body, err
}

func (s *Server) icestats(base string, sources []fleetSource) ([]byte, error) {
	stats := icestats{ServerID: serverID}
	stats.ServerStart, stats.StartISO = icecastTimes(s.start)
	if u, err := url.Parse(base); err == nil {
		stats.Host = u.Hostname()
	}
	switch len(sources) {
	case 0:
	case 1:
		stats.Source = sources[0]
	default:
		stats.Source = sources
	}
	var b bytes.Buffer
	err := json.NewEncoder(&b).Encode(map[string]icestats{"icestats": stats})
	return b.Bytes(), err
}

// ownBase is the director's base URL as the listener knows it, or else the local address of
// the connection. It is never empty: tools read the mount's name out of its URL.
func (q *request) ownBase() string {
	if base := q.directorBase(); base != "" {
		return base
	}
	if a, ok := q.r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		return "http://" + a.String()
	}
	return "http://localhost"
}

func onlyMount(sources []fleetSource, s *director.Snapshot, name string) []fleetSource {
	if m, ok := s.FindMount(name); ok {
		name = s.Mount(m).Name
	}
	for i := range sources {
		if sources[i].mount == name {
			return sources[i : i+1]
		}
	}
	return nil
}

// fleetSources sums, by mount and in the mounts' order, the listeners that nodes report and
// those whom directors carry inline beyond that. As at Icecast, a mount that no node
// carries now is left out. Drained nodes count: their listeners still listen.
func fleetSources(s *director.Snapshot) []fleetSource {
	sums := make([]fleetSource, len(s.Mounts()))
	for n := range s.Nodes() {
		node := s.Node(n)
		r := &node.Report
		if r.Health != director.Up {
			continue
		}
		for i, told := range r.Mounts {
			name := node.MountAt(told.Path)
			if m, ok := s.FindMount(name); ok && s.Mount(m).Name == name {
				// A relay takes every mount, so that the relays' connections are divided
				// evenly among the mounts.
				told.Listeners -= node.Relays*(i+1)/len(r.Mounts) - node.Relays*i/len(r.Mounts)
				sums[m].add(s.Mount(m), told)
			}
		}
		for m := range sums {
			if r.AnyMount {
				sums[m].add(s.Mount(m), director.MountReport{})
			}
		}
	}
	carried := sums[:0]
	for m, src := range sums {
		if src.mount == "" {
			continue
		}
		inline := s.Uncounted(m)
		src.Listeners = max(0, src.Listeners+inline)
		src.ListenerPeak = max(src.ListenerPeak+inline, src.Listeners)
		src.Type = orMPEG(src.Type)
		if !src.started.IsZero() {
			src.Start, src.StartISO = icecastTimes(src.started)
		}
		carried = append(carried, src)
	}
	return carried
}

// add adds what one node reports of the mount. Texts are those of the configuration, else
// those of the node with the most listeners.
func (f *fleetSource) add(m *director.Mount, told director.MountReport) {
	told.Listeners = max(0, told.Listeners)
	first := f.mount == ""
	f.mount = m.Name
	f.Listeners += told.Listeners
	f.ListenerPeak += max(told.Peak, told.Listeners)
	if f.started.IsZero() || !told.Started.IsZero() && told.Started.Before(f.started) {
		f.started = told.Started
	}
	better := first || told.Listeners > f.most
	if better {
		f.most = told.Listeners
	}
	for _, text := range []struct {
		is             *string
		declared, told string
	}{{&f.Name, m.Title, told.Name}, {&f.Type, m.Type, told.Type}, {&f.Title, "", told.Title}} {
		switch {
		case text.declared != "":
			*text.is = text.declared
		case text.told != "" && (better || *text.is == ""):
			*text.is = text.told
		}
	}
}

// icecastTimes formats a time in Icecast's two formats.
func icecastTimes(t time.Time) (words, iso string) {
	t = t.UTC()
	return t.Format(time.RFC1123Z), t.Format("2006-01-02T15:04:05-0700")
}
