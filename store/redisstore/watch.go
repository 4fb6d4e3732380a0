package redisstore

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// rewatch is how long a lost subscription waits before it is tried again.
	rewatch = 500 * time.Millisecond
	// defaultPingAfter is how long a subscription may be silent before it is
	// asked whether it is alive, and how long it has then to answer.
	defaultPingAfter = 5 * time.Second
)

// Watch implements [store.Store], with a connection of its own. A hint is also
// sent after the subscription was lost and is there again.
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

// listen passes on hints until the subscription is lost or ctx is done.
func (s *Store) listen(ctx context.Context, hints chan<- struct{}) error {
	sub := s.client.Subscribe(ctx, s.keys.edits)
	stop := context.AfterFunc(ctx, func() { _ = sub.Close() }) // Receive does not wait for ctx
	defer func() {
		stop()
		_ = sub.Close() // it may be closed, or lost
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
		default: // one is waiting there already
		}
	}
}

// watched notes that the ACL forbids the subscription, or does not. All else that
// may be wrong, Sync will say.
func (s *Store) watched(err error) {
	found := problems{}
	if denied(err) {
		found[s.keys.edits] = "edits by others are seen at the next tick only: " + s.explain(err).Error()
	} else if err != nil {
		return
	}
	s.problems.set(found, func(key string) bool { return key == s.keys.edits })
}
