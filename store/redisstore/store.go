package redisstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/signpost-fm/signpost/store"
)

// Store implements [store.Store]: one director's handle.
type Store struct {
	keys     keys
	client   redis.UniversalClient
	scripts  scripts
	trips    *atomic.Uint64
	problems *problemList

	closing sync.Mutex // held while a watch begins, and while Close ends them
	closed  atomic.Bool
	life    context.Context // ends with Close
	end     context.CancelFunc
	watches sync.WaitGroup

	// turn holds one value, and whoever has taken it syncs: waiting for it can
	// be given up. It guards what follows.
	turn   chan struct{}
	sent   sent
	others others

	overlay atomic.Pointer[overlay] // written by whoever has the turn
}

// Open returns a handle on the store that c describes. Its errors are mistakes
// in c; whether Redis is there, the first Sync tells.
func Open(c Config) (*Store, error) {
	client, trips, err := c.dial()
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	s := &Store{
		keys:     keysUnder(c.prefix()),
		client:   client,
		scripts:  scriptsWith(luaClock),
		trips:    trips,
		problems: &problemList{log: c.log(), all: map[string]Problem{}},
		turn:     make(chan struct{}, 1),
		others:   others{},
	}
	s.life, s.end = context.WithCancel(context.Background())
	s.overlay.Store(&overlay{tag: noOverlay})
	s.turn <- struct{}{}
	return s, nil
}

// RoundTrips returns how many times Redis was asked something, answered or not.
// Waiting for hints does not count.
func (s *Store) RoundTrips() uint64 { return s.trips.Load() }

// Problems returns what is wrong in Redis without keeping it from working, by
// key. Each is logged once, when it appears and when it is gone.
func (s *Store) Problems() []Problem { return s.problems.list() }

// Sync implements [store.Store].
func (s *Store) Sync(ctx context.Context, o store.Offer) (store.Picture, error) {
	if o.Director.ID == "" {
		return store.Picture{}, errors.New("an offer needs the id of its director")
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	select {
	case <-s.turn:
		defer func() { s.turn <- struct{}{} }()
	case <-ctx.Done():
		return store.Picture{}, s.failed(ctx, ctx.Err())
	}
	p, err := s.exchange(ctx, o)
	if err != nil {
		return store.Picture{}, s.failed(ctx, err)
	}
	return p, nil
}

// exchange is a Sync with the turn. As a rule it takes one round trip; one more
// if Redis does not have what this director sent last, and two more to replace
// an overlay that is missing, older or unreadable there.
func (s *Store) exchange(ctx context.Context, o store.Offer) (store.Picture, error) {
	mine := offeredIn(o)
	now, outcome, err := s.send(ctx, o, mine)
	if err == nil && outcome == outcomeAll {
		s.sent.head = 0
		now, _, err = s.send(ctx, o, mine)
	}
	if err != nil {
		return store.Picture{}, err
	}
	if held := s.overlay.Load(); held.replaceable(o.Overlay) {
		if _, _, err := s.replace(ctx, "", o.Overlay); err != nil {
			return store.Picture{}, err
		}
		if now, _, err = s.send(ctx, o, mine); err != nil {
			return store.Picture{}, err
		}
	}
	p := s.others.picture(now, o)
	p.Overlay = o.Overlay // while what stands cannot be read, each director keeps its copy
	if held := s.overlay.Load(); held.problem == "" {
		p.Overlay = held.document
	}
	return p, nil
}

// What the scripts say they did.
const (
	outcomeKept   = "kept"   // what was sent is there
	outcomeAll    = "all"    // it is not: send all there is
	outcomeNewer  = "newer"  // nothing is written over what a newer Signpost keeps
	outcomeDone   = "done"   // the overlay is replaced
	outcomeStands = "stands" // another revision stands
)

// send runs the sync script and takes in what it returns.
func (s *Store) send(ctx context.Context, o store.Offer, mine offered) (now time.Time, outcome string, err error) {
	body, follows, err := s.sent.next(o.Director.ID, mine)
	if err != nil {
		return now, "", fmt.Errorf("%w: JSON has no form for what is offered: %w", errMistake, err)
	}
	o.Director.Seen = time.Time{}
	about, err := json.Marshal(o.Director)
	if err != nil {
		return now, "", fmt.Errorf("%w: JSON has no form for the director: %w", errMistake, err)
	}
	before := s.overlay.Load()
	args := append([]any{o.Director.ID, about, follows, body, before.tag}, s.others.held()...)
	k := s.keys
	reply, err := s.scripts.sync.run(ctx, s.client, []string{k.schema, k.overlay, k.directors, k.changes}, args...)
	if err != nil {
		return now, "", err
	}
	if len(reply) != 8 {
		return now, "", errUnexpected
	}
	micros, ok1 := reply[0].(int64)
	schema, ok2 := reply[1].(string)
	outcome, ok3 := reply[2].(string)
	number, ok4 := reply[3].(int64)
	tag, ok5 := reply[4].(string)
	revision, ok6 := reply[5].(string)
	document, _ := reply[6].(string)
	entries, ok7 := reply[7].([]any)
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 || !ok6 || !ok7 {
		return now, "", errUnexpected
	}
	if outcome == outcomeKept {
		s.sent.kept(mine, number, follows, len(body))
	}
	found, err := s.others.read(entries, k)
	if err != nil {
		return now, "", err
	}
	if tag != before.tag {
		s.overlay.Store(readOverlay(tag, revision, document))
	}
	if p := s.overlay.Load().problem; p != "" {
		found[k.overlay] = p
	}
	if p := schemaProblem(schema); p != "" {
		found[k.schema] = p
	}
	s.problems.set(found, func(key string) bool { return key != k.edits })
	return time.UnixMicro(micros).UTC(), outcome, nil
}

// schemaProblem says what is wrong with what stood in the schema's key.
func schemaProblem(text string) string {
	n, err := strconv.Atoi(text)
	switch {
	case text == "" || n == Schema:
		return ""
	case err != nil || n < 0:
		return fmt.Sprintf("it was %.60q, which is no schema of signpost; it is %d now", text, Schema)
	case n < Schema:
		return fmt.Sprintf("an older signpost kept schema %d here; it is %d now", n, Schema)
	default:
		return fmt.Sprintf("a newer signpost keeps schema %d here, and this one knows %d: it reads and does not write; upgrade it", n, Schema)
	}
}

// Edit implements [store.Store]. An edit is as durable as Redis is set up to make
// it; what a failover loses is refilled by the next director that saw it.
func (s *Store) Edit(ctx context.Context, at store.Revision, o store.Overlay) (store.Revision, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
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
	}
	return revision, nil
}

