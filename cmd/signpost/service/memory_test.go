package service

import "testing"

// The garbage that may lie about is the same whatever lives, up to where
// collecting would cost too much.
func TestHeadroom(t *testing.T) {
	t.Parallel()
	for live, want := range map[uint64]int{0: 400, 1 << 20: 400, 4 << 20: 200, 8 << 20: 100, 16 << 20: 50, 64 << 20: 25, 1 << 30: 25} {
		if got := percentOf(live); got != want {
			t.Errorf("%d MiB live: %d %%, want %d", live>>20, got, want)
		}
	}
}

// Memory is returned after many inline listeners, and after the last of a wave.
func TestTrim(t *testing.T) {
	t.Parallel()
	var n uint64
	m := memory{carried: func() uint64 { return n }}
	for i, c := range []struct {
		n    uint64
		want bool
	}{{0, false}, {50, false}, {99, false}, {100, true}, {250, true}, {300, false}, {300, true}, {300, false}, {305, false}, {305, false}, {310, false}, {310, true}} {
		n = c.n
		if got := m.trims(); got != c.want {
			t.Errorf("%d: after %d listeners: %v", i, n, got)
		}
	}
}
