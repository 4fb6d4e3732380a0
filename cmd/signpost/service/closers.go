package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
)

// closers are what has been opened, to be closed in reverse. What opens
// something registers its close at once. The zero value is ready; it is not safe
// for concurrent use.
type closers struct {
	all    []closer
	failed chan error // of what runs in the background
}

type closer struct {
	name  string
	close func(context.Context) error
}

// add registers the close of something. It must return soon after its context is done.
func (c *closers) add(name string, close func(context.Context) error) {
	c.all = append(c.all, closer{name, close})
}

// run starts something that runs until its context is cancelled, and registers
// its end. If it ends by itself, that is a failure of the whole program.
func (c *closers) run(name string, work func(context.Context) error) {
	if c.failed == nil {
		c.failed = make(chan error, 1)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	failed := c.failed
	go func() {
		err := work(ctx)
		if ctx.Err() == nil {
			if err == nil {
				err = errors.New("it ended")
			}
			select {
			case failed <- fmt.Errorf("%s: %w", name, err):
			default: // one failure is enough to stop for
			}
		}
		done <- err
	}()
	c.add(name, func(waiting context.Context) error {
		cancel()
		select {
		case err := <-done:
			if errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		case <-waiting.Done():
			return waiting.Err()
		}
	})
}

// close closes everything, the last first, whatever fails on the way.
func (c *closers) close(ctx context.Context, log *slog.Logger) {
	for _, one := range slices.Backward(c.all) {
		if err := one.close(ctx); err != nil {
			log.Error("closing failed", "what", one.name, "err", err)
		}
	}
	c.all = nil
}
