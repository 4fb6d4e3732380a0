//go:build !linux

package lane

import (
	"net"
	"time"
)

func (p *Listener) start() error             { return nil }
func (p *Listener) adopt(departure) net.Conn { return nil }

func (d departure) close() {}

// thread is for Linux only.
type thread struct{}

func (t *thread) wake()              {}
func (t *thread) longest() time.Time { return time.Time{} }
func (t *thread) shed() bool         { return false }
