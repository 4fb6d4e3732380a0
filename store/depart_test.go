package store_test

import (
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/signpost-fm/signpost/store"
)

// Directors tell each other where listeners reach them, and one that stops is gone from
// that at once and not only when it has been silent for long.
func TestDirectorsTellTheirAddresses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := memory(t)
		at := func(s string) func() []netip.Addr {
			return func() []netip.Addr { return []netip.Addr{netip.MustParseAddr(s)} }
		}
		a := start(t, store.SyncerConfig{Store: shared, Director: "a", Addrs: at("192.0.2.1")})
		b := start(t, store.SyncerConfig{Store: join(t, shared), Director: "b", Addrs: at("192.0.2.2")})
		pass(4 * tick)
		want := func(when string, want map[string][]netip.Addr) {
			t.Helper()
			got := map[string][]netip.Addr{}
			for _, d := range a.Status().Directors {
				got[d.ID] = d.Addrs
			}
			if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", when, diff)
			}
		}
		want("both live", map[string][]netip.Addr{"a": at("192.0.2.1")(), "b": at("192.0.2.2")()})
		b.stop()
		pass(twoTicks)
		want("b has just stopped", map[string][]netip.Addr{"a": at("192.0.2.1")()})
		if twoTicks >= store.DirectorLife {
			t.Error("the test waits so long that b would be gone anyway")
		}
	})
}
