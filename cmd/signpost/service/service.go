// Package service runs one director: it opens everything that the settings ask for,
// applies other settings while it runs, and closes everything in reverse.
package service

import (
	"context"
	"crypto/tls"
	"fmt"
	"hash/maphash"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/signpost-fm/signpost/cmd/signpost/azuracast"
	"github.com/signpost-fm/signpost/cmd/signpost/config"
	"github.com/signpost-fm/signpost/cmd/signpost/notify"
	"github.com/signpost-fm/signpost/cmd/signpost/output"
	"github.com/signpost-fm/signpost/cmd/signpost/version"
	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/probe"
	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/web"
	"github.com/signpost-fm/signpost/web/acme"
	"github.com/signpost-fm/signpost/web/hls/origin"
	"github.com/signpost-fm/signpost/web/proxy"
)

// CloseTimeout is how long closing may take, besides the requests.
const CloseTimeout = 5 * time.Second

// Options are a Service's outputs, and how it listens.
type Options struct {
	Log     *slog.Logger
	LogTo   *output.Writer                                   // where Log goes to, to tell how that is; nil: not known
	Records io.Writer                                        // a line of JSON for each request; nil: none
	Record  func(*web.Record)                                // instead of Records; it must not block
	Listen  func(network, addr string) (net.Listener, error) // nil: net.Listen
	Handed  []*os.File                                       // sockets that are open already, for addresses in the settings
	// Succeeds says that another process answers until this one is ready, and then has to
	// release what only one may have: operators are not answered before [Service.Claim].
	Succeeds bool
}

// A Service is one running director.
type Service struct {
	options  Options
	log      *slog.Logger
	id       string // of this run, among the directors
	closing  closers
	started  *config.Settings                // at the start
	settings atomic.Pointer[config.Settings] // in force
	status   atomic.Pointer[configStatus]
	reload   sync.Mutex // held while settings or operators' rules are applied

	geo   geography
	certs certificates                 // of the public listeners, from files
	acme  atomic.Pointer[acme.Manager] // or from an authority; nil: not
	store store.Store
	// copyDir is where the syncer keeps a copy of the shared overlay; empty: it keeps none.
	copyDir string
	prober  *probe.Prober
	syncer  *store.Syncer
	proxy   *proxy.Proxy // nil: nothing is carried inline
	origins *origin.Reader
	web     *web.Server
	names   names
	records *recordLog // nil: none are kept
	files   descriptors
	mix     *mix
	plots   *plotFile // nil: nobody can look at them
	tokens  tokens
	watch   *notify.Watch
	azura   *azuracast.Relay // nil: there is no AzuraCast
	seed    maphash.Seed
	// operatorRules are the overlay's rules in force; guarded by reload.
	operatorRules []web.Rule

	// masked are the file's rows that were changed without effect; nil: none.
	masked atomic.Pointer[map[string]maskedRow]

	addrs      []net.Addr     // of the public listeners, http first
	admin      net.Addr       // nil: there is none
	handed     handed         // and not yet used
	sockets    []syscall.Conn // of TCP that listen, but for those of DNS
	claimed    chan struct{}  // closed when operators may be answered
	adminCerts certificates   // of the operators' listener
}

// Start opens everything, and only then lets any of it work. After an error, what was opened
// is closed again.
func Start(s *config.Settings, o Options) (*Service, error) {
	d := &Service{options: o, log: o.Log, id: newDirectorID(directorName(s)), seed: maphash.MakeSeed(), started: s, files: divide(openFiles(), s), claimed: make(chan struct{})}
	d.log.Info("this director", "name", directorName(s), "id", d.id)
	d.watch = notify.NewWatch(d.id)
	d.settings.Store(s)
	d.tokens.use(s)
	d.status.Store(new(configStatus))
	var err error
	if d.handed, err = sortHanded(o.Handed); err != nil {
		return nil, err
	}
	if !o.Succeeds {
		close(d.claimed)
	}
	d.closing.held = make(chan struct{}) // what one step opens, the work of another reads
	for _, step := range []func(*config.Settings) error{
		d.openGeo, d.openStore, d.openProber, d.openProxy, d.openSyncer, d.openInline, d.openAzuraCast, d.openNotify, d.openOrigins, d.openWeb, d.openPublic, d.openDNS, d.openAdmin,
	} {
		if err := step(s); err != nil {
			d.Close()
			return nil, err
		}
	}
	d.closeUnused()
	d.sayWarnings(s)
	close(d.closing.held)
	return d, nil
}

// Ready is closed when there is a first snapshot, and the nodes' playlists of HLS are known.
func (d *Service) Ready() <-chan struct{} { return d.origins.First() }

// Failed delivers an error after which the Service must be closed.
func (d *Service) Failed() <-chan error { return d.closing.failed }

// Addrs returns the addresses of the public listeners, http first.
func (d *Service) Addrs() []net.Addr { return d.addrs }

// AdminAddr returns the address of the operators' listener; nil: there is none.
func (d *Service) AdminAddr() net.Addr { return d.admin }

