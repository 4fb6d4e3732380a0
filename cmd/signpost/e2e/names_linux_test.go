package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/signpost-fm/signpost/director/probe/probetest"
	"github.com/signpost-fm/signpost/director/probe/proctest"
)

// apart is the environment variable of a test that runs in namespaces of its own.
const apart = "SIGNPOST_E2E_APART"

// The name by which listeners come, its zone, and its port.
const (
	byNameZone = "live.radio.test"
	byName     = "a." + byNameZone
	byNamePort = 8000
)

// Clients that cannot be told a resolver use the one of /etc/resolv.conf, at port 53. The
// test therefore runs itself again in a network and with mounts of its own.
func TestClientsByName(t *testing.T) {
	if os.Getenv(apart) != "" {
		playByName(t)
		return
	}
	t.Parallel()
	proctest.Need(t, "dnsmasq", "icecast2", "ffmpeg", "curl", "cvlc", "gcc", "musl-gcc", "ip")
	if os.Geteuid() != 0 {
		t.Skip("needs root: for a network and an /etc/resolv.conf of its own")
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestClientsByName$", "-test.v", "-test.timeout="+(4*patience).String())
	cmd.Env = append(os.Environ(), apart+"=1", builtBefore+"="+program(t))
	cmd.SysProcAttr = proctest.DieWithTest()
	cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWNET | unix.CLONE_NEWNS
	said, err := cmd.CombinedOutput()
	switch {
	case errors.Is(err, unix.EPERM):
		t.Skipf("needs the right to make namespaces: %v", err)
	case err != nil || !bytes.Contains(said, []byte("--- PASS: TestClientsByName ")):
		t.Errorf("%v\n%s", err, said)
	}
}

// playByName plays by name with all kinds of clients, kills the node that they were led to,
// and plays again.
func playByName(t *testing.T) {
	if err := ownNetwork(t); err != nil {
		t.Fatal(err)
	}
	var options []probetest.Options
	for i, hz := range tones[:2] {
		options = append(options, probetest.Options{
			Addr: fmt.Sprintf("127.0.0.%d", 11+i), Port: byNamePort,
			Mounts: []probetest.Mount{{Path: "/live.mp3", Hz: hz, Kbit: 64}},
		})
	}
	fleet := probetest.Fleet(t, options...)
	s := direct(t, fleet, "regions: [{id: home, match: default, weights: {n1: 1}, overflow: [reserve]}, {id: reserve, weights: {n2: 1}}]\n"+
		fmt.Sprintf("dns: {listen: '127.0.0.1:0', zone: %s, ns: [ns1.radio.test, ns2.radio.test], names: {%s: {mount: /live.mp3, port: %d, ttl: 1s}}}\n", byNameZone, byName, byNamePort))
	resolve(t, s)
	lookups := []lookup{
		{"glibc", getaddrinfo(t, "gcc")},
		{"musl", getaddrinfo(t, "musl-gcc")},
		{"Go", func() ([]string, error) { return (&net.Resolver{PreferGo: true}).LookupHost(t.Context(), byName) }},
	}
	clientsHear(t, s, lookups, "127.0.0.11", tones[0])
	fleet[0].Kill()
	clientsHear(t, s, lookups, "127.0.0.12", tones[1])
}

// ownNetwork brings the loopback up, and has programs ask the resolver at 127.0.0.1.
func ownNetwork(t *testing.T) error {
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	// What is mounted here is mounted for nobody else.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	for name, text := range map[string]string{
		"/etc/resolv.conf":   "nameserver 127.0.0.1\noptions timeout:1 attempts:10\n",
		"/etc/nsswitch.conf": "hosts: files dns\n",
	} {
		file := filepath.Join(t.TempDir(), filepath.Base(name))
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil { // players are other users
			return err
		}
		if err := unix.Mount(file, name, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// resolve starts a resolver that asks the director for its zone, and nobody else.
func resolve(t *testing.T, s *signpost) {
	t.Helper()
	host, port, err := net.SplitHostPort(s.dns)
	if err != nil {
		t.Fatal(err)
	}
	var said proctest.Output
	cmd := exec.Command("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file=", "--user=",
		"--listen-address=127.0.0.1", "--bind-interfaces", fmt.Sprintf("--server=/%s/%s#%s", byNameZone, host, port))
	cmd.SysProcAttr = proctest.DieWithTest()
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("dnsmasq: %s", &said)
		}
	})
}

// A lookup is one way of programs to find the addresses of the name.
type lookup struct {
	who string
	ask func() ([]string, error)
}

// clientsHear waits until every kind of client is led to an address and no other, and then
// plays with those that can.
func clientsHear(t *testing.T, s *signpost, lookups []lookup, addr string, tone int) {
	t.Helper()
	for _, l := range lookups {
		s.within(patience, l.who+" finds "+addr+" alone", func() bool {
			got, err := l.ask()
			return err == nil && slices.Equal(got, []string{addr})
		})
	}
	url := fmt.Sprintf("http://%s:%d/live.mp3", byName, byNamePort)
	t.Run("listening to "+addr, func(t *testing.T) {
		for _, p := range players {
			if !slices.Contains([]string{"curl", "ffmpeg", "vlc"}, p.name) {
				continue
			}
			t.Run(p.name, func(t *testing.T) {
				t.Parallel()
				if got := heard(t, play(t, p, url, 2), tones); got != tone {
					t.Errorf("heard %d Hz, want the %d Hz of %s", got, tone, addr)
				}
			})
		}
		t.Run("Go", func(t *testing.T) {
			t.Parallel()
			if got := heard(t, goPlays(t, url), tones); got != tone {
				t.Errorf("heard %d Hz, want the %d Hz of %s", got, tone, addr)
			}
		})
	})
}

// getaddrinfo asks the C library that a compiler links, as nearly all programs do: for both
// families at once. That of Alpine and OpenWrt, musl, gives up a name for an error in one.
func getaddrinfo(t *testing.T, compiler string) func() ([]string, error) {
	t.Helper()
	const source = `
#include <stdio.h>
#include <string.h>
#include <netdb.h>
#include <sys/socket.h>

int main(int argc, char **argv) {
	struct addrinfo want, *a;
	char host[64];
	int err;
	memset(&want, 0, sizeof want);
	want.ai_socktype = SOCK_STREAM;
	if ((err = getaddrinfo(argv[1], argv[2], &want, &a))) {
		fprintf(stderr, "%s\n", gai_strerror(err));
		return 1;
	}
	for (; a; a = a->ai_next) {
		getnameinfo(a->ai_addr, a->ai_addrlen, host, sizeof host, 0, 0, NI_NUMERICHOST);
		puts(host);
	}
	return 0;
}`
	program := filepath.Join(t.TempDir(), "find")
	cmd := exec.Command(compiler, "-x", "c", "-o", program, "-")
	cmd.Stdin = strings.NewReader(source)
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", compiler, err, said)
	}
	return func() ([]string, error) {
		out, err := exec.Command(program, byName, strconv.Itoa(byNamePort)).Output()
		return strings.Fields(string(out)), err
	}
}

// goPlays records 24 KB, which are 3 s, as a program in Go would.
func goPlays(t *testing.T, url string) string {
	t.Helper()
	d := net.Dialer{Resolver: &net.Resolver{PreferGo: true}}
	c := &http.Client{Timeout: patience, Transport: &http.Transport{DialContext: d.DialContext, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b := make([]byte, 24<<10)
	if _, err := io.ReadFull(resp.Body, b); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "sound.mp3")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
