package proctest

import (
	"bytes"
	"strings"
	"sync"
)

// Output keeps what a program or a logger writes, and may be read meanwhile. Its zero
// value is empty.
type Output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer; it never fails.
func (o *Output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(b)
}

// String returns all that was written.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// Count returns how often what was written.
func (o *Output) Count(what string) int { return strings.Count(o.String(), what) }
