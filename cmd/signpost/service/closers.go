package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// closers close what was opened, in reverse. Each step that opens something adds its
// close at once. The zero value is ready to use; it is not safe for concurrent use.
type closers struct {
	all    []closer
	failed chan error    // of background work
	held   chan struct{} // background work begins when it is closed; nil: at once
}

type closer struct {
	name  string
	close func(context.Context) error
	front bool // it is closed when another process takes this one's place
}

// markFront marks what was added since there were n closers: it is what another process has
// to do instead of this one.
func (c *closers) markFront(n int) {
	for i := range c.all[n:] {
		c.all[n+i].front = true
	}
}

// add adds a function to call at the end. It must return soon after its context is done.
func (c *closers) add(name string, close func(context.Context) error) {
	c.all = append(c.all, closer{name: name, close: close})
}

// run starts background work as soon as nothing holds it, and adds its end: its context is
// cancelled. Work that ends before is a failure of the whole service.
func (c *closers) run(name string, work func(context.Context) error) {
	if c.failed == nil {
		c.failed = make(chan error, 1)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	failed, held := c.failed, c.held
	go func() {
		if held != nil {
			select {
			case <-held:
			case <-ctx.Done(): // it sees that, and ends
			}
		}
		err := work(ctx)
		if ctx.Err() == nil {
			if err == nil {
				err = errors.New("it ended")
			}
			select {
			case failed <- fmt.Errorf("%s: %w", name, err):
			default: // the first failure is enough
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

// every calls do each time that d has passed, until ctx is done.
func every(ctx context.Context, d time.Duration, do func()) error {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			do()
		}
	}
}

// closeGrace is how long a closer may take after ctx is done before it is left behind.
const closeGrace = 200 * time.Millisecond

// close calls everything, the last first. Errors are logged. What hangs, as on a disk that
// does not answer, is left behind: the process ends all the same.
func (c *closers) close(ctx context.Context, log *slog.Logger) {
	closeAll(ctx, log, c.all)
	c.all = nil
}

// closeFront closes what is marked as the front, like close.
func (c *closers) closeFront(ctx context.Context, log *slog.Logger) {
	var front, rest []closer
	for _, one := range c.all {
		if one.front {
			front = append(front, one)
		} else {
			rest = append(rest, one)
		}
	}
	closeAll(ctx, log, front)
	c.all = rest
}

func closeAll(ctx context.Context, log *slog.Logger, all []closer) {
	for _, one := range slices.Backward(all) {
		ended := make(chan error, 1)
		go func() { ended <- one.close(ctx) }()
		var err error
		select {
		case err = <-ended:
		case <-ctx.Done():
			select {
			case err = <-ended:
			case <-time.After(closeGrace):
				err = errors.New("it hangs and is left behind")
			}
		}
		if err != nil {
			log.Error("closing failed", "what", one.name, "err", err)
		}
	}
}
