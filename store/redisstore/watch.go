package redisstore

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// rewatch is the pause before a lost subscription is tried again.
	rewatch = 500 * time.Millisecond
	// defaultPingAfter is how long a subscription may be silent before it is pinged,
	// and how long the ping may then take to be answered.
	defaultPingAfter = 5 * time.Second
)

// Watch implements [store.Store], with a connection of its own. It also sends a hint
// each time that the subscription begins, so also after it was lost.
func (s *Store) Watch(ctx context.Context) <-chan struct{} {
	hints := make(chan struct{}, 1)
	s.closing.Lock()
	defer s.closing.Unlock()
	if s.closed.Load() {
		close(hints)
		return hints
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.life, cancel) //nolint:contextcheck // the store's life and the watch's own context: either ends it
	s.watches.Go(func() {
		defer close(hints)
		defer stop()
		defer cancel()
		for ctx.Err() == nil {
			s.watched(s.listen(ctx, hints))
			select {
			case <-ctx.Done():
			case <-time.After(rewatch):
			}
		}
	})
	return hints
}

// listen forwards hints until the subscription is lost or ctx is done.
func (s *Store) listen(ctx context.Context, hints chan<- struct{}) error {
	sub := s.client.Subscribe(ctx, s.keys.edits)
	stop := context.AfterFunc(ctx, func() { _ = sub.Close() }) // receiving does not end with ctx
	defer func() {
		stop()
		_ = sub.Close() // it may be closed already, or lost
	}()
	asked := false
	for {
		message, err := sub.ReceiveTimeout(ctx, s.pingAfter)
		var late net.Error
		if errors.As(err, &late) && late.Timeout() && !asked && ctx.Err() == nil {
			asked = true
			if err := sub.Ping(ctx); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		asked = false
		s.watched(nil)
		if _, pong := message.(*redis.Pong); pong {
			continue
		}
		select {
		case hints <- struct{}{}:
		default: // a hint is pending already
		}
	}
}

// watched notes whether the ACL forbids the subscription. Sync reports everything else
// that may be wrong.
func (s *Store) watched(err error) {
	found := problems{}
	if denied(err) {
		found[s.keys.edits] = "edits by others are seen at the next tick only: " + s.explain(err).Error()
	} else if err != nil {
		return
	}
	s.problems.set(found, func(key string) bool { return key == s.keys.edits })
}
