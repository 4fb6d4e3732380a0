package main

import (
	"net"
	"net/netip"
	"sync"
	"testing"

	"github.com/signpost-fm/signpost/geo"
)

// embedded is the database that is in the program, opened once.
var embedded = sync.OnceValues(func() (*geo.Locator, error) { return geo.Open(geo.Config{}) })

// TestDemoListeners: the embedded database is made anew now and then, and the
// demo must not promise what it no longer says.
func TestDemoListeners(t *testing.T) {
	t.Parallel()
	l, err := embedded()
	if err != nil {
		t.Fatal(err)
	}
	for _, who := range demoListeners {
		if got := l.Locate(netip.MustParseAddr(who.addr)).Country.String(); got != who.country {
			t.Errorf("%s is in %q, want %s (%s)", who.addr, got, who.country, who.where)
		}
	}
}

func TestListenNextFree(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	next, err := listenNextFree("tcp", taken.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	if was, is := taken.Addr().(*net.TCPAddr).Port, next.Addr().(*net.TCPAddr).Port; is <= was {
		t.Errorf("port %d after %d, which is taken", is, was)
	}
	if _, err := listenNextFree("tcp", "192.0.2.1:0"); err == nil {
		t.Error("another machine's address was accepted")
	}
}
