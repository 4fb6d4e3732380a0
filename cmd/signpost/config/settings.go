package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/probe"
	"github.com/signpost-fm/signpost/geo"
	"github.com/signpost-fm/signpost/store/redisstore"
	"github.com/signpost-fm/signpost/web"
	"github.com/signpost-fm/signpost/web/admin"
	"github.com/signpost-fm/signpost/web/proxy"
)

// Settings is a configuration that was checked as a whole and converted to what each
// package knows. It is immutable. The packages' own Configs are without what only
// running gives them, such as logs and callbacks.
type Settings struct {
	Name     string // of the file, as the operator wrote it
	Listen   Listen
	Admin    Admin
	Fleet    director.Config
	Policy   web.Policy
	Secret   []byte // for placement and pseudonyms; nil: one of this run
	Geo      geo.Config
	Store    Store
	Probe    probe.Config
	Proxy    Proxy
	StateDir string // need not exist yet; empty: none

	document    *Document
	credentials map[director.NodeID]credential
	kinds       map[director.NodeID]string
}

// Listen is where listeners come in.
type Listen struct {
	HTTP, HTTPS    []string       // addresses, host:port
	Certificate    Certificate    // of HTTPS
	PublicURLs     []string       // how listeners reach the directors from outside
	ProxyProtocol  []netip.Prefix // load balancers that send a PROXY protocol header
	MaxConnections int
	ShutdownDelay  time.Duration
	// ShutdownTimeout is how long requests may take to end.
	ShutdownTimeout time.Duration
}

// Admin is the operators' side.
type Admin struct {
	Listen      string // host:port; empty: there is none
	Certificate Certificate
	Tokens      []admin.Token // none: nobody is asked
	SafeBelow   int           // listeners that may be left on a node that is safe to terminate
}

// Certificate names the files of a certificate and its key, both or none.
type Certificate struct{ CertFile, KeyFile string }

// Store is where directors agree.
type Store struct {
	Redis                  *redisstore.Config // nil: the embedded store
	Site                   string             // of this director
	Tick, Settle           time.Duration
	DownAfter, ForgetAfter time.Duration // of registered nodes that are silent
}

// Proxy is what is carried inline. Without MaxListeners it is nothing.
type Proxy struct {
	proxy.Config
	DrainTimeout time.Duration // how long streams play on at shutdown
}

// credential is what a node's statistics are asked with.
type credential struct{ user, password string }

// Settings converts and checks the whole file. The error is a [*yamlfile.Error] with
// every mistake in it.
func (d *Document) Settings() (*Settings, error) {
	s := &Settings{Name: d.name, StateDir: d.path(d.StateDir), document: d}
	c := converter{Document: d}
	c.asciiURLs()
	s.Fleet = c.fleet()
	if _, err := director.Compile(s.Fleet); err != nil {
		c.errs = append(c.errs, err)
	}
	s.Policy = c.policy()
	if err := web.CheckPolicy(s.Policy); err != nil {
		c.errs = append(c.errs, err)
	}
	s.Geo = geo.Config{Unknown: c.place(d.Geo.Unknown, "geo", "unknown"), Private: c.place(d.Geo.Private, "geo", "private")}
	for i, p := range prefixes(d.Geo.NAT64) {
		if err := geo.CheckNAT64(p); err != nil {
			c.fail(err.Error(), "geo", "nat64", i)
		}
		s.Geo.NAT64 = append(s.Geo.NAT64, p)
	}
	for _, name := range d.Geo.Databases {
		s.Geo.Databases = append(s.Geo.Databases, d.path(name))
	}
	s.credentials, s.kinds = c.access()
	s.Secret = c.secret()
	s.Listen, s.Admin = c.listeners()
	s.Store, s.Probe, s.Proxy = c.store(), c.probe(), c.proxy()
	c.bounds()
	if err := errors.Join(c.errs...); err != nil {
		return nil, d.annotate(err)
	}
	return s, nil
}

// A converter collects every mistake while a file is converted.
type converter struct {
	*Document
	errs []error
}

func (c *converter) fail(msg string, path ...any) {
	c.errs = append(c.errs, &director.ConfigError{Path: path, Msg: msg})
}

func (c *converter) place(p placeValue, path ...any) director.Place {
	place, err := p.place()
	if err != nil {
		c.fail(err.Error(), path...)
	}
	return place
}

// policyPlaces says where the fields of a web.Policy and the numbers of choosing
// stand in the file.
var policyPlaces = map[string][]any{
	"tuning":          {"regions"},
	"may_register":    {"store", "registered", "ids"},
	"overflow_url":    {"regions", "overflow_url"},
	"escalate":        {"rules", "escalate"},
	"scheme_mismatch": {"rules", "scheme_mismatch"},
	"entries":         {"listen", "playlist_entries"},
	"playlist_length": {"listen", "playlist_length"},
	"public_url":      {"listen", "public_urls", 0},
	"default_mount":   {"listen", "default_mount"},
	"sids":            {"listen", "sids"},
	"forward_header":  {"listen", "forward_header"},
	"trusted":         {"listen", "trusted_proxies"},
}

