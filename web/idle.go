package web

import (
	"container/list"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"
)

// minIdle is how long a connection may wait for a request at least, however many others
// come: a listener who is far away needs two round trips.
const minIdle = time.Second

// idlers are the connections that wait for a request, or for the rest of one, in the order
// in which they began. While there is no room for a new connection, the one that has waited
// longest makes room for it: a silent connection does not keep out a listener.
type idlers struct {
	least time.Duration // minIdle
	mu    sync.Mutex    // guards what follows
	order list.List     // of idler
	at    map[net.Conn]*list.Element
}

type idler struct {
	conn  net.Conn
	since time.Time
}

// set notes whether a connection waits.
func (i *idlers) set(c net.Conn, waits bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if e, ok := i.at[c]; ok {
		i.order.Remove(e)
		delete(i.at, c)
	}
	if !waits {
		return
	}
	if i.at == nil {
		i.at = map[net.Conn]*list.Element{}
	}
	i.at[c] = i.order.PushBack(idler{c, time.Now()})
}

// state is for [http.Server.ConnState].
func (i *idlers) state(c net.Conn, s http.ConnState) {
	i.set(c, s == http.StateNew || s == http.StateIdle)
}

// mayShed says whether a connection that waits since then makes room for another one.
func (i *idlers) mayShed(since time.Time) bool {
	return !since.IsZero() && time.Since(since) >= i.least
}

// longest is since when the connection waits that has waited longest; now: none waits.
func (i *idlers) longest() time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	if front := i.order.Front(); front != nil {
		return front.Value.(idler).since
	}
	return time.Now()
}

// shed closes the connection that has waited longest. It returns false if none has waited
// for least.
func (i *idlers) shed() bool {
	i.mu.Lock()
	front := i.order.Front()
	if front == nil || !i.mayShed(front.Value.(idler).since) {
		i.mu.Unlock()
		return false
	}
	c := i.order.Remove(front).(idler).conn
	delete(i.at, c)
	i.mu.Unlock()
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn() // its own Close writes, and may wait for that
	}
	_ = c.Close()
	return true
}
