package redisstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/signpost-fm/signpost/store"
)

// ReadFile implements [store.Files].
func (s *Store) ReadFile(ctx context.Context, name string) ([]byte, error) {
	if err := store.CheckFile(name, nil); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.callTimeout)
	defer cancel()
	b, err := s.client.HGet(ctx, s.keys.files, name).Bytes()
	switch {
	case errors.Is(err, redis.Nil):
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	case err != nil:
		return nil, s.failed(ctx, err)
	}
	return b, nil
}

// WriteFile implements [store.Files]. A file is as durable as Redis is configured to make
// it.
func (s *Store) WriteFile(ctx context.Context, name string, content []byte) error {
	if err := store.CheckFile(name, content); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.callTimeout)
	defer cancel()
	if err := s.client.HSet(ctx, s.keys.files, name, content).Err(); err != nil {
		return s.failed(ctx, err)
	}
	return nil
}

// RemoveFile implements [store.Files].
func (s *Store) RemoveFile(ctx context.Context, name string) error {
	if err := store.CheckFile(name, nil); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.callTimeout)
	defer cancel()
	if err := s.client.HDel(ctx, s.keys.files, name).Err(); err != nil {
		return s.failed(ctx, err)
	}
	return nil
}

// FileNames implements [store.Files]. It reads the files, too: HKEYS is none of the
// commands that a director's ACL has had to allow.
func (s *Store) FileNames(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, s.callTimeout)
	defer cancel()
	all, err := s.client.HGetAll(ctx, s.keys.files).Result()
	if err != nil {
		return nil, s.failed(ctx, err)
	}
	return slices.Sorted(maps.Keys(all)), nil
}

// Claim implements [store.Files].
func (s *Store) Claim(ctx context.Context, name, holder string, d time.Duration) (bool, error) {
	if err := store.CheckFile(name, nil); err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.callTimeout)
	defer cancel()
	reply, err := s.scripts.claim.run(ctx, s.client, []string{s.keys.leases + name}, holder, max(0, d.Milliseconds()))
	if err != nil {
		return false, s.failed(ctx, err)
	}
	if len(reply) != 1 {
		return false, s.failed(ctx, errUnexpected)
	}
	return reply[0] == int64(1), nil
}
