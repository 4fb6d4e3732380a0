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
