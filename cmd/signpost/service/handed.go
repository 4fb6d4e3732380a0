package service

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// handedFrom is the first descriptor of a socket that was handed over (sd_listen_fds(3)).
const handedFrom = 3

// Handed returns the listening sockets that this process was given by who started it, as
// systemd gives those of a socket unit. They outlive the process: while one ends and the
// next one starts, the kernel keeps who connects waiting, and nobody is refused. It may
// be called once; what was handed over is nobody else's.
func Handed() ([]*net.TCPListener, error) {
	defer func() {
		for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
			_ = os.Unsetenv(name) // it cannot fail with such a name
		}
	}()
	if pid, err := strconv.Atoi(os.Getenv("LISTEN_PID")); err != nil || pid != os.Getpid() {
		return nil, nil
	}
	n, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if err != nil || n < 0 || n > 100 {
		return nil, fmt.Errorf("LISTEN_FDS=%.20q is no number of sockets", os.Getenv("LISTEN_FDS"))
	}
	var all []*net.TCPListener
	for fd := handedFrom; fd < handedFrom+n; fd++ {
		file := os.NewFile(uintptr(fd), "handed over")
		l, err := net.FileListener(file)
		_ = file.Close() // the listener has a duplicate
		if err != nil {
			return nil, fmt.Errorf("the descriptor %d that was handed over is no listening socket: %w", fd, err)
		}
		tcp, ok := l.(*net.TCPListener)
		if !ok {
			return nil, fmt.Errorf("the socket %s that was handed over is not of TCP; write ListenStream=host:port in the socket unit", l.Addr())
		}
		all = append(all, tcp)
	}
	return all, nil
}

// handed takes out the socket that was handed over for an address; nil: there is none.
func (d *Service) handed(addr string) *net.TCPListener {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil
	}
	for i, l := range d.options.Handed {
		at := l.Addr().(*net.TCPAddr)
		anywhere := at.IP.IsUnspecified() && (host == "" || host == "0.0.0.0" || host == "::")
		if strconv.Itoa(at.Port) == port && (anywhere || at.IP.Equal(net.ParseIP(strings.Trim(host, "[]")))) {
			d.options.Handed = append(d.options.Handed[:i:i], d.options.Handed[i+1:]...)
			return l
		}
	}
	return nil
}

// handedWait bounds how long a socket that was handed over is not accepted from. The
// first snapshot takes less, whatever nodes and store do.
const handedWait = 10 * time.Second

// whenReady returns an answer that begins with the first snapshot, if the socket of an
// address was handed over: until then there is nothing to answer but 503.
func (d *Service) whenReady(addr string, answer func(net.Listener) error) func(net.Listener) error {
	if !slices.Contains(d.patient, addr) {
		return answer
	}
	return func(l net.Listener) error {
		select {
		case <-d.syncer.Ready():
		case <-time.After(handedWait):
		}
		return answer(l)
	}
}

// closeUnused closes sockets that were handed over for addresses where nobody listens:
// who connects there would wait for ever.
func (d *Service) closeUnused() {
	for _, l := range d.options.Handed {
		d.log.Warn("a socket was handed over for an address that is none of listen.http, listen.https and admin.listen; it is closed", "addr", l.Addr().String())
		_ = l.Close() // it is nobody's
	}
	d.options.Handed = nil
}
