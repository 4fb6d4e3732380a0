package redisstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/signpost-fm/signpost/store"
)

// overlay is the overlay as it was read last.
type overlay struct {
	tag      string // "<revision> <sha1> <length>", which identifies it
	document store.Overlay
	problem  string // why it could not be read; empty: it could
	newer    bool   // it could not be read because a newer Signpost wrote it; it must not be replaced
}

// noOverlay is the tag if there is no overlay.
const noOverlay = "  0"

// Overlay returns the operators' changes as they are now. It changes nothing.
func (s *Store) Overlay(ctx context.Context) (store.Overlay, error) {
	ctx, cancel := context.WithTimeout(ctx, s.callTimeout)
	defer cancel()
	text, err := s.client.HGet(ctx, s.keys.overlay, "document").Result()
	if errors.Is(err, redis.Nil) {
		return store.Overlay{}, nil
	}
	if err != nil {
		return store.Overlay{}, s.failed(ctx, err)
	}
	var o store.Overlay
	return o, json.Unmarshal([]byte(text), &o)
}

// readOverlay reads the overlay that the script returned.
func readOverlay(tag, revision, document string) *overlay {
	o := &overlay{tag: tag}
	if tag == noOverlay {
		return o
	}
	const remedy = "a director that holds a copy, or the next edit, replaces it and sets it aside"
	var form struct {
		Schema int `json:"schema"`
	}
	_ = json.Unmarshal([]byte(document), &form) // the next line says what is wrong
	err := json.Unmarshal([]byte(document), &o.document)
	if err == nil && strconv.FormatUint(uint64(o.document.Revision), 10) != revision {
		err = fmt.Errorf("its revision is %d inside and %.20q outside", o.document.Revision, revision)
	}
	switch {
	case err == nil:
		return o
	case form.Schema > store.OverlaySchema:
		o.newer, o.problem = true, fmt.Sprintf("the operators' changes have schema %d, and this version reads up to %d: a newer signpost wrote them; upgrade this one. Until then it keeps those that it has",
			form.Schema, store.OverlaySchema)
	case document == "":
		o.problem = "it has no document, or one of more than " + strconv.Itoa(maxDocument) + " bytes; " + remedy
	default:
		o.problem = fmt.Sprintf("the operators' changes cannot be read: %v; %s", err, remedy)
	}
	o.document = store.Overlay{}
	return o
}

// replaceable says whether a director that holds by should replace o in the store by it.
func (o *overlay) replaceable(by store.Overlay) bool {
	return !o.newer && by.Revision > o.document.Revision
}

// Edit implements [store.Store]. An edit is as durable as Redis is configured to make
// it. If a failover loses it, the next Sync of a director that has seen it restores it.
func (s *Store) Edit(ctx context.Context, at store.Revision, o store.Overlay) (store.Revision, error) {
	ctx, cancel := context.WithTimeout(ctx, s.callTimeout)
	defer cancel()
	if held := s.overlay.Load(); held.newer {
		return 0, fmt.Errorf("%w: %s", store.ErrAway, held.problem)
	}
	o.Revision = at + 1
	outcome, revision, err := s.replace(ctx, strconv.FormatUint(uint64(at), 10), o)
	switch {
	case err != nil:
		return 0, s.failed(ctx, err)
	case outcome == outcomeNewer:
		return 0, fmt.Errorf("%w: a newer signpost keeps its data here in a form that this one cannot write; upgrade it, or edit at a newer one", store.ErrAway)
	case outcome == outcomeStands:
		return revision, fmt.Errorf("revision %d is in force, not %d: %w", revision, at, store.ErrConflict)
	case outcome != outcomeDone:
		return 0, s.failed(ctx, errUnexpected)
	}
	return revision, nil
}

// replace runs the replace script, which puts o in the store if the revision there is
// at, or if at is empty and o's revision is higher.
func (s *Store) replace(ctx context.Context, at string, o store.Overlay) (outcome string, revision store.Revision, err error) {
	document, err := json.Marshal(o)
	if err != nil {
		return "", 0, fmt.Errorf("%w: %w", errMistake, err)
	}
	if len(document) > maxDocument {
		return "", 0, fmt.Errorf("%w: the operators' changes would take %d bytes, and %d is the most; take back those that are no longer needed", errMistake, len(document), maxDocument)
	}
	unreadable := ""
	if held := s.overlay.Load(); held.problem != "" && !held.newer {
		unreadable = held.tag
	}
	k := s.keys
	reply, err := s.scripts.replace.run(ctx, s.client, []string{k.schema, k.overlay, k.aside},
		at, uint64(o.Revision), document, unreadable, k.edits)
	if err != nil {
		return "", 0, err
	}
	if len(reply) != 2 {
		return "", 0, errUnexpected
	}
	outcome, _ = reply[0].(string)
	text, _ := reply[1].(string)
	n, _ := strconv.ParseUint(text, 10, 64) // empty with outcomeNewer
	return outcome, store.Revision(n), nil
}
