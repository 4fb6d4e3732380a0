package upgrade

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What is wrong with what a process was given is said, and what is another process's is
// left alone; neither is seen by the processes that this one starts.
func TestInherit(t *testing.T) {
	for name, c := range map[string]struct {
		env  map[string]string
		want string // of the error
	}{
		"nothing":           {nil, ""},
		"another process's": {map[string]string{"LISTEN_PID": strconv.Itoa(os.Getpid() + 1), "LISTEN_FDS": "3"}, ""},
		"no number":         {map[string]string{"LISTEN_PID": strconv.Itoa(os.Getpid()), "LISTEN_FDS": "many"}, `LISTEN_FDS="many" is no number`},
		"too many":          {map[string]string{variable: "100000"}, "is no number of sockets"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, key := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", variable} {
				t.Setenv(key, c.env[key])
			}
			in, err := Inherit()
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if in.Before != nil || len(in.Sockets) > 0 {
				t.Errorf("inherited %+v", in)
			}
			if left := os.Getenv("LISTEN_FDS") + os.Getenv(variable); left != "" {
				t.Errorf("%q is left to other processes", left)
			}
		})
	}
}

// A process that is ready goes on without the word of the one before: if that is gone, says
// something else, or hangs.
func TestReady(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		old  func(line net.Conn)
		want string
	}{
		"released": {func(line net.Conn) { fmt.Fprintln(line, released) }, ""},
		"gone":     {func(line net.Conn) { line.Close() }, "EOF"},
		"odd":      {func(line net.Conn) { fmt.Fprintln(line, "what?") }, "what?"},
		"hangs":    {func(net.Conn) {}, "timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				old, own := net.Pipe()
				defer old.Close()
				go func() {
					if word, _ := bufio.NewReader(old).ReadString('\n'); word == ready+"\n" {
						c.old(old)
					}
				}()
				began := time.Now()
				err := (&Before{own}).Ready(context.Background())
				if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
					t.Errorf("got %v, want %q", err, c.want)
				}
				if waited := time.Since(began); waited > releaseWithin {
					t.Errorf("it waited %v", waited)
				}
			})
		})
	}
}

// A program that ends before it is ready fails the upgrade, with how it ended, and so does
// one that cannot be started.
func TestNextFails(t *testing.T) {
	t.Parallel()
	n, err := Program{path: "/bin/false", dir: "/"}.Start(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-n.Ready(); err == nil || !strings.Contains(err.Error(), "exit status 1") {
		t.Errorf("a program that ends: %v", err)
	}
	if _, err := (Program{path: "/nowhere/signpost", dir: "/"}).Start(nil); err == nil {
		t.Error("a program that is not there was started")
	}
}
