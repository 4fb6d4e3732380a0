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
	rights   string // what an ACL must allow

	closing sync.Mutex // held while a watch begins, and while Close ends the watches
	closed  atomic.Bool
	life    context.Context // ends with Close
	end     context.CancelFunc
	watches sync.WaitGroup

	callTimeout time.Duration
	pingAfter   time.Duration // defaultPingAfter, except in tests

	// turn holds one value. A Sync must take it, as it would lock a mutex, but can stop
	// waiting for it. It guards what follows.
	turn   chan struct{}
	sent   sent
	others others

	overlay atomic.Pointer[overlay] // written by the Sync that has the turn
}

// Open returns a handle on the store that c describes. Its errors are mistakes in c;
// only the first Sync shows whether Redis answers.
func Open(c Config) (*Store, error) {
	if c.waits == (waits{}) {
		c.waits = defaultWaits
	}
	client, user, trips, err := c.dial()
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	s := &Store{
		keys:     keysUnder(c.prefix()),
		client:   client,
		scripts:  scriptsWith(luaClock),
		trips:    trips,
		problems: &problemList{log: c.log(), all: map[string]store.Problem{}},
		rights:   Rights(user, c.prefix()),
		turn:     make(chan struct{}, 1),
		others:   others{},

		callTimeout: c.waits.call,
		pingAfter:   defaultPingAfter,
	}
	s.life, s.end = context.WithCancel(context.Background())
	s.overlay.Store(&overlay{tag: noOverlay})
	s.turn <- struct{}{}
	return s, nil
}

// RoundTrips returns the number of round trips to Redis, answered or not. Waiting for
// hints does not count.
func (s *Store) RoundTrips() uint64 { return s.trips.Load() }

// Problems implements [store.Doctor]: what is wrong in Redis. Each is logged once,
// when it appears and when it is gone.
func (s *Store) Problems() []store.Problem { return s.problems.list() }

// Sync implements [store.Store].
func (s *Store) Sync(ctx context.Context, o store.Offer) (store.Picture, error) {
	if o.Director.ID == "" {
		return store.Picture{}, errors.New("an offer needs the id of its director")
	}
	ctx, cancel := context.WithTimeout(ctx, s.callTimeout)
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

// exchange does a Sync; the caller has the turn. As a rule it takes one round trip. It
// takes one more if Redis does not have what this director sent last, and two more to
// replace an overlay that is missing, older or unreadable there.
func (s *Store) exchange(ctx context.Context, o store.Offer) (store.Picture, error) {
	mine := offeredIn(o)
	now, outcome, err := s.send(ctx, o, mine)
	if err == nil && outcome == outcomeAll {
		s.sent.head = 0
		now, outcome, err = s.send(ctx, o, mine)
	}
	if err != nil {
		return store.Picture{}, err
	}
	if held := s.overlay.Load(); outcome == outcomeKept && held.replaceable(o.Overlay) {
		if _, _, err := s.replace(ctx, "", o.Overlay); err != nil {
			return store.Picture{}, err
		}
		if now, _, err = s.send(ctx, o, mine); err != nil {
			return store.Picture{}, err
		}
	}
	p := s.others.picture(now, o)
	p.Overlay = o.Overlay // while the stored one cannot be read, each director keeps its copy
	if held := s.overlay.Load(); held.problem == "" {
		p.Overlay = held.document
	}
	return p, nil
}

// The outcomes that the scripts return.
const (
	outcomeKept   = "kept"   // what was sent is stored
	outcomeAll    = "all"    // it is not stored: all must be sent
	outcomeNewer  = "newer"  // nothing was written, since a newer Signpost uses the store
	outcomeDone   = "done"   // the overlay was replaced
	outcomeStands = "stands" // the overlay was kept: its revision does not allow it
)

// send runs the sync script and processes its answer.
func (s *Store) send(ctx context.Context, o store.Offer, mine offered) (now time.Time, outcome string, err error) {
	body, follows, err := s.sent.next(o.Director.ID, mine)
	if err != nil {
		return now, "", fmt.Errorf("%w: the offer cannot be written as JSON: %w", errMistake, err)
	}
	o.Director.Seen = time.Time{}
	about, err := json.Marshal(o.Director)
	if err != nil {
		return now, "", fmt.Errorf("%w: the director cannot be written as JSON: %w", errMistake, err)
	}
	before := s.overlay.Load()
	args := append([]any{o.Director.ID, about, follows, body, before.tag}, s.others.held()...)
	k := s.keys
	list, err := s.scripts.sync.run(ctx, s.client, []string{k.schema, k.overlay, k.directors, k.changes}, args...)
	if err != nil {
		return now, "", err
	}
	r, err := readReply(list)
	if err != nil {
		return now, "", err
	}
	if r.outcome == outcomeKept {
		s.sent.kept(mine, r.number, follows, len(body))
	}
	found, err := s.others.read(r.others, k)
	if err != nil {
		return now, "", err
	}
	if r.tag != before.tag {
		s.overlay.Store(readOverlay(r.tag, r.revision, r.document))
	}
	if p := s.overlay.Load().problem; p != "" {
		found[k.overlay] = p
	}
	if p := schemaProblem(r.schema); p != "" {
		found[k.schema] = p
	}
	s.problems.set(found, func(key string) bool { return key != k.edits })
	return r.now, r.outcome, nil
}

// reply is what the sync script returned.
type reply struct {
	now      time.Time
	schema   string // the value of the schema's key before
	outcome  string
	number   int64 // of this director's last change
	tag      string
	revision string
	document string // empty: this director has it, or there is none, or it is too large
	others   []any
}

func readReply(list []any) (r reply, err error) {
	if len(list) != 8 {
		return r, errUnexpected
	}
	micros, ok1 := list[0].(int64)
	schema, ok2 := list[1].(string)
	outcome, ok3 := list[2].(string)
	number, ok4 := list[3].(int64)
	tag, ok5 := list[4].(string)
	revision, ok6 := list[5].(string)
	document, _ := list[6].(string)
	others, ok7 := list[7].([]any)
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 || !ok6 || !ok7 {
		return r, errUnexpected
	}
	return reply{time.UnixMicro(micros).UTC(), schema, outcome, number, tag, revision, document, others}, nil
}

// schemaProblem says what is wrong with the value of the schema's key; empty: nothing.
func schemaProblem(text string) string {
	n, err := strconv.ParseUint(text, 10, 64)
	switch {
	case text == "" || n == Schema:
		return ""
	case err != nil && !errors.Is(err, strconv.ErrRange):
		return fmt.Sprintf("it was %.60q, which is no schema of signpost; it is %d now", text, Schema)
	case n < Schema:
		return fmt.Sprintf("an older signpost kept schema %d here; it is %d now", n, Schema)
	default:
		return fmt.Sprintf("a newer signpost keeps schema %d here, and this one knows %d: it reads and does not write; upgrade it", n, Schema)
	}
}

// Close implements [store.Store]. It waits for the watches to end, at most about as
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
