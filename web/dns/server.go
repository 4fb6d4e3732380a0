package dns

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// Config is what a [Server] needs. View, Locate and Widest must be set.
type Config struct {
	// View returns the newest snapshot with its counters, or one without a Snapshot
	// before there is any. It must not block.
	View func() director.View
	// Unmap returns the IPv4 address that an IPv6 address stands for, and how many bits are
	// before it; -1: it stands for itself, and is returned. Nil: all but IPv4-mapped ones do.
	Unmap func(netip.Addr) (unmapped netip.Addr, before int)
	// Locate returns the place of an address. Widest returns the length of the widest prefix
	// around addr, at least atLeast, in which alike is true for the place of every address.
	// They must not block.
	Locate func(netip.Addr) director.Place
	Widest func(addr netip.Addr, atLeast int, alike func(director.Place) bool) int
	// Edition returns another number once Locate and Widest may return anything else. nil:
	// they may at any time, and nothing of theirs is remembered.
	Edition func() uint64
	// Directors returns the live directors, this one included unless it is about to stop.
	// It must not block. nil: there are none.
	Directors func() []Director

	// Lookup finds the addresses of a host. nil: the system's resolver.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	// Secret makes Keys and cookies the same at all servers that share it. Without a secret,
	// Keys are still the same everywhere, and cookies are this process's own.
	Secret []byte

	// Record, if set, is called for each query, by several goroutines. It must not block,
	// and must not keep the Record, which is reused.
	Record func(*Record)
	Now    func() time.Time // nil: time.Now
	Log    *slog.Logger     // nil: no log

	Policy Policy
}

// Director is a server that answers listeners over HTTP, as it appears in answers.
type Director struct {
	Addrs []netip.Addr
	Place director.Place // NoPoint: unknown
}

// Server answers DNS. It is safe for concurrent use.
type Server struct {
	cfg     Config
	policy  atomic.Pointer[policy]
	keys    keys
	limiter *limiter
	began   time.Time
	stats   *stats
	nodes   nodeAddrs
	learn   learner
	setting sync.Mutex

	tcp     atomic.Int64 // open connections
	clients connections  // open connections by network
	refused atomic.Uint64
}

// keys are the keys derived from the secret.
type keys struct {
	placement uint64
	cookie    cookieKey
}

// New returns a server. Mistakes in the policy are an error, as from [CheckPolicy].
func New(c Config) (*Server, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Directors == nil {
		c.Directors = func() []Director { return nil }
	}
	if c.Unmap == nil {
		c.Unmap = func(a netip.Addr) (netip.Addr, int) {
			if a.Is4In6() {
				return a.Unmap(), 96
			}
			return a.WithZone(""), -1
		}
	}
	if c.Lookup == nil {
		c.Lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	s := &Server{cfg: c, keys: newKeys(c.Secret), began: c.Now(), stats: newStats()}
	var seed [8]byte
	rand.Read(seed[:]) // never fails: see the package's documentation
	s.limiter = newLimiter(binary.LittleEndian.Uint64(seed[:]))
	s.learn.init()
	return s, s.SetPolicy(c.Policy)
}

func newKeys(secret []byte) keys {
	var own [16]byte
	rand.Read(own[:])
	k := keys{cookie: newCookieKey(own[:])}
	if len(secret) > 0 {
		placement := sha256.Sum256(append([]byte("signpost dns placement "), secret...))
		cookies := sha256.Sum256(append([]byte("signpost dns cookies "), secret...))
		k.placement = binary.LittleEndian.Uint64(placement[:])
		k.cookie = newCookieKey(cookies[:])
	}
	return k
}

// SetPolicy puts a policy in force for further queries. A policy with mistakes is refused
// as a whole, and the old one stays.
func (s *Server) SetPolicy(p Policy) error {
	c, err := compilePolicy(p)
	if err != nil {
		return fmt.Errorf("dns: %w", err)
	}
	s.setting.Lock()
	defer s.setting.Unlock()
	s.stats.count(c.zone)
	s.policy.Store(c)
	return nil
}

// Sockets are the sockets at which a server listens.
type Sockets struct {
	udp  []*packetSocket // one for each core and address
	tcp  []*net.TCPListener
	addr netip.AddrPort
}

// Listen opens the UDP and TCP sockets of an address such as ":53" or "192.0.2.53:53";
// without a host, those of IPv4 and of IPv6. Port 0 selects a port that is free for all.
func Listen(ctx context.Context, addr string) (*Sockets, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("%q is not host:port: %w", addr, err)
	}
	hosts := []string{host}
	if host == "" || host == "*" {
		hosts = []string{"0.0.0.0", "::"}
	}
	const tries = 20 // a port that is free for UDP may be taken for TCP
	for n := 1; ; n++ {
		s, err := listen(ctx, hosts, port)
		if err == nil {
			return s, nil
		}
		if port != "0" || n == tries {
			return nil, explained(addr, err)
		}
	}
}

func listen(ctx context.Context, hosts []string, port string) (s *Sockets, err error) {
	s = &Sockets{}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	var missing error
	for _, host := range hosts {
		err := s.open(ctx, host, port)
		if err != nil && len(hosts) > 1 && noFamily(err) {
			missing = err // the machine has no IPv6, or no IPv4
			continue
		}
		if err != nil {
			return s, err
		}
		port = fmt.Sprint(s.addr.Port())
	}
	if len(s.udp) == 0 {
		return s, missing
	}
	return s, nil
}