// Close closes everything, the last opened first. Requests may take the ShutdownTimeout.
func (d *Service) Close() {
	d.names.leaving.Store(true)
	d.drain()
	ctx, cancel := context.WithTimeout(context.Background(), d.settings.Load().Listen.ShutdownTimeout+CloseTimeout)
	defer cancel()
	d.closing.close(ctx, d.log)
}

// Retire makes /readyz say no, and goes on for the ShutdownDelay, so that load balancers
// notice.
func (d *Service) Retire() {
	d.web.Drain()
	d.names.leaving.Store(true)
	time.Sleep(d.settings.Load().Listen.ShutdownDelay)
}

// drain lets inline streams go on for the DrainTimeout and refuses new ones. Everything
// else is still answered.
func (d *Service) drain() {
	if d.proxy == nil || d.web == nil {
		return
	}
	d.web.Drain()
	ctx, cancel := context.WithTimeout(context.Background(), d.settings.Load().Proxy.DrainTimeout)
	defer cancel()
	_ = d.proxy.Drain(ctx) // running into the deadline is not a failure
}

func (d *Service) openProber(s *config.Settings) error {
	c := s.Probe
	c.Log = d.log.With("part", "probe")
	// A reload may change kinds and credentials.
	c.Kind = func(id director.NodeID) string { return d.settings.Load().Kind(id) }
	c.Path = func(id director.NodeID) string {
		if d.settings.Load().Kind(id) != probe.Reach {
			return d.settings.Load().ProbePath(id)
		}
		return d.syncer.Plays(id) // d.syncer is set before any node registers
	}
	c.Expect = func(id director.NodeID) probe.Statuses { return d.settings.Load().ProbeExpect(id) }
	c.Credentials = func(id director.NodeID) (string, string, bool) { return d.settings.Load().Credentials(id) }
	d.prober = probe.New(c)
	d.closing.run("prober", d.prober.Run)
	return nil
}

func (d *Service) openSyncer(s *config.Settings) error {
	var err error
	d.syncer, err = store.NewSyncer(store.SyncerConfig{
		Store: d.store, Config: s.Fleet, Prober: d.prober,
		Name: directorName(s), Director: d.id, Version: version.Current().Version, StateDir: d.copyDir, Site: s.Store.Site, Tick: s.Store.Tick, Settle: s.Store.Settle,
		Stale:     3 * s.Probe.Detection(),
		Uncounted: d.uncounted, Sessions: d.sessions, Moves: d.moves, Addrs: d.ownAddrs, Leaving: d.names.leaving.Load,
		CheckRule: checkRule,
		DownAfter: s.Store.DownAfter, ForgetAfter: s.Store.ForgetAfter,
		Log: d.log.With("part", "store"),
	})
	if err != nil {
		return err
	}
	d.closing.run("syncer", d.syncer.Run)
	d.closing.run("operators' rows", d.sayUsedRows)
	return nil
}

func (d *Service) openProxy(s *config.Settings) error {
	if s.Proxy.MaxListeners == 0 {
		return nil
	}
	c := s.Proxy.Config
	c.MaxListeners = d.files.inline
	c.Log = d.log.With("part", "proxy")
	c.Targets, c.Nodes = d.targets, d.nodeURLs
	c.Evidence = d.nodeFailed
	c.Opening = d.countUpstream
	d.proxy = proxy.New(c)
	d.closing.add("proxy", d.proxy.Drain)
	return nil
}

// openInline starts to move inline listeners away from drained nodes.
func (d *Service) openInline(*config.Settings) error {
	if d.proxy != nil {
		d.closing.run("hand-over of inline listeners", d.vacate)
		d.closing.run("which mounts inline listeners hear", d.tellHeard)
	}
	return nil
}

// remembered is how many of the last requests explain finds: an hour of nine a second, in
// 4 MB.
const remembered = 32 << 10

// openOrigins starts to read the nodes' playlists of HLS.
func (d *Service) openOrigins(*config.Settings) error {
	d.origins = origin.New(origin.Config{
		View: d.syncer.View, Wants: web.ComesInParts, Agent: "Signpost/" + version.Current().Version, Log: d.log.With("part", "hls"),
	})
	d.closing.run("playlists of nodes", d.origins.Run)
	return nil
}

func (d *Service) openWeb(s *config.Settings) error {
	c := web.Config{
		View: d.syncer.View, Playlists: d.origins.Mount, Unmap: d.geo.unmap, Locate: d.geo.locate, Origin: d.geo.origin, Evidence: d.syncer.Doubt, Ready: d.readyz,
		HashSecret: s.Secret, MaxConnections: d.files.connections, Policy: d.policy(s),
		Record: d.options.Record, Log: d.log.With("part", "web"),
	}
	if s.Admin.Listen != "" { // who would ask?
		c.Past = remembered
	}
	if d.options.Records != nil && c.Record == nil {
		d.records = newRecordLog(d.options.Records, d.log)
		c.Record = d.records.add
		d.closing.run("records", d.records.Run)
	}
	if d.proxy != nil {
		c.Carrier = NewCarrier(d.proxy)
	}
	c.HTTPSWorks = d.httpsWorks
	if s.Listen.ACME != nil {
		c.Challenge = http.HandlerFunc(d.challenge)
	}
	var err error
	if d.web, err = web.New(c); err != nil {
		return err
	}
	d.operatorRules = c.Policy.Overlay
	d.closing.run("rules of operators", d.followRules)
	d.mix = newMix(d.web.Sent, time.Now)
	d.closing.run("mix of listeners", d.mix.run)
	return nil
}

