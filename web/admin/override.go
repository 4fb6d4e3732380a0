package admin

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// overrideOf tells who made an entry of o, at now.
func overrideOf(o store.Overlay, entry string, s store.Stamp, now time.Time) *api.Override {
	s = o.Told(entry, s, now)
	return &api.Override{By: s.By, At: s.At, Why: s.Why, Until: s.Until, Revision: s.Revision}
}

// version is a hash of an entry's parts, for ETag and If-Match: an edit names the
// version that it replaces, so that nobody overwrites what they have not read.
func version(parts ...any) string {
	h := sha256.New()
	for _, p := range parts {
		b, err := json.Marshal(p)
		if err != nil {
			b = []byte(err.Error()) // not expected: all of it came as JSON
		}
		h.Write(b)
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}
