package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/signpost-fm/signpost/store"
)

// commands are those that directors send or that their scripts run. A connection's
// AUTH and HELLO need no permission. SELECT is for a db other than 0, and ASKING and
// CLUSTER SLOTS are for a Cluster.
var commands = []string{
	"ping", "select", "asking", "cluster|slots", "time", "type", "exists", "get", "set", "rename", "pexpire",
	"hget", "hset", "hdel", "hexists", "hgetall", "hmget", "hstrlen", "eval", "evalsha", "publish", "subscribe",
}

// Rights returns the redis-cli line that allows a user all that directors do. It adds
// to the user's existing permissions. An empty user is the default one.
func Rights(user, prefix string) string {
	if user == "" {
		user = "default"
	}
	return fmt.Sprintf("ACL SETUSER %s ~{%s}:* &{%s}:* +%s", user, prefix, prefix, strings.Join(commands, " +"))
}

// trialLife is how long the two keys of a trial are kept.
const trialLife = 10 * time.Second

// Try runs once what directors ask of Redis, on keys of its own that expire, and
// returns all that the ACL refuses in one error, with the remedy. It also publishes a
// hint, so that directors that use the store sync once more than they would; nothing
// else changes for them.
func (s *Store) Try(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.callTimeout+trialLife/2)
	defer cancel()
	if err := s.client.Ping(ctx).Err(); err != nil {
		return s.failed(ctx, err)
	}
	key, aside := s.keys.trial, s.keys.trialAside
	ms := trialLife.Milliseconds()
	var refused []string
	var first error
	for _, args := range [][]any{
		{"time"},
		{"set", aside, Schema, "px", ms}, {"get", aside}, {"exists", aside}, {"type", aside},
		{"hset", key, "a", 1}, {"pexpire", key, ms}, {"hget", key, "a"}, {"hmget", key, "a"}, {"hstrlen", key, "a"}, {"hexists", key, "a"},
		{"hgetall", key}, {"rename", key, aside}, {"hdel", aside, "a"},
		{"eval", "return {}", 1, key}, {"evalsha", s.scripts.sync.sha1, 0},
		{"publish", s.keys.edits, 0},
	} {
		err := s.client.Do(ctx, args...).Err()
		switch {
		case denied(err):
			refused = append(refused, args[0].(string))
			first = err
		case err == nil, errors.Is(err, redis.Nil), redis.HasErrorPrefix(err, "NOSCRIPT"):
		case args[0] == "evalsha" || strings.Contains(err.Error(), "no such key") || redis.HasErrorPrefix(err, "WRONGTYPE"):
			// An earlier command was refused, or the script lacks its arguments. That is no refusal.
		default:
			return s.failed(ctx, err)
		}
	}
	sub := s.client.Subscribe(ctx, s.keys.edits)
	if _, err := sub.ReceiveTimeout(ctx, s.callTimeout); denied(err) {
		refused, first = append(refused, "subscribe"), err
	}
	_ = sub.Close() // an error does not matter
	if len(refused) == 0 {
		return nil
	}
	return fmt.Errorf("%w: the ACL refuses %s: %w", store.ErrAway, strings.Join(refused, ", "), s.explain(first))
}

// denied says whether err means that an ACL refuses a command: one that was sent, or
// one that a script ran, for which the wording differs between versions of Redis.
func denied(err error) bool {
	var refused redis.Error
	if !errors.As(err, &refused) {
		return false
	}
	for _, words := range []string{"NOPERM", "The user executing the script can't", "ACL failure in script"} {
		if strings.Contains(refused.Error(), words) {
			return true
		}
	}
	return false
}
