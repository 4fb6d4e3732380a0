package api

import "time"

// A Warning is something that is wrong, and stands until it is mended.
type Warning struct {
	Key    string    `json:"key"`              // unique, and the same as long as it stands: "store", "node_down/fra1"
	Text   string    `json:"text"`             // what is wrong
	Since  time.Time `json:"since,omitzero"`   // when it began, or was first seen
	Remedy string    `json:"remedy,omitempty"` // what to do about it
	// Degraded says that /readyz counts it: listeners, or operators' changes, are served
	// less well than they should be.
	Degraded bool `json:"degraded"`
}

// String writes it as operators read it everywhere: what, since when, and the remedy.
// Times are in UTC, with the date if that is not now's.
func (w Warning) String(now time.Time) string {
	text := w.Text
	if !w.Since.IsZero() {
		layout := "15:04:05"
		if now.UTC().Format(time.DateOnly) != w.Since.UTC().Format(time.DateOnly) {
			layout = "2006-01-02 15:04"
		}
		text += " (since " + w.Since.UTC().Format(layout) + ")"
	}
	if w.Remedy != "" {
		text += "; " + w.Remedy
	}
	return text
}
