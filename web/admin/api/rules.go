package api

import (
	"encoding/json"
	"time"

	"github.com/signpost-fm/signpost/store"
)

// RulesAnswer is the client rules in order of precedence.
type RulesAnswer struct {
	Revision store.Revision `json:"revision"` // number of the newest of the operators' changes
	Rules    []Rule         `json:"rules"`
}

// Rule is a client rule.
type Rule struct {
	ID      string          `json:"id,omitempty"`      // of an operator's rule, which alone can be edited
	Version string          `json:"version,omitempty"` // for If-Match
	Rule    json.RawMessage `json:"rule"`              // with the keys of the configuration file
	Origin  string          `json:"origin"`            // overlay (operators'), file or shipped
	Hits    uint64          `json:"hits"`              // at this director since it started

	By     string    `json:"by,omitempty"`
	At     time.Time `json:"at,omitzero"`
	Why    string    `json:"why,omitempty"`
	Until  time.Time `json:"until,omitzero"`
	Effect string    `json:"effect,omitempty"` // why it has none; empty: it is in force
	Note   string    `json:"note,omitempty"`   // what its operator may not have meant, such as a name that another rule has
}

// Where a rule comes from.
const (
	OriginOverlay = "overlay" // an operator made it at run time
	OriginFile    = "file"
	OriginShipped = "shipped" // it comes with the program
)

// ClientsAnswer is the clients without a rule.
type ClientsAnswer struct {
	Clients []Client `json:"clients"`
}

// Client is a family of clients without a rule, and which answers they were given
// since this director started.
type Client struct {
	Family  string `json:"family"`  // the user agent's first word
	Example string `json:"example"` // one whole user agent

	Requests uint64 `json:"requests"` // of what follows
	First    uint64 `json:"first"`    // not seen lately
	Again    uint64 `json:"again"`    // back within seconds: many players open a stream twice
	Next     uint64 `json:"next"`     // back soon after: it was given the next node
	Inline   uint64 `json:"inline"`   // back once more: it was given the stream itself
	Crowd    uint64 `json:"crowd"`    // many at one address, or one in a loop

	Suspect    bool            `json:"suspect"` // they seem unable to follow redirects
	Why        string          `json:"why,omitempty"`
	Suggestion *RuleSuggestion `json:"suggestion,omitempty"`
}

// RuleSuggestion is a rule that would help.
type RuleSuggestion struct {
	Rule json.RawMessage `json:"rule"`
}