func (s *Sockets) open(ctx context.Context, host, port string) error {
	family := "6"
	if ip, err := netip.ParseAddr(host); err == nil && ip.Unmap().Is4() {
		family = "4"
	} else if err != nil {
		family = "" // a host name
	}
	c := net.ListenConfig{Control: socketOptions}
	for range workers() {
		p, err := c.ListenPacket(ctx, "udp"+family, net.JoinHostPort(host, port))
		if err != nil {
			return err
		}
		at := p.LocalAddr().(*net.UDPAddr).AddrPort()
		u, err := newPacketSocket(p.(*net.UDPConn))
		if err != nil {
			return err
		}
		s.udp = append(s.udp, u)
		if !s.addr.IsValid() {
			s.addr = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
		}
		port = fmt.Sprint(at.Port())
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp"+family, net.JoinHostPort(host, port))
	if err != nil {
		return err
	}
	s.tcp = append(s.tcp, l.(*net.TCPListener))
	return nil
}

// A Packets is a UDP socket that another process has opened, and where it is bound.
type Packets struct {
	File *os.File
	At   netip.AddrPort
}

// Take makes Sockets of those that another process has opened, and closes those given. An
// address with fewer UDP sockets than cores gets further descriptors of the same one.
func Take(udp []Packets, tcp []*net.TCPListener) (s *Sockets, err error) {
	s = &Sockets{tcp: tcp}
	defer func() {
		for _, u := range udp {
			_ = u.File.Close()
		}
		if err != nil {
			s.Close()
		}
	}()
	if len(udp) == 0 || len(tcp) == 0 {
		return s, errors.New("DNS needs a socket of UDP and one of TCP at the same address; hand over both (ListenDatagram and ListenStream in a socket unit)")
	}
	at := map[netip.AddrPort]int{}
	take := func(u Packets) error {
		p, err := takePacketSocket(u.File, u.At)
		if p != nil {
			s.udp = append(s.udp, p)
			at[u.At]++
		}
		return err
	}
	for _, u := range udp {
		if err := take(u); err != nil {
			return s, err
		}
	}
	for _, u := range udp {
		for at[u.At] < workers() {
			if err := take(u); err != nil {
				return s, err
			}
		}
	}
	s.addr = netip.AddrPortFrom(udp[0].At.Addr().Unmap(), udp[0].At.Port())
	return s, nil
}

// Files returns descriptors of the sockets for another process, which goes on with them
// by [Take].
func (s *Sockets) Files() (udp []*os.File, tcp []*net.TCPListener, err error) {
	for _, u := range s.udp {
		f, err := u.duplicate()
		if err != nil {
			return udp, nil, err
		}
		udp = append(udp, f)
	}
	return udp, s.tcp, nil
}

// workers is how many UDP sockets share an address: one for each core, or only one where
// sockets cannot share it.
func workers() int {
	if !sharesPorts {
		return 1
	}
	return runtime.GOMAXPROCS(0)
}

// Addr is the first address, with the port.
func (s *Sockets) Addr() netip.AddrPort { return s.addr }

// Close closes the sockets; [Server.Serve] then ends.
func (s *Sockets) Close() error {
	var errs []error
	for _, u := range s.udp {
		errs = append(errs, u.Close())
	}
	for _, t := range s.tcp {
		errs = append(errs, t.Close())
	}
	return errors.Join(errs...)
}

// Serve answers at the sockets until ctx is done, then closes them and returns nil.
func (s *Server) Serve(ctx context.Context, at *Sockets) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = at.Close() })
	defer stop()
	errs := make(chan error, len(at.udp)+len(at.tcp))
	var all sync.WaitGroup
	run := func(f func() error) {
		all.Go(func() {
			if err := f(); err != nil && ctx.Err() == nil {
				errs <- err
				cancel() // if one fails, all end
			}
		})
	}
	for _, u := range at.udp {
		run(func() error { return s.serveUDP(u) })
	}
	for _, t := range at.tcp {
		run(func() error { return s.serveTCP(ctx, t) })
	}
	all.Wait()
	_ = at.Close()
	close(errs)
	return <-errs
}

// Run looks up the addresses of nodes and learns how many listeners an answer brings, until
// ctx is done. It returns nil.
func (s *Server) Run(ctx context.Context) error {
	var both sync.WaitGroup
	both.Go(func() { s.nodes.run(ctx, s) })
	both.Go(func() { s.learn.run(ctx, s) })
	both.Wait()
	return nil
}

// sortByDistance sorts directors by distance, the nearest first; those whose place is
// unknown come last. It is an insertion sort: there are few directors.
func sortByDistance(at []Director, p director.Place) {
	for i := 1; i < len(at); i++ {
		for j := i; j > 0 && at[j].Place.Km(p) < at[j-1].Place.Km(p); j-- {
			at[j], at[j-1] = at[j-1], at[j]
		}
	}
}

// safely answers one query. A panic costs only this answer; it is counted and logged.
func (s *Server) safely(w *worker, msg []byte, n int, from netip.Addr, now time.Time) (size int) {
	defer func() {
		if p := recover(); p != nil {
			s.stats.panics.Add(1)
			s.cfg.Log.Error("a DNS query panicked", "panic", p, "stack", string(debug.Stack()))
			size = 0
		}
	}()
	return w.answer(msg, n, from, false, now)
}
