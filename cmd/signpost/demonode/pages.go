package demonode

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// serverID is the name that the node gives itself in Icecast's fields for it.
const serverID = "Signpost demo node (speaks Icecast 2.4)"

// ServeHTTP answers as Icecast would.
func (n *Node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Server", serverID)
	h.Set("Cache-Control", "no-cache, no-store")
	h.Set("Access-Control-Allow-Origin", "*")
	switch r.Method {
	case http.MethodGet:
	case http.MethodOptions:
		h.Set("Access-Control-Allow-Headers", "Icy-MetaData, Range")
		h.Set("Access-Control-Expose-Headers", "icy-metaint, icy-name, icy-br")
		w.WriteHeader(http.StatusNoContent)
		return
	default:
		h.Set("Allow", "GET, OPTIONS")
		http.Error(w, "405 - only GET and OPTIONS", http.StatusMethodNotAllowed)
		return
	}
	if m := n.mounts[r.URL.Path]; m != nil {
		h.Set("Access-Control-Expose-Headers", "icy-metaint, icy-name, icy-br")
		n.play(w, r, m)
		return
	}
	if n.opts.HLS && n.serveHLS(w, r) {
		return
	}
	path, isPlaylist := strings.CutSuffix(r.URL.Path, ".m3u")
	switch {
	case r.URL.Path == "/status-json.xsl":
		h.Set("Content-Type", "application/json; charset=UTF-8")
		_ = json.NewEncoder(w).Encode(n.status(r.URL.Query().Get("mount")))
	case isPlaylist && n.mounts[path] != nil:
		h.Set("Content-Type", "audio/x-mpegurl")
		_, _ = fmt.Fprintf(w, "http://%s%s\r\n", r.Host, path) //nolint:gosec // no page: net/http lets no odd Host through, and the path is a mount's
	default:
		http.Error(w, "404 - the file you requested could not be found", http.StatusNotFound)
	}
}

// status is the statistics page of Icecast 2.4.
func (n *Node) status(only string) any {
	type source struct {
		Genre        string `json:"genre"`
		Bitrate      int    `json:"ice-bitrate"`
		ListenerPeak int64  `json:"listener_peak"`
		Listeners    int64  `json:"listeners"`
		ListenURL    string `json:"listenurl"`
		Name         string `json:"server_name"`
		Type         string `json:"server_type"`
		Start        string `json:"stream_start_iso8601"`
		Title        string `json:"title"`
	}
	stats := map[string]any{
		"host":                 n.listener.Addr().String(),
		"server_id":            serverID,
		"server_start_iso8601": isoTime(n.began),
	}
	var sources []source
	for _, path := range slices.Sorted(slices.Values(n.opts.Mounts)) {
		if m := n.mounts[path]; only == "" || only == path {
			sources = append(sources, source{
				Genre: "Demo", Bitrate: bitRate / 1000, ListenerPeak: m.peak.Load(), Listeners: m.listeners.Load(),
				ListenURL: n.URL() + path, Name: "Signpost demo: " + n.opts.Name, Type: "audio/mpeg",
				Start: isoTime(n.began), Title: n.title(n.live()),
			})
		}
	}
	if n.opts.HLS && (only == "" || only == HLSPath) { // an Icecast does not, but one can be told of it
		sources = append(sources, source{
			Genre: "Demo", Bitrate: bitRate / 1000, ListenURL: n.URL() + HLSPath, Name: "Signpost demo: " + n.opts.Name,
			Type: hlsType, Start: isoTime(n.began), Title: n.title(n.live()),
		})
	}
	switch len(sources) { // none, an object, or a list: as in Icecast
	case 0:
	case 1:
		stats["source"] = sources[0]
	default:
		stats["source"] = sources
	}
	return map[string]any{"icestats": stats}
}

func isoTime(t time.Time) string { return t.Format("2006-01-02T15:04:05-0700") }