// replace runs the replace script: o stands in the store if at did before, or if
// at is empty and its revision is higher.
func (s *Store) replace(ctx context.Context, at string, o store.Overlay) (outcome string, revision store.Revision, err error) {
	document, err := json.Marshal(o)
	if err != nil {
		return "", 0, fmt.Errorf("%w: %w", errMistake, err)
	}
	if len(document) > maxDocument {
		return "", 0, fmt.Errorf("%w: the overlay would take %d bytes, and %d is the most; take back entries that are no longer needed", errMistake, len(document), maxDocument)
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

// Close implements [store.Store]. It waits for watches to end, at most about as
// long as Redis may take to answer.
func (s *Store) Close() error {
	s.closing.Lock()
	defer s.closing.Unlock()
	if s.closed.Swap(true) {
		return store.ErrClosed
	}
	s.end()
	err := s.client.Close()
	s.watches.Wait()
	return err
}

// overlay is the overlay as it was read last.
type overlay struct {
	tag      string // what tells it from another, "<revision> <sha1> <length>"
	document store.Overlay
	problem  string // why it could not be read; empty: it could
	newer    bool   // because a newer Signpost wrote it, and nobody else should
}

// noOverlay is the tag where there is none.
const noOverlay = "  0"

// readOverlay reads what the script returned of an overlay.
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
		o.newer, o.problem = true, fmt.Sprintf("the overlay has schema %d, and this version reads up to %d: a newer signpost wrote it; upgrade this one. Until then it keeps the overlay that it has",
			form.Schema, store.OverlaySchema)
	case document == "":
		o.problem = "it has no document, or one of more than " + strconv.Itoa(maxDocument) + " bytes; " + remedy
	default:
		o.problem = fmt.Sprintf("the overlay cannot be read: %v; %s", err, remedy)
	}
	o.document = store.Overlay{}
	return o
}

// replaceable says whether a director that holds by should put it in the store.
func (o *overlay) replaceable(by store.Overlay) bool {
	return !o.newer && by.Revision > o.document.Revision
}

// failed makes of err what callers of a Store expect.
func (s *Store) failed(ctx context.Context, err error) error {
	switch {
	case s.closed.Load():
		return store.ErrClosed
	case errors.Is(err, errMistake):
		return err
	}
	if c, ok := s.client.(*redis.ClusterClient); ok {
		c.ReloadState(ctx) // it would look for a new master only after 10 s
	}
	if redis.HasErrorPrefix(err, "WRONGTYPE") {
		err = s.wrongType(ctx, err)
	}
	return away(err)
}

// wrongType finds out which key another program has taken.
func (s *Store) wrongType(ctx context.Context, err error) error {
	for key, want := range s.keys.types() {
		kind, _ := s.client.Type(ctx, key).Result()
		if kind != "" && kind != "none" && kind != want {
			return fmt.Errorf("the key %s holds a %s that signpost did not write; delete it, or give signpost another prefix: %w", key, kind, err)
		}
	}
	return err
}

// errMistake is in errors that are not Redis's.
var errMistake = errors.New("refused")