func (c *converter) policy() web.Policy {
	p := web.Policy{
		Escalate:       c.Rules.Escalate,
		SchemeMismatch: c.Rules.SchemeMismatch,
		Entries:        c.Listen.PlaylistEntries,
		PlaylistLength: c.Listen.PlaylistLength,
		DefaultMount:   c.Listen.DefaultMount,
		KeepAlive:      c.Listen.KeepAlive,
		NoStatus:       !c.Listen.StatusPage,
		ForwardHeader:  c.Listen.ForwardHeader,
		PerKey:         anyBelowZero(c.Listen.MaxPerKey),
		PerAddress:     anyBelowZero(c.Listen.MaxPerAddress),
		FullAddresses:  c.Privacy.FullAddresses,
	}
	if len(c.Listen.PublicURLs) > 0 {
		p.PublicURL = c.Listen.PublicURLs[0]
	}
	p.Trusted = prefixes(c.Listen.TrustedProxies)
	for sid, mount := range c.Listen.SIDs {
		n, err := strconv.Atoi(sid)
		if err != nil || n < 0 {
			c.fail(fmt.Sprintf("%q is no SID; SHOUTcast counts 1, 2, 3", sid), "listen", "sids", sid)
			continue
		}
		if p.SIDs == nil {
			p.SIDs = map[int]string{}
		}
		p.SIDs[n] = mount
	}
	if c.Listen.PlaylistLength == 0 { // to package web, 0 is the default
		c.fail("must be 1 to 20 nodes", "listen", "playlist_length")
	}
	for _, r := range c.Rules.List {
		p.Rules = append(p.Rules, r.rule())
	}
	return p
}

func (r *ruleEntry) rule() web.Rule {
	out := web.Rule{
		Name: r.Name, UserAgent: r.UserAgent, UserAgentRegexp: r.UserAgentRegexp, HTTP: r.HTTP,
		Answer: r.Answer, HTTPOnly: r.HTTPOnly, SameScheme: r.SameScheme, ICY: r.ICY, OrRedirect: r.OrRedirect, Relay: r.Relay,
		Reason: r.Reason,
	}
	for _, h := range r.Headers {
		out.Headers = append(out.Headers, web.HeaderMatch{Name: h.Name, Absent: h.Absent, Glob: h.Glob})
	}
	return out
}

// anyBelowZero writes "any number" as package web does: its zero is the default.
func anyBelowZero(n int) int {
	if n == 0 {
		return -1
	}
	return n
}

// access reads how each node is asked for its statistics.
func (c *converter) access() (map[director.NodeID]credential, map[director.NodeID]string) {
	credentials, kinds := map[director.NodeID]credential{}, map[director.NodeID]string{}
	for i, n := range c.Nodes {
		kinds[director.NodeID(n.ID)] = n.Kind
		if !slices.Contains(probe.Kinds(), n.Kind) {
			c.fail(fmt.Sprintf("%q: use %s", n.Kind, strings.Join(probe.Kinds(), ", ")), "nodes", i, "kind")
		}
		if n.CredentialsFile == "" {
			continue
		}
		user, password, err := ReadCredentials(c.path(n.CredentialsFile))
		if err != nil {
			c.fail(err.Error(), "nodes", i, "credentials_file")
		}
		credentials[director.NodeID(n.ID)] = credential{user, password}
	}
	return credentials, kinds
}

func (c *converter) secret() []byte {
	if c.Privacy.SecretFile == "" {
		return nil
	}
	text, err := readSecret(c.path(c.Privacy.SecretFile))
	switch {
	case err != nil:
		c.fail(err.Error(), "privacy", "secret_file")
	case len(text) < minSecret:
		c.fail(fmt.Sprintf("%s holds fewer than %d characters; `openssl rand -hex 32` makes a good secret", c.path(c.Privacy.SecretFile), minSecret), "privacy", "secret_file")
	}
	return []byte(text)
}

const (
	minSecret      = 16       // characters
	maxSecretBytes = 64 << 10 // more than any secret that people keep in a file
)

func readSecret(name string) (string, error) {
	b, err := os.ReadFile(name)
	if err == nil && len(b) > maxSecretBytes {
		err = fmt.Errorf("%s is larger than %d KB; is it the right file?", name, maxSecretBytes>>10)
	}
	return string(bytes.TrimSpace(b)), err
}

// ReadCredentials reads a file with one line user:password.
func ReadCredentials(name string) (user, password string, err error) {
	text, err := readSecret(name)
	if err != nil {
		return "", "", err
	}
	user, password, ok := strings.Cut(text, ":")
	if !ok || user == "" || strings.Contains(text, "\n") {
		return "", "", fmt.Errorf("%s must hold one line, user:password", name)
	}
	return user, password, nil
}

