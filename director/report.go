package director

import "time"

// Health is the state of a node by its probes.
type Health uint8

// The states of a node's health.
const (
	HealthUnknown Health = iota // not probed yet
	Up
	Failed // down, by several probes in a row
)

// String returns "unknown", "up" or "down".
func (h Health) String() string {
	switch h {
	case Up:
		return "up"
	case Failed:
		return "down"
	default:
		return "unknown"
	}
}

// MarshalText makes a Health its name in JSON and logs.
func (h Health) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads what MarshalText wrote. Anything else is HealthUnknown, so that
// values of other versions are accepted.
func (h *Health) UnmarshalText(b []byte) error {
	switch string(b) {
	case "up":
		*h = Up
	case "down":
		*h = Failed
	default:
		*h = HealthUnknown
	}
	return nil
}

// CertificateWarning is how long before the end of a certificate operators are warned: a
// node's, or a director's own.
const CertificateWarning = 14 * 24 * time.Hour

// Report is what a probe or an agent measured at one node. It is immutable once it has
// been passed on.
type Report struct {
	Node  NodeID    `json:"node"`
	By    string    `json:"by,omitempty"` // the director or agent that measured
	Taken time.Time `json:"taken"`        // when, by the store's clock

	Health Health    `json:"health"`
	Since  time.Time `json:"since"`            // when Health last changed
	Detail string    `json:"detail,omitempty"` // why, for an operator: "GET /status-json.xsl: connection refused (2 in a row)"
	// Returned is when the node last came back from being down; zero: it was never down.
	// A node that was seen for the first time has not come back.
	Returned time.Time `json:"returned,omitzero"`

	Full      bool    `json:"full,omitempty"`  // the server refuses listeners at its own limit; then the numbers are the previous ones
	Listeners int     `json:"listeners"`       // connections at all mounts, relays included; -1: not reported
	Limit     int     `json:"limit,omitempty"` // the server's own limit; 0: not reported
	Kbit      float64 `json:"kbit,omitempty"`  // kbit/s sent to listeners; 0: not reported
	Server    string  `json:"server,omitempty"`

	IPv4     bool          `json:"ipv4,omitempty"` // the families of its host's addresses; both false: not known
	IPv6     bool          `json:"ipv6,omitempty"`
	Mounts   []MountReport `json:"mounts,omitempty"`    // what it carries now
	AnyMount bool          `json:"any_mount,omitempty"` // it cannot list its mounts: every declared one counts as carried
	// Verdicts say where a listener gets something else than Mounts and AnyMount say.
	Verdicts []Verdict `json:"verdicts,omitempty"`
	// CertificateEnds is when the TLS certificate of the node's https URL expires, by
	// its issuer's clock; zero: not known.
	CertificateEnds time.Time `json:"certificate_ends,omitzero"`

	// Unconfirmed says that the node may have been drained unseen. Other nodes come
	// first as long as they have room. It is each director's own view and is not shared.
	Unconfirmed bool `json:"-"`
}

// MountReport is one mount at one node.
type MountReport struct {
	Path      string    `json:"path"`             // on the node
	Listeners int       `json:"listeners"`        // -1: not reported
	Peak      int       `json:"peak,omitempty"`   // the most listeners since Started; 0: not reported
	Limit     int       `json:"limit,omitempty"`  // the mount's own limit; 0: none or not reported
	Type      string    `json:"type,omitempty"`   // media type
	Name      string    `json:"name,omitempty"`   // the station's name
	Title     string    `json:"title,omitempty"`  // what is playing
	Started   time.Time `json:"started,omitzero"` // when the source began, by the node's clock; zero: not reported
}