// openPublic opens the public listeners. They answer 503 until the first snapshot.
func (d *Service) openPublic(s *config.Settings) error {
	d.closing.add("web", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, d.settings.Load().Listen.ShutdownTimeout)
		defer cancel()
		return d.web.Shutdown(ctx)
	})
	for _, addr := range s.Listen.HTTP {
		l, when, err := d.open("http", addr, listenPlainly)
		if err != nil {
			return err
		}
		d.serve("http", d.web.Listener(l, s.Listen.ProxyProtocol), when, d.web.Serve)
	}
	var speaks *tls.Config
	for _, addr := range s.Listen.HTTPS {
		l, when, err := d.open("https", addr, net.Listen)
		if err != nil {
			return err
		}
		if speaks == nil {
			if speaks, err = d.openTLS(s); err != nil {
				return err
			}
		}
		d.serve("https", tls.NewListener(proxy.Wired(d.web.Listener(l, s.Listen.ProxyProtocol)), speaks), when, d.web.Serve)
	}
	return nil
}

// openTLS returns how the public https listeners, of which the first is open, speak TLS.
func (d *Service) openTLS(s *config.Settings) (*tls.Config, error) {
	c := d.certs.config("http/1.1")
	speak(c, s.Listen.TLS)
	if s.Listen.ACME == nil {
		offerHTTP2(c, s.Listen.TLS.HTTP2)
		d.shareTickets(c, s)
		return c, d.openCertificates(&d.certs, "listen", func(s *config.Settings) config.Certificate { return s.Listen.Certificate })
	}
	asked := d.addrs[0]
	if s.Listen.ACME.Challenge == acme.TLSALPN01 {
		asked = d.addrs[len(s.Listen.HTTP)]
	}
	if err := d.openACME(s, asked); err != nil {
		return nil, err
	}
	m := d.acme.Load()
	c.NextProtos = append(c.NextProtos, m.Protocols()...)
	c.GetCertificate = m.GetCertificate
	offerHTTP2(c, s.Listen.TLS.HTTP2)
	d.shareTickets(c, s)
	return c, nil
}

// listenPlainly listens without Multipath TCP, which package net would use: a redirect is
// over before a second path is of use, and each connection costs 2 % more.
func listenPlainly(network, addr string) (net.Listener, error) {
	var c net.ListenConfig
	c.SetMultipathTCP(false)
	return c.Listen(context.Background(), network, addr)
}

// open listens at one public address. when says when to begin to answer there; nil: at once.
func (d *Service) open(scheme, addr string, listen func(network, addr string) (net.Listener, error)) (l net.Listener, when func(context.Context) bool, err error) {
	if d.options.Listen != nil {
		listen = d.options.Listen
	}
	if own := d.handed.take(addr); own != nil {
		when = d.mayAnswer
		listen = func(string, string) (net.Listener, error) { return own, nil }
	}
	l, err = listen("tcp", addr)
	if err != nil {
		return nil, nil, fmt.Errorf("listen for %s: %w; is another program there? choose another address under listen.%s", scheme, err, scheme)
	}
	d.addrs = append(d.addrs, l.Addr())
	d.keepSocket(l)
	return l, when, nil
}

// keepSocket notes a listening socket for [Service.Sockets].
func (d *Service) keepSocket(l net.Listener) {
	if c, ok := l.(syscall.Conn); ok {
		d.sockets = append(d.sockets, c)
	}
}

// serve answers at l in the background, once when has returned true.
func (d *Service) serve(what string, l net.Listener, when func(context.Context) bool, answer func(net.Listener) error) {
	defer d.closing.markFront(len(d.closing.all))
	d.log.Info("listening", "for", what, "addr", l.Addr().String())
	d.closing.run(what+" at "+l.Addr().String(), func(ctx context.Context) error {
		defer context.AfterFunc(ctx, func() { _ = l.Close() })() // open connections go on
		if when != nil && !when(ctx) {
			return nil
		}
		err := answer(l)
		if ctx.Err() != nil {
			return nil
		}
		return err
	})
}

func (d *Service) sayWarnings(s *config.Settings) {
	warnings, err := s.Warnings()
	if err != nil {
		d.log.Error("the configuration cannot be surveyed", "err", err) // it was compiled before
		return
	}
	if w := d.files.warning(s); w != "" {
		warnings = append(warnings, w)
	}
	for _, w := range warnings {
		if w != config.Forgets { // conditions has it
			d.log.Warn(w)
		}
	}
}
