package dns

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// Answer answers one query as a worker does, without a socket.
func (s *Server) Answer(query []byte, from netip.Addr, tcp bool, now time.Time) []byte {
	size := 2048
	if tcp {
		size = 65535
	}
	b := make([]byte, size)
	return b[:s.newWorker().answer(b, copy(b, query), from, tcp, now)]
}

// Answerer returns a function that answers in the memory that it is given.
func (s *Server) Answerer() func(msg []byte, n int, from netip.Addr, now time.Time) int {
	w := s.newPacketWorker()
	return func(msg []byte, n int, from netip.Addr, now time.Time) int { return w.answer(msg, n, from, false, now) }
}

// Rounds returns a function that looks up what is due.
func (s *Server) Rounds() func() {
	l := lookups{s: s, hosts: map[string]*host{}}
	return func() { l.round(context.Background(), &s.nodes) }
}

// Learner is a learner with its ways by hand.
type Learner struct {
	l      learner
	counts map[way]uint64
}

func NewLearner() *Learner {
	l := &Learner{counts: map[way]uint64{}}
	l.l.init()
	return l
}

// Answers notes answers for a region that led to a node.
func (l *Learner) Answers(r director.RegionID, n director.NodeID, count float64) {
	l.counts[way{r, n}] += uint64(count * wholeAnswer)
}

func (l *Learner) Step(now time.Time, view director.View, life time.Duration) {
	l.l.step(now, view, l.counts, life)
}

func (l *Learner) Brings() map[director.RegionID]float64 { return l.l.brings() }

// Cookie makes a server cookie with a secret.
func Cookie(secret []byte, client [8]byte, from netip.Addr, now time.Time) []byte {
	return newCookieKey(secret).append(nil, client, from, now)
}

// Converse answers the queries of one connection, as over TCP.
func (s *Server) Converse(ctx context.Context, c net.Conn, from netip.Addr) { s.converse(ctx, c, from) }
