package api

import (
	"strings"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// An Announcement is what an agent says of the node that it stands beside: the
// body of PUT /api/v1/nodes/{id}. It has ages and no times, so that the clocks of
// agents do not matter. Fields that are not known here are passed over, for
// agents may be newer than directors.
type Announcement struct {
	Instance string   `json:"instance"` // the agent, and those after it that go on with its registration
	Node     NodeSpec `json:"node"`
	Drained  bool     `json:"drained,omitempty"` // it takes no new listeners; this is never taken back
	Report   Measured `json:"report"`
}

// NodeSpec is what an agent may say of a node for good. The fields mean what
// those of [director.Node] do.
type NodeSpec struct {
	URLs        []string `json:"urls"`
	InternalURL string   `json:"internal_url,omitempty"`
	Site        string   `json:"site,omitempty"`
	Place       *Place   `json:"place,omitempty"`
	Target      int      `json:"target,omitempty"`
	Limit       int      `json:"limit,omitempty"`
	MaxNewPerS  int      `json:"max_new_per_s,omitempty"`
}

// Place is where a node stands.
type Place struct {
	Country       string  `json:"country,omitempty"`
	Lat           float32 `json:"lat"` // degrees, as those of [director.Place]
	Lon           float32 `json:"lon"`
	CountryCentre bool    `json:"country_centre,omitempty"` // that is what Lat and Lon are of
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
}

// NewAnnouncement makes one of a report whose times are by the clock of now.
func NewAnnouncement(instance string, spec NodeSpec, r director.Report, now time.Time) Announcement {
	age := func(t time.Time) int64 { return max(0, now.Sub(t).Milliseconds()) }
	a := Announcement{Instance: instance, Node: spec, Report: Measured{
		AgeMS: age(r.Taken), Health: r.Health, SinceAgeMS: age(r.Since), Detail: Clip(r.Detail),
		Full: r.Full, Listeners: r.Listeners, Limit: r.Limit, Kbit: r.Kbit, Server: Clip(r.Server),
		Mounts: r.Mounts, AnyMount: r.AnyMount,
	}}
	if !r.Returned.IsZero() {
		returned := age(r.Returned)
		a.Report.ReturnedAgeMS = &returned
	}
	return a
}

// MaxText is how many bytes directors take of what a server says of itself, and of
// an operator's reason.
const MaxText = 300

// Clip shortens text to MaxText bytes of UTF-8.
func Clip(s string) string {
	if len(s) > MaxText {
		s = strings.ToValidUTF8(s[:MaxText], "")
	}
	return s
}
