package api

import (
	"net/netip"
	"strings"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// An Announcement registers an agent's node, or reports on it: the body of
// PUT /api/v1/nodes/{id}. It has ages instead of times, so that agents' clocks do not
// matter. Directors ignore unknown fields, for agents may be newer.
type Announcement struct {
	Instance string   `json:"instance"` // of the agent, and of a later one that continues its registration
	Node     NodeSpec `json:"node"`
	Drained  bool     `json:"drained,omitempty"` // the node takes no new listeners, for good
	Report   Measured `json:"report"`
}

// NodeSpec is what an agent declares of its node. The fields are those of
// [director.Node].
type NodeSpec struct {
	URLs        []string `json:"urls"`
	InternalURL string   `json:"internal_url,omitempty"`
	Site        string   `json:"site,omitempty"`
	Place       *Place   `json:"place,omitempty"`
	Target      int      `json:"target,omitempty"`
	Limit       int      `json:"limit,omitempty"`
	MaxNewPerS  int      `json:"max_new_per_s,omitempty"`

	Pace director.Pace `json:"pace,omitempty"`
	// Addresses are where listeners reach it, for DNS; empty: those of its URLs.
	Addresses []netip.Addr `json:"addresses,omitempty"`
}

// Place is where a node is.
type Place struct {
	Country       string  `json:"country,omitempty"`
	Lat           float32 `json:"lat"` // degrees, as those of [director.Place]
	Lon           float32 `json:"lon"`
	CountryCentre bool    `json:"country_centre,omitempty"` // Lat and Lon are the middle of the country
}

// Measured is a [director.Report] with ages for times.
type Measured struct {
	AgeMS         int64           `json:"age_ms"`
	Health        director.Health `json:"health"`
	SinceAgeMS    int64           `json:"since_age_ms"`              // of the last change of Health
	ReturnedAgeMS *int64          `json:"returned_age_ms,omitempty"` // nil: it was never down
	Detail        string          `json:"detail,omitempty"`

	Full      bool    `json:"full,omitempty"`
	Listeners int     `json:"listeners"`
	Limit     int     `json:"limit,omitempty"`
	Kbit      float64 `json:"kbit,omitempty"`
	Server    string  `json:"server,omitempty"`

	Mounts   []director.MountReport `json:"mounts,omitempty"`
	AnyMount bool                   `json:"any_mount,omitempty"`
	// Verdicts are what a listener got who asked the server for a mount itself, where
	// that is not what Mounts say.
	Verdicts []MeasuredVerdict `json:"verdicts,omitempty"`
}

// MeasuredVerdict is what a listener gets of a mount in every scheme: a [director.Verdict] with ages for times.
type MeasuredVerdict struct {
	Path       string              `json:"path"`
	State      director.MountState `json:"state"`
	Cause      director.Cause      `json:"cause,omitempty"`
	Detail     string              `json:"detail,omitempty"`
	Listed     bool                `json:"listed,omitempty"`
	SinceAgeMS int64               `json:"since_age_ms"` // of the last change of State
	AgeMS      int64               `json:"age_ms"`
}

// NewAnnouncement makes one of a report whose times are by the clock of now.
func NewAnnouncement(instance string, spec NodeSpec, r director.Report, now time.Time) Announcement {
	age := func(t time.Time) int64 { return max(0, now.Sub(t).Milliseconds()) }
	a := Announcement{Instance: instance, Node: spec, Report: Measured{
		AgeMS: age(r.Taken), Health: r.Health, SinceAgeMS: age(r.Since), Detail: Clip(r.Detail),
		Full: r.Full, Listeners: r.Listeners, Limit: r.Limit, Kbit: r.Kbit, Server: Clip(r.Server),
		Mounts: r.Mounts, AnyMount: r.AnyMount,
	}}
	for _, v := range r.Verdicts {
		// The URL at which an agent asks its server is not one of listeners', so that what
		// it learns of schemes is not about them.
		if v.Path != "" && v.Scheme == 0 {
			a.Report.Verdicts = append(a.Report.Verdicts, MeasuredVerdict{
				Path: v.Path, State: v.State, Cause: director.Cause(Clip(string(v.Cause))), Detail: Clip(v.Detail), Listed: v.Listed,
				SinceAgeMS: age(v.Since), AgeMS: age(v.Taken),
			})
		}
	}
	if !r.Returned.IsZero() {
		returned := age(r.Returned)
		a.Report.ReturnedAgeMS = &returned
	}
	return a
}

// MaxText is the longest text that directors take for a server's description or an
// operator's reason, in bytes.
const MaxText = 300

// Clip shortens text to MaxText bytes of UTF-8.
func Clip(s string) string {
	if len(s) > MaxText {
		s = strings.ToValidUTF8(s[:MaxText], "")
	}
	return s
}
