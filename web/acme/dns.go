package acme

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"

	"github.com/mholt/acmez/v3/acme"
)

const (
	// recordsFile has the records of all challenges that are pending, as JSON: the values of
	// each name's TXT records.
	recordsFile = "dns-01.json"
	// recordsEvery is how often a director looks whether another has begun a challenge.
	recordsEvery = 2 * time.Second
	// recordsWait is until all directors answer with a new record.
	recordsWait = 3 * recordsEvery
	// maxRecords bounds the values of one name: those of a director that died stay until
	// others follow.
	maxRecords = 8
)

// records answers dns-01 through the directors' own DNS. It implements [acmez.Solver]. The
// authority may ask any director, so that all of them publish what any one has begun.
type records struct{ *Manager }

// Present implements [acmez.Solver].
func (r records) Present(ctx context.Context, c acme.Challenge) error {
	return r.change(ctx, c, func(values []string, value string) []string {
		values = append(values, value)
		return values[max(0, len(values)-maxRecords):]
	})
}

// Wait implements [acmez.Waiter].
func (r records) Wait(ctx context.Context, _ acme.Challenge) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(recordsWait):
		return nil
	}
}

// CleanUp implements [acmez.Solver].
func (r records) CleanUp(ctx context.Context, c acme.Challenge) error {
	return r.change(ctx, c, func(values []string, value string) []string {
		return slices.DeleteFunc(values, func(v string) bool { return v == value })
	})
}

// change changes the records of a challenge's name. A lease keeps the changes of several
// directors apart.
func (r records) change(ctx context.Context, c acme.Challenge, f func(values []string, value string) []string) (err error) {
	if err := r.storage.Lock(ctx, recordsFile); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.storage.Unlock(ctx, recordsFile)) }()
	all, err := r.load(ctx)
	if err != nil {
		return err
	}
	name := c.DNS01TXTRecordName()
	all[name] = f(all[name], c.DNS01KeyAuthorization())
	if len(all[name]) == 0 {
		delete(all, name)
	}
	b, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return r.storage.Store(ctx, recordsFile, b)
}

func (r records) load(ctx context.Context) (map[string][]string, error) {
	all := map[string][]string{}
	b, err := r.storage.Load(ctx, recordsFile)
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err == nil {
		if err = json.Unmarshal(b, &all); err != nil {
			err = fmt.Errorf("the shared file %s cannot be read; remove it, and a new one takes its place: %w", recordsFile, err)
		}
	}
	return all, err
}

// follow publishes the records of all directors until ctx is done. While the store is away,
// those that were there stay.
func (r records) follow(ctx context.Context) {
	tick := time.NewTicker(recordsEvery)
	defer tick.Stop()
	published := map[string][]string{}
	for {
		if all, err := r.load(ctx); err == nil && !maps.EqualFunc(all, published, slices.Equal) {
			r.c.Publish(all)
			published = all
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