// bounds checks the numbers that the other packages take as they come.
func (c *converter) bounds() {
	type bound struct {
		ok   bool
		msg  string
		path []any
	}
	const positive, notNegative = "must be above 0", "must be 0 or more"
	for _, b := range []bound{
		{c.Store.Tick > 0, positive, []any{"store", "tick"}},
		{c.Store.Settle > 0, positive, []any{"store", "settle"}},
		{c.Store.Registered.DownAfter > 0, positive, []any{"store", "registered", "down_after"}},
		{c.Store.Registered.ForgetAfter >= c.Store.Registered.DownAfter, "must not be below down_after", []any{"store", "registered", "forget_after"}},
		{c.Probe.Interval > 0, positive, []any{"probe", "interval"}},
		{c.Probe.Timeout > 0, positive, []any{"probe", "timeout"}},
		{c.Probe.Recheck > 0, positive, []any{"probe", "recheck"}},
		{c.Probe.Fall > 0, positive, []any{"probe", "fall"}},
		{c.Probe.Rise > 0, positive, []any{"probe", "rise"}},
		{c.Probe.Sample >= 0, notNegative, []any{"probe", "sample"}},
		{c.Proxy.MaxListeners >= 0, notNegative, []any{"proxy", "max_listeners"}},
		{c.Proxy.MaxMbit >= 0, notNegative, []any{"proxy", "max_mbit"}},
		{c.Proxy.MaxPerMount >= 0, notNegative, []any{"proxy", "max_per_mount"}},
		{c.Proxy.MaxPerClient >= 0, notNegative, []any{"proxy", "max_per_client"}},
		{c.Proxy.Burst >= 0, notNegative, []any{"proxy", "burst"}},
		{c.Proxy.Linger >= 0, notNegative, []any{"proxy", "linger"}},
		{c.Proxy.DrainTimeout >= 0, notNegative, []any{"proxy", "drain_timeout"}},
		{c.Proxy.ConnectTimeout > 0, positive, []any{"proxy", "connect_timeout"}},
		{c.Proxy.HeaderTimeout > 0, positive, []any{"proxy", "header_timeout"}},
		{c.Proxy.IdleTimeout > 0, positive, []any{"proxy", "idle_timeout"}},
		{c.Proxy.StallTimeout > 0, positive, []any{"proxy", "stall_timeout"}},
		{c.Listen.MaxConnections > 0, positive, []any{"listen", "max_connections"}},
		{c.Listen.MaxPerKey >= 0, notNegative, []any{"listen", "max_per_key"}},
		{c.Listen.MaxPerAddress >= 0, notNegative, []any{"listen", "max_per_address"}},
		{c.Listen.ShutdownDelay >= 0, notNegative, []any{"listen", "shutdown_delay"}},
		{c.Admin.SafeBelow >= 0, notNegative, []any{"admin", "safe_below"}},
		{c.Listen.ShutdownTimeout >= 0, notNegative, []any{"listen", "shutdown_timeout"}},
		{c.Regions.WarmUp >= 0, notNegative, []any{"regions", "warm_up"}},
		{c.Regions.SpillAt > 0, positive, []any{"regions", "spill_at"}},
		{c.Regions.WarmUpFloor > 0, positive, []any{"regions", "warm_up_floor"}},
		{c.Regions.NearFactor > 0, positive, []any{"regions", "near_factor"}},
		{c.Regions.NearKm > 0, positive, []any{"regions", "near_km"}},
	} {
		if !b.ok {
			c.fail(b.msg, b.path...)
		}
	}
}

// probe converts how nodes are watched.
func (c *converter) probe() probe.Config {
	p := c.Probe
	return probe.Config{Interval: p.Interval, Timeout: p.Timeout, Recheck: p.Recheck, Fall: p.Fall, Rise: p.Rise, Sample: p.Sample, Push: p.Push}
}

// proxy converts what is carried inline.
func (c *converter) proxy() Proxy {
	p := c.Proxy
	return Proxy{proxy.Config{
		MaxListeners: p.MaxListeners, MaxMbit: p.MaxMbit,
		MaxPerMount: p.MaxPerMount, MaxPerClient: p.MaxPerClient,
		PerListener: p.PerListener, Burst: p.Burst, Linger: p.Linger,
		ConnectTimeout: p.ConnectTimeout, HeaderTimeout: p.HeaderTimeout,
		IdleTimeout: p.IdleTimeout, StallTimeout: p.StallTimeout,
	}, p.DrainTimeout}
}

// translate says in the file's words what another package said in its own.
func translate(e *director.ConfigError) *director.ConfigError {
	if len(e.Path) == 0 {
		return e
	}
	first, _ := e.Path[0].(string)
	place, ok := policyPlaces[first]
	if !ok {
		return e
	}
	return &director.ConfigError{Path: slices.Concat(place, e.Path[1:]), Msg: cmp.Or(e.Msg, "is wrong")}
}

// Kind is what sort of server a node is. Of one that is not declared, its agent
// tells everything but whether it can be reached.
func (s *Settings) Kind(id director.NodeID) string {
	if kind, declared := s.kinds[id]; declared {
		return kind
	}
	return probe.Reach
}

// Credentials are what a node's statistics are asked with.
func (s *Settings) Credentials(id director.NodeID) (user, password string, ok bool) {
	c, ok := s.credentials[id]
	return c.user, c.password, ok
}
