package main

import (
	"fmt"
	"net/netip"
	"testing"
)

func TestPrefixes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ first, last, want string }{
		{"0.0.0.0", "255.255.255.255", "[0.0.0.0/0]"},
		{"192.0.2.0", "192.0.2.255", "[192.0.2.0/24]"},
		{"192.0.2.7", "192.0.2.7", "[192.0.2.7/32]"},
		{"10.0.0.1", "10.0.0.6", "[10.0.0.1/32 10.0.0.2/31 10.0.0.4/31 10.0.0.6/32]"},
		{"255.255.255.254", "255.255.255.255", "[255.255.255.254/31]"},
	} {
		if got := fmt.Sprint(prefixes4(netip.MustParseAddr(c.first), netip.MustParseAddr(c.last))); got != c.want {
			t.Errorf("%s to %s: %s, want %s", c.first, c.last, got, c.want)
		}
	}
	if got := lastOf(netip.MustParsePrefix("192.0.2.0/25")); got != netip.MustParseAddr("192.0.2.127") {
		t.Errorf("the last of 192.0.2.0/25 is %s", got)
	}
}

// Ratios are of one round to the same round: what slows all down does not show.
func TestBeside(t *testing.T) {
	t.Parallel()
	rounds := func(v ...float64) (r []round) {
		for _, us := range v {
			r = append(r, round{CPU: us})
		}
		return r
	}
	if got := beside(rounds(5, 50, 8), rounds(10, 100, 10)); got != 0.5 {
		t.Errorf("got %v, want 0.5", got)
	}
}
