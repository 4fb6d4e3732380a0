package service

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/signpost-fm/signpost/web/dns"
)

// handed are sockets that were open when this process began: a service manager has them,
// or the process whose place this one takes. They outlive the process, so that the kernel
// keeps waiting who connects meanwhile, and nobody is refused.
type handed struct {
	tcp []*net.TCPListener
	udp []dns.Packets
}

func sortHanded(files []*os.File) (h handed, err error) {
	for _, f := range files {
		if u, ok := dns.AsPackets(f); ok {
			h.udp = append(h.udp, u)
			continue
		}
		l, err := net.FileListener(f)
		_ = f.Close() // the listener has a duplicate
		if err != nil {
			return h, fmt.Errorf("the %s that was handed over does not listen: %w", f.Name(), err)
		}
		tcp, ok := l.(*net.TCPListener)
		if !ok {
			return h, fmt.Errorf("the socket %s that was handed over is not of TCP; write ListenStream=host:port in the socket unit", l.Addr())
		}
		h.tcp = append(h.tcp, tcp)
	}
	return h, nil
}

// take takes out the socket of TCP for an address; nil: there is none.
func (h *handed) take(addr string) *net.TCPListener {
	for i, l := range h.tcp {
		if bound(l.Addr().(*net.TCPAddr).AddrPort(), addr) {
			h.tcp = slices.Delete(h.tcp, i, i+1)
			return l
		}
	}
	return nil
}

// takeDNS takes out all sockets for an address.
func (h *handed) takeDNS(addr string) (udp []dns.Packets, tcp []*net.TCPListener) {
	h.udp = slices.DeleteFunc(h.udp, func(u dns.Packets) bool {
		ours := bound(u.At, addr)
		if ours {
			udp = append(udp, u)
		}
		return ours
	})
	h.tcp = slices.DeleteFunc(h.tcp, func(l *net.TCPListener) bool {
		ours := bound(l.Addr().(*net.TCPAddr).AddrPort(), addr)
		if ours {
			tcp = append(tcp, l)
		}
		return ours
	})
	return udp, tcp
}

// bound says whether a socket is one for an address of the configuration.
func bound(at netip.AddrPort, addr string) bool {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || strconv.Itoa(int(at.Port())) != port {
		return false
	}
	own := at.Addr().Unmap()
	if own.IsUnspecified() && (host == "" || host == "*" || host == "0.0.0.0" || host == "::") {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.Unmap() == own
}

// handedWait bounds how long a socket that a service manager handed over is not accepted
// from. The first snapshot takes less, whatever nodes and store do.
const handedWait = 10 * time.Second

// mayAnswer waits, at a socket that was handed over, for the first snapshot: until then
// there is nothing to answer but 503, and who connects can wait, or is answered by the
// process before. It returns false if ctx is done before.
func (d *Service) mayAnswer(ctx context.Context) bool {
	if !d.options.Succeeds {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, handedWait)
		defer cancel()
	}
	select {
	case <-d.syncer.Ready():
		return true
	case <-ctx.Done():
		return errors.Is(ctx.Err(), context.DeadlineExceeded)
	}
}

// closeUnused closes sockets that were handed over for addresses where nobody listens:
// who connects there would wait for ever.
func (d *Service) closeUnused() {
	say := func(at string) {
		d.log.Warn("a socket was handed over for an address that is none of listen.http, listen.https, dns.listen and admin.listen; it is closed", "addr", at)
	}
	for _, l := range d.handed.tcp {
		say(l.Addr().String())
		_ = l.Close() // it is nobody's
	}
	for _, u := range d.handed.udp {
		say(u.At.String())
		_ = u.File.Close()
	}
	d.handed = handed{}
}

// Sockets returns duplicates of the listening sockets, for a process that is to take this
// one's place. The caller closes them.
func (d *Service) Sockets() (all []*os.File, err error) {
	defer func() {
		if err != nil {
			for _, f := range all {
				_ = f.Close()
			}
		}
	}()
	streams := slices.Clone(d.sockets)
	for _, at := range d.names.sockets {
		udp, tcp, err := at.Files()
		all = append(all, udp...)
		if err != nil {
			return all, err
		}
		for _, l := range tcp {
			streams = append(streams, l)
		}
	}
	for _, l := range streams {
		f, err := duplicate(l)
		if err != nil {
			return all, fmt.Errorf("duplicate a listening socket: %w", err)
		}
		all = append(all, f)
	}
	return all, nil
}

// Release closes the listening sockets, answers all who have connected, and lets go what
// only one process may have: operators' changes on disk. Listeners who are connected are
// served on, to the end of their requests and streams.
func (d *Service) Release() {
	d.names.leaving.Store(true)
	d.web.Leave()
	ctx, cancel := context.WithTimeout(context.Background(), d.settings.Load().Listen.ShutdownTimeout+CloseTimeout)
	defer cancel()
	d.closing.closeFront(ctx, d.log)
	if err := d.syncer.Release(); err != nil {
		d.log.Error("operators' changes on disk cannot be left to the next process", "err", err)
	}
}

// Claim takes what the process before has released. Operators are answered from then on.
func (d *Service) Claim() {
	d.syncer.Claim()
	close(d.claimed)
}

// lingerCheck is how often it is looked whether all connections have ended.
const lingerCheck = 100 * time.Millisecond

// Linger waits after [Service.Release] until all who were connected have left, or until
// UpgradeTimeout has passed, or ctx is done.
func (d *Service) Linger(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, d.settings.Load().Proxy.UpgradeTimeout)
	defer cancel()
	_ = every(ctx, lingerCheck, func() {
		if d.web.Connections() == 0 {
			cancel()
		}
	})
}
