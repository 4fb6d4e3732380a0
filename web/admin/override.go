package admin

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/signpost-fm/signpost/store"
)

// Override is who changed something at run time, over what the file declares.
type Override struct {
	State    store.NodeState `json:"state,omitempty"` // of a node
	By       string          `json:"by"`
	At       time.Time       `json:"at"`
	Why      string          `json:"why,omitempty"`
	Until    time.Time       `json:"until,omitzero"` // zero: until it is taken back
	Revision store.Revision  `json:"revision,omitempty"`
}

func overrideOf(s store.Stamp) *Override {
	return &Override{By: s.By, At: s.At, Why: s.Why, Until: s.Until, Revision: s.Revision}
}

// version names the state of something that can be edited, which is made of
// parts; nil parts are not there. Whoever edits says which version was seen, so
// that nobody overwrites what they have not.
func version(parts ...any) string {
	h := sha256.New()
	for _, p := range parts {
		b, err := json.Marshal(p)
		if err != nil {
			b = []byte(err.Error()) // not to be expected: all of it came as JSON
		}
		h.Write(b)
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}
