package acme

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"
	"go.uber.org/zap"

	"github.com/signpost-fm/signpost/director/wording"
	"github.com/signpost-fm/signpost/store"
)

// awayPause is how soon a director without the store, or without a certificate that
// another director may order, looks again.
const awayPause = 2 * time.Second

// TakeUp is how soon a director shows a newer certificate that others put into the store.
const TakeUp = 10 * time.Second

// pauses are between attempts that fail, of all directors together: Let's Encrypt lets
// five fail an hour for a name. The last one repeats.
var pauses = []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour}

// errPaused ends an attempt before it begins.
var errPaused = errors.New("an attempt failed a moment ago, here or at another director; the next one is due later")

// A Manager keeps the certificates. It is safe for concurrent use.
type Manager struct {
	c       Config
	storage *storage
	cache   *certmagic.Cache
	magic   *certmagic.Config
	issuer  *certmagic.ACMEIssuer

	tries map[string]*try // by name; the map does not change

	lookEvery time.Duration
	pauses    []time.Duration
	clock     atomic.Int64 // how far ours is ahead of the authority's, in nanoseconds

	mu sync.Mutex // guards what is in each try
}

// try is what is known of the attempts for a name.
type try struct {
	failed int       // in a row, by this director
	next   time.Time // not before; zero: at any time
	err    error     // of the last one; nil: it succeeded, or none was made
	since  time.Time // of err
}

// State is the state of one name.
type State struct {
	Name    string
	Expires time.Time // zero: there is no certificate
	Issuer  string    // who signed it; empty: unknown
	// Error says why there is no certificate, or no newer one, and what to do; empty:
	// all is well.
	Error string
	Since time.Time // of Error
	Next  time.Time // the next attempt is not before; zero: not known
}

// New returns a Manager, which does nothing before [Manager.Run].
func New(c Config) (*Manager, error) {
	shared, err := newStorage(c.Files, c.Secret)
	if err != nil {
		return nil, err
	}
	m := &Manager{c: c, storage: shared, tries: map[string]*try{}, lookEvery: cmp.Or(c.lookEvery, TakeUp), pauses: pauses}
	if len(c.pauses) > 0 {
		m.pauses = c.pauses
	}
	for _, name := range c.Names {
		m.tries[name] = &try{}
	}
	log := zap.New(bridge{c.Log})
	m.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert:   func(certmagic.Certificate) (*certmagic.Config, error) { return m.magic, nil },
		RenewCheckInterval: c.checkEvery,
		Logger:             log,
	})
	config := certmagic.Config{
		Storage: shared, Logger: log,
		DefaultServerName: c.Names[0], FallbackServerName: c.Names[0],
		OnEvent:        m.event,
		ShouldEmitFunc: func(event string) bool { return strings.HasPrefix(event, "cert_") },
	}
	if c.Copy != nil {
		own, err := newStorage(c.Copy, c.Secret)
		if err != nil {
			return nil, err
		}
		config.LocalCache = own
	}
	if c.RSA {
		config.KeySource = certmagic.StandardKeyGenerator{KeyType: certmagic.RSA2048}
	}
	config.OCSP.DisableStapling = !c.OCSP
	m.magic = certmagic.New(m.cache, config)
	template := certmagic.ACMEIssuer{
		CA: c.Directory, TrustedRoots: c.roots(), Email: c.Email, Agreed: true, Logger: log,
		DisableHTTPChallenge: c.Challenge != HTTP01, DisableTLSALPNChallenge: c.Challenge != TLSALPN01,
		// certmagic opens a port of its own for the challenge, unless it finds it in use:
		// here, by this director.
		AltHTTPPort: c.Port, AltTLSALPNPort: c.Port,
	}
	if c.Challenge == DNS01 {
		template.DNS01Solver = records{m}
	}
	m.issuer = certmagic.NewACMEIssuer(m.magic, template)
	m.magic.Issuers = []certmagic.Issuer{m.issuer}
	return m, nil
}

// Run gets certificates, and renews them, until ctx is done.
func (m *Manager) Run(ctx context.Context) error {
	defer m.cache.Stop()
	var all sync.WaitGroup
	all.Go(func() { m.followClock(ctx) })
	if m.c.Challenge == DNS01 {
		all.Go(func() { records{m}.follow(ctx) })
	}
	for _, name := range m.c.Names {
		all.Go(func() { m.keep(ctx, name) })
	}
	all.Wait()
	<-ctx.Done()
	return nil
}

