package lastcall_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/web/lastcall"
)

const patience = 2 * time.Minute

// connected returns a client who has connected to a server whose listener is closed since,
// and has said nothing yet.
func connected(t *testing.T) (net.Conn, *lastcall.Server) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan struct{}, 1)
	server := &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "answer") }),
		ReadHeaderTimeout: patience,
		ErrorLog:          log.New(io.Discard, "", 0),
	}
	t.Cleanup(func() { server.Close() })
	last := lastcall.For(server)
	served := make(chan error, 1)
	go func() { served <- server.Serve(telling{l, accepted}) }()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	<-accepted
	l.Close()
	<-served // it has the connection
	return c, last
}

// Who has connected before the end, and asks after it, is answered.
func TestWhoHasConnectedIsAnswered(t *testing.T) {
	t.Parallel()
	c, last := connected(t)
	ended := make(chan error, 1)
	go func() { ended <- last.Shutdown(context.Background()) }()
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	if got, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 200 ") || !strings.HasSuffix(string(got), "answer") {
		t.Errorf("answered %q, %v", got, err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Who says nothing holds the end up no longer than its context.
func TestSilence(t *testing.T) {
	t.Parallel()
	_, last := connected(t)
	done, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := last.Shutdown(done); err == nil {
		t.Error("it ended well, with a connection left")
	}
}

// telling is a listener that tells of each connection that it hands out.
type telling struct {
	net.Listener
	accepted chan<- struct{}
}

func (l telling) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.accepted <- struct{}{}
	}
	return c, err
}
