package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A lair is a network of its own behind a router of its own, from where listeners
// can vanish without a word.
type lair struct {
	t            *testing.T
	here, there  string // addresses: this machine's toward the lair, and the one in it
	router, name string // of the network namespaces
}

// newLair makes one of two network namespaces and two pairs of virtual interfaces.
// Without the right to do so the test is skipped.
func newLair(t *testing.T) *lair {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("listeners vanish in a network namespace, which only root can make")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skipf("listeners vanish in a network namespace: %v; Debian's package iproute2 has it", err)
	}
	// 198.18.0.0/15 is for tests of networks (RFC 2544).
	id := rand.IntN(60_000)
	net := func(host int) string { return fmt.Sprintf("198.18.%d.%d", id/240, id%240+host) }
	name := fmt.Sprintf("sp%x", id)
	l := &lair{t: t, router: name + "r", name: name + "l", here: net(0), there: net(3)}
	for _, ns := range []string{l.router, l.name} {
		if err := l.ip("netns", "add", ns); err != nil {
			t.Skipf("no network namespace can be made here: %v", err)
		}
		t.Cleanup(func() { _ = l.ip("netns", "del", ns) })
	}
	outer, inner := name+"o", name+"i"
	for _, args := range [][]string{
		{"link", "add", outer, "type", "veth", "peer", "name", "near", "netns", l.router},
		{"-n", l.router, "link", "add", "far", "type", "veth", "peer", "name", inner, "netns", l.name},
		{"addr", "add", l.here, "peer", net(1), "dev", outer},
		{"-n", l.router, "addr", "add", net(1), "peer", l.here, "dev", "near"},
		{"-n", l.router, "addr", "add", net(2), "peer", l.there, "dev", "far"},
		{"-n", l.name, "addr", "add", l.there, "peer", net(2), "dev", inner},
		{"link", "set", outer, "up"},
		{"-n", l.router, "link", "set", "near", "up"},
		{"-n", l.router, "link", "set", "far", "up"},
		{"-n", l.name, "link", "set", inner, "up"},
		{"route", "add", l.there, "via", net(1)},
		{"-n", l.name, "route", "add", "default", "via", net(2)},
	} {
		if err := l.ip(args...); err != nil {
			t.Fatal(err)
		}
	}
	l.forward("1")
	return l
}

func (l *lair) ip(args ...string) error {
	if said, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %q: %w: %s", args, err, said)
	}
	return nil
}

// vanish has the router drop every packet from now on, without telling anybody.
func (l *lair) vanish() { l.forward("0") }

func (l *lair) forward(on string) {
	l.t.Helper()
	if err := within(l.router, func() error { return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte(on), 0) }); err != nil {
		l.t.Fatal(err)
	}
}

// dial connects from within the lair.
func (l *lair) dial(addr string) (conn net.Conn, err error) {
	err = within(l.name, func() (err error) {
		conn, err = dialHere(addr)
		return err
	})
	return conn, err
}

// dialHere connects a listener whose own kernel holds little for it.
func dialHere(addr string) (net.Conn, error) {
	d := net.Dialer{Control: smallReceiveBuffer}
	return d.DialContext(context.Background(), "tcp4", addr)
}

func smallReceiveBuffer(_, _ string, c syscall.RawConn) error {
	var set error
	err := c.Control(func(fd uintptr) { set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<10) })
	return errors.Join(err, set)
}

// within runs do in a network namespace.
func within(name string, do func() error) error {
	ns, err := os.Open("/run/netns/" + name)
	if err != nil {
		return err
	}
	defer ns.Close()
	done := make(chan error)
	go func() {
		// The thread must come back and live on: servers and players that it has
		// started end with it, see Pdeathsig.
		runtime.LockOSThread()
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			runtime.UnlockOSThread()
			done <- err
			return
		}
		defer home.Close()
		if err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err == nil {
			err = do()
			if lost := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); lost != nil {
				done <- errors.Join(err, lost)
				return // still locked, for nothing else may run on such a thread
			}
		}
		runtime.UnlockOSThread()
		done <- err
	}()
	return <-done
}
