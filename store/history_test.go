package store

import (
	"encoding/json"
	"strings"
	"testing"
)

// The history is bounded in number and in size, and the newest are kept.
func TestHistoryIsBounded(t *testing.T) {
	t.Parallel()
	var o Overlay
	add := func(size int) {
		o.Revision++
		text := encode(strings.Repeat("x", size))
		o.remember(Change{Revision: o.Revision, By: "anna", At: noon, Entries: []EntryChange{{Entry: "notes/n", After: text}}})
	}
	for range 130 {
		add(10)
	}
	if h := o.History; len(h) != 100 || h[0].Revision != 31 || h[99].Revision != 130 {
		t.Errorf("%d changes, from %d", len(h), h[0].Revision)
	}
	for range 5 {
		add(52_000)
	}
	b, err := json.Marshal(o.History)
	if h := o.History; err != nil || len(b) > maxHistoryBytes || h[len(h)-1].Revision != 135 || len(h) < 5 || len(h) > 30 {
		t.Errorf("%d changes of %d bytes, %v", len(h), len(b), err)
	}
	add(maxHistoryBytes)
	if len(o.History) != 0 {
		t.Errorf("a change that is too large leaves %d of the history", len(o.History))
	}
}
