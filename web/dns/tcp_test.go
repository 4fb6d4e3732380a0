package dns_test

import (
	"context"
	"io"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	miekg "github.com/miekg/dns"
)

// A client that is slow is cut off in time, whatever it sends or does not read, and none
// stays for ever.
func TestTCPTimes(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	s := l.ready()
	query := framed((&shape{qname: zone, qtype: miekg.TypeSOA}).query(t))
	ask := func(c net.Conn) error {
		if _, err := c.Write(query); err != nil {
			return err
		}
		_, err := receive(c)
		return err
	}
	for _, c := range []struct {
		name   string
		client func(c net.Conn)
		lasts  time.Duration
	}{
		{"says nothing", func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, 10 * time.Second},
		{"asks once, and says nothing more", func(c net.Conn) {
			time.Sleep(7 * time.Second)
			_ = ask(c)
			_, _ = io.Copy(io.Discard, c)
		}, 17 * time.Second},
		{"sends a byte a second", func(c net.Conn) {
			for i := 0; ; i++ {
				if _, err := c.Write(query[i%len(query) : i%len(query)+1]); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}, 10 * time.Second},
		{"does not read the answer", func(c net.Conn) {
			_, _ = c.Write(query)
			time.Sleep(time.Minute)
		}, 5 * time.Second},
		{"asks every five seconds", func(c net.Conn) {
			for ask(c) == nil {
				time.Sleep(5 * time.Second)
			}
		}, 2 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				begin := time.Now()
				left := make(chan struct{})
				go func() {
					defer close(left)
					c.client(theirs)
				}()
				s.Converse(context.Background(), ours, netip.MustParseAddr("192.0.2.1"))
				if took := time.Since(begin); took != c.lasts {
					t.Errorf("it was cut off after %v, want %v", took, c.lasts)
				}
				ours.Close()
				<-left
			})
		})
	}
}