// keep gets a certificate for a name, which certmagic renews from then on, and takes up
// those that others put into the store, until ctx is done.
func (m *Manager) keep(ctx context.Context, name string) {
	var inForce string
	for ctx.Err() == nil {
		pause := m.lookEvery
		if len(m.cached(name)) == 0 && m.due(name) {
			pause = min(pause, m.get(ctx, name))
		} else if err := m.adopt(ctx, name); err != nil {
			m.c.Log.Debug("the store has no newer certificate", "name", name, "err", err)
		}
		if now := m.cached(name); len(now) > 0 && now[0].Hash() != inForce {
			inForce = now[0].Hash()
			m.mu.Lock()
			*m.tries[name] = try{} // whoever obtained it
			m.mu.Unlock()
			m.c.Log.Info("a certificate is in force", "name", name, "expires", now[0].Leaf.NotAfter)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// cached returns the certificates of exactly this name in memory.
func (m *Manager) cached(name string) []certmagic.Certificate {
	all := m.cache.AllMatchingCertificates(name) // of wildcards, too
	all = slices.DeleteFunc(all, func(c certmagic.Certificate) bool { return c.Leaf == nil || !slices.Contains(c.Names, name) })
	slices.SortFunc(all, func(a, b certmagic.Certificate) int { return b.Leaf.NotAfter.Compare(a.Leaf.NotAfter) })
	return all
}

// due says whether an attempt may be made now.
func (m *Manager) due(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !time.Now().Before(m.tries[name].next)
}

// get loads a certificate or, if there is none, orders it, and returns when to try again.
func (m *Manager) get(ctx context.Context, name string) time.Duration {
	err := m.reach(ctx, name)
	if err == nil {
		err = m.magic.ManageSync(ctx, []string{name})
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.tries[name]
	switch {
	case err == nil || ctx.Err() != nil || time.Now().Before(t.next): // what failed is noted
	case errors.Is(err, errPaused):
		t.wait()
	default:
		m.fail(name, t, remedy(err))
	}
	return max(awayPause, time.Until(t.next))
}

// adopt takes up a certificate from the store that is newer than the one in memory: another
// director renewed it, or it was imported. certmagic itself looks when one is due.
func (m *Manager) adopt(ctx context.Context, name string) error {
	issuer := m.issuer.IssuerKey()
	text, err := m.storage.Load(ctx, certmagic.StorageKeys.SiteCert(issuer, name))
	if err != nil {
		return err
	}
	old := m.cached(name)
	block, _ := pem.Decode(text)
	if block == nil || len(old) > 0 && bytes.Equal(block.Bytes, old[0].Leaf.Raw) {
		return nil
	}
	bundle, _, err := m.Bundle(ctx, name)
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(bundle, bundle)
	if err != nil || len(old) > 0 && pair.Leaf.NotBefore.Before(old[0].Leaf.NotBefore) {
		return err // the store was put back to an earlier state
	}
	if m.magic.LocalCache != nil { // it is looked into first
		for _, file := range []string{certmagic.StorageKeys.SitePrivateKey(issuer, name), certmagic.StorageKeys.SiteCert(issuer, name), certmagic.StorageKeys.SiteMeta(issuer, name)} {
			b, err := m.storage.Load(ctx, file)
			if err == nil {
				err = m.magic.LocalCache.Store(ctx, file, b)
			}
			if err != nil {
				return err
			}
		}
	}
	if _, err := m.magic.CacheManagedCertificate(ctx, name); err != nil {
		return err
	}
	newest := m.cached(name)
	for _, c := range old {
		if len(newest) > 1 && !bytes.Equal(c.Leaf.Raw, pair.Leaf.Raw) {
			m.cache.Remove([]string{c.Hash()})
		}
	}
	return nil
}

// reach returns nil if the store answers, or this director has its own copy of a
// certificate.
func (m *Manager) reach(ctx context.Context, name string) error {
	if m.magic.LocalCache != nil && m.magic.LocalCache.Exists(ctx, certmagic.StorageKeys.SiteCert(m.issuer.IssuerKey(), name)) {
		return nil
	}
	_, err := m.c.Files.ReadFile(ctx, "away")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// event is certmagic's call before and after an attempt. An error before it ends it. The
// store is asked without m.mu: who asks for the states does not wait for it.
func (m *Manager) event(ctx context.Context, event string, data map[string]any) error {
	name, _ := data["identifier"].(string)
	t := m.tries[name]
	if t == nil {
		return nil
	}
	claim := func(d time.Duration) (bool, error) {
		return m.c.Files.Claim(ctx, attempt(name), m.storage.holder, d)
	}
	switch event {
	case "cert_obtaining":
		if m.c.insists {
			return nil
		}
		m.mu.Lock()
		paused := time.Now().Before(t.next)
		m.mu.Unlock()
		if paused {
			return errPaused
		}
		// certmagic's lock keeps others away during the attempt. This lease is held only
		// after one that failed.
		ok, err := claim(time.Millisecond)
		if err == nil && !ok {
			err = errPaused
		}
		return err
	case "cert_failed":
		err, _ := data["error"].(error)
		if errors.Is(err, context.Canceled) {
			return nil // this director stops: nothing speaks against another's attempt
		}
		err = m.withClock(ctx, remedy(err))
		m.mu.Lock()
		pause := m.fail(name, t, err)
		m.mu.Unlock()
		_, _ = claim(pause) // without it, others try earlier
	case "cert_obtained":
		m.mu.Lock()
		*t = try{}
		m.mu.Unlock()
		_, _ = claim(0) // it ends by itself
		m.c.Log.Info("a certificate was obtained", "name", name)
	}
	return nil
}

// attempt is the lease that is held after an attempt for a name that failed.
func attempt(name string) string { return "attempt/" + certmagic.StorageKeys.Safe(name) }

// wait notes that others failed.
func (t *try) wait() {
	if t.err == nil {
		t.err, t.since = errPaused, time.Now()
	}
}

// fail notes a failure, logs a new one, and returns how long the next attempt must wait.
// m.mu is held.
func (m *Manager) fail(name string, t *try, err error) time.Duration {
	if t.err == nil {
		t.since = time.Now()
	}
	pause := awayPause // it costs the authority nothing
	if !errors.Is(err, store.ErrAway) && !errors.Is(err, errAccountAnew) {
		pause = m.pauses[min(t.failed, len(m.pauses)-1)]
		t.failed++
		t.next = time.Now().Add(pause)
	}
	if t.err == nil || t.err.Error() != err.Error() {
		m.c.Log.Error("a certificate cannot be obtained", "name", name, "err", err, "again_in", pause)
	}
	t.err = err
	return pause
}

// GetCertificate returns the certificate for a connection: an expired one rather than
// none. It is for [tls.Config.GetCertificate].
func (m *Manager) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if slices.Contains(hello.SupportedProtos, acmez.ACMETLS1Protocol) && (m.c.Challenge != TLSALPN01 || !slices.Contains(m.c.Names, hello.ServerName)) {
		return nil, fmt.Errorf("%q is no name of ours", hello.ServerName) // who asks for it shall not cost a look into the store
	}
	return m.magic.GetCertificate(hello)
}

// Bundle returns the private key of a name's certificate, and its chain, as PEM, and when it
// ends. It may ask the store.
func (m *Manager) Bundle(ctx context.Context, name string) (pem []byte, ends time.Time, err error) {
	if !slices.Contains(m.c.Names, name) {
		return nil, ends, fmt.Errorf("%q is none of listen.acme.names: %s", name, strings.Join(m.c.Names, ", "))
	}
	issuer := m.issuer.IssuerKey()
	for _, file := range []string{certmagic.StorageKeys.SitePrivateKey(issuer, name), certmagic.StorageKeys.SiteCert(issuer, name)} {
		b, err := m.storage.Load(ctx, file)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, ends, fmt.Errorf("there is no certificate of %s yet", name)
		}
		if err != nil {
			return nil, ends, err
		}
		pem = append(pem, b...)
	}
	pair, err := tls.X509KeyPair(pem, pem)
	if err != nil {
		return nil, ends, fmt.Errorf("the certificate of %s is being replaced: ask again", name) // one of its two files was
	}
	return pem, pair.Leaf.NotAfter, nil
}

// Protocols are those that a TLS listener must offer for the challenge, besides its own.
func (m *Manager) Protocols() []string {
	if m.c.Challenge != TLSALPN01 {
		return nil
	}
	return []string{ChallengeProtocol}
}

// ChallengePath begins the paths that the authority asks for.
const ChallengePath = "/.well-known/acme-challenge/"

// ChallengeProtocol is the protocol in TLS by which the authority asks for a challenge
// (tls-alpn-01).
const ChallengeProtocol = acmez.ACMETLS1Protocol

// NoChallenge begins what a director answers while no challenge is pending.
const NoChallenge = "no challenge is pending"

// ServeHTTP answers the authority's request for a challenge, whichever director began it.
// It looks into the store if the name is ours, and it is not for any other request.
func (m *Manager) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host, _, _ := strings.Cut(r.Host, ":")
	if !slices.Contains(m.c.Names, strings.ToLower(host)) || !m.issuer.HandleHTTPChallenge(w, r) {
		http.Error(w, NoChallenge+" for this name", http.StatusNotFound)
	}
}

// Leaf returns the certificate that is shown for a host; nil: there is none of that name.
func (m *Manager) Leaf(host string) *x509.Certificate {
	var newest *x509.Certificate
	for _, c := range m.cache.AllMatchingCertificates(host) {
		if c.Leaf != nil && (newest == nil || c.Leaf.NotAfter.After(newest.NotAfter)) {
			newest = c.Leaf
		}
	}
	return newest
}

// States returns the state of each name, in the order of [Config.Names].
func (m *Manager) States() []State {
	all := make([]State, 0, len(m.c.Names))
	for _, name := range m.c.Names {
		all = append(all, m.state(name))
	}
	return all
}

func (m *Manager) state(name string) State {
	s := State{Name: name}
	if all := m.cached(name); len(all) > 0 {
		s.Expires, s.Issuer = all[0].Leaf.NotAfter, all[0].Leaf.Issuer.CommonName
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if t := m.tries[name]; t.err != nil {
		s.Error, s.Since, s.Next = wording.Text(t.err), t.since, t.next
	}
	return s
}
