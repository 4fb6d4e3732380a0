package store

import "sync"

// A bell wakes any number of waiters at once. The zero bell is ready for use and
// costs nothing while nobody waits. It is safe for concurrent use.
type bell struct {
	mu   sync.Mutex
	rung chan struct{} // nil: nobody waits
}

// wait returns a channel that is closed when the bell rings next.
func (b *bell) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung == nil {
		b.rung = make(chan struct{})
	}
	return b.rung
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung != nil {
		close(b.rung)
		b.rung = nil
	}
}
