package config

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/signpost-fm/signpost/cmd/signpost/azuracast"
	"github.com/signpost-fm/signpost/cmd/signpost/notify"
	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/probe"
	"github.com/signpost-fm/signpost/director/wording"
	"github.com/signpost-fm/signpost/geo"
	"github.com/signpost-fm/signpost/geo/fetch"
	"github.com/signpost-fm/signpost/store/redisstore"
	"github.com/signpost-fm/signpost/web"
	"github.com/signpost-fm/signpost/web/acme"
	"github.com/signpost-fm/signpost/web/admin"
	"github.com/signpost-fm/signpost/web/proxy"
)

// Settings is a configuration that was checked as a whole and converted to what each
// package is configured with, but for logs and callbacks. It is immutable.
type Settings struct {
	Name   string // of the file, as the operator wrote it
	Listen Listen
	Admin  Admin
	Fleet  director.Config
	Policy web.Policy
	Secret []byte // for placement and pseudonyms; nil: each run has its own
	Geo    geo.Config
	// GeoUpdate keeps files of Geo fresh. Without Sources there is nothing to do.
	GeoUpdate fetch.Config
	Store     Store
	Probe     probe.Config
	Proxy     Proxy
	DNS       DNS
	StateDir  string // need not exist yet; empty: none
	Notify    []notify.Hook
	AzuraCast *azuracast.Config // to be a relay of, by Client, BaseURL, Name and Hidden; nil: none

	document    *Document
	credentials map[director.NodeID]credential
	asking      map[director.NodeID]asking
}

// Listen is about the public listeners.
type Listen struct {
	HTTP, HTTPS    []string     // host:port
	Certificate    Certificate  // of HTTPS
	ACME           *acme.Config // gets those of HTTPS instead, by Names, Email, Directory, Roots, Challenge and Secret; nil: files have them
	TLS            TLS
	PublicURLs     []string       // of the directors, as listeners see them
	ProxyProtocol  []netip.Prefix // load balancers that send a PROXY protocol header
	MaxConnections int
	// At shutdown, everything is still answered for ShutdownDelay, and then requests may
	// take ShutdownTimeout to end.
	ShutdownDelay, ShutdownTimeout time.Duration
}

// TLS is what listeners may speak by HTTPS.
type TLS struct {
	Minimum uint16 // a version of package crypto/tls
	Legacy  bool   // cipher suites for old radios, too
	HTTP2   HTTP2
}

// Admin is about the operators' listener.
type Admin struct {
	Listen      string // host:port; empty: there is none
	Certificate Certificate
	TokenFiles  TokenFiles
	Tokens      []admin.Token // as TokenFiles were; none: everybody may operate
	SafeBelow   int           // listeners that a drained node may have left and be safe to terminate
}

// Certificate has the paths of a certificate and its key. Zero: there is none.
type Certificate struct{ CertFile, KeyFile string }

// Store is about what directors share.
type Store struct {
	Redis                  *redisstore.Config // nil: the embedded store
	Name                   string             // of this director; empty: the host's name
	Site                   string             // of this director
	Tick, Settle           time.Duration
	DownAfter, ForgetAfter time.Duration // of silence of a registered node
}

// Proxy is about streams that are carried inline: none, if MaxListeners is 0.
type Proxy struct {
	proxy.Config
	DrainTimeout   time.Duration // how long streams go on at shutdown
	UpgradeTimeout time.Duration // how long they go on after another process took this one's place
}

// A credential is for a node's admin statistics.
type credential struct{ user, password string }

// Settings converts and checks the whole file. The error is a [*yamlfile.Error].
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
	s.GeoUpdate = c.geoUpdate()
	s.Geo = geo.Config{Unknown: c.place(d.Geo.Unknown, "geo", "unknown"), Private: c.place(d.Geo.Private, "geo", "private")}
	for i, p := range prefixes(d.Geo.NAT64) {
		if err := geo.CheckNAT64(p); err != nil {
			c.fail(wording.Text(err), "geo", "nat64", i)
		}
		s.Geo.NAT64 = append(s.Geo.NAT64, p)
	}
	for _, e := range d.Geo.Corrections {
		s.Geo.Corrections = append(s.Geo.Corrections, geo.Correction{Network: e.network.Prefix, Place: c.place(e.place, "geo", "corrections", e.key)})
	}
	for _, name := range d.Geo.Feeds {
		s.Geo.Feeds = append(s.Geo.Feeds, d.path(name))
	}
	for _, name := range d.Geo.Databases {
		s.Geo.Databases = append(s.Geo.Databases, d.path(name))
	}
	for _, u := range s.GeoUpdate.Sources {
		s.Geo.Awaited = append(s.Geo.Awaited, u.File)
	}
	s.credentials, s.asking = c.access()
	s.Secret = c.secret(c.Privacy.SecretFile, "privacy", "secret_file")
	s.Listen, s.Admin = c.listeners()
	s.Store, s.Probe, s.Proxy = c.store(), c.probe(), c.proxy()
	s.DNS = c.dns(s.Fleet)
	s.Notify = c.notify()
	s.AzuraCast = c.azuracast()
	c.bounds(reflect.ValueOf(d.File))
	if s.Store.ForgetAfter < s.Store.DownAfter {
		c.fail("must not be below down_after", "store", "registered", "forget_after")
	}
	if err := errors.Join(c.errs...); err != nil {
		return nil, d.annotate(err)
	}
	return s, nil
}

// A converter converts a file, and collects all mistakes.
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
		c.fail(wording.Text(err), path...)
	}
	return place
}

// filePaths has the paths in the file of what other packages' errors name.
var filePaths = map[string][]any{
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
	"steering_ttl":    {"hls", "ttl"},
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
		Page:           c.Listen.Page,
		PageTitle:      c.Listen.PageTitle,
		ForwardHeader:  c.Listen.ForwardHeader,
		PerKey:         anyBelowZero(c.Listen.MaxPerKey),
		PerAddress:     anyBelowZero(c.Listen.MaxPerAddress),
		FullAddresses:  c.Privacy.FullAddresses,
	}
	p.Steering = web.Steering{Off: !c.HLS.Steer, TTL: c.HLS.TTL}
	if c.HLS.TTL == 0 { // package web takes 0 for the default
		p.Steering.TTL = -1
	}
	if len(c.Listen.PublicURLs) > 0 {
		p.PublicURL = c.Listen.PublicURLs[0]
	}
	p.HSTS = c.Listen.TLS.HSTS
	p.HTTPSPort, p.HTTPSURL = c.browsersHTTPS()
	for i, r := range c.Rules.List {
		if r.Answer == web.HTTPS && p.HTTPSPort == 0 {
			c.fail("needs listen.https, where browsers are to go", "rules", "list", i, "answer")
		}
	}
	p.Trusted = prefixes(c.Listen.TrustedProxies)
	for sid, mount := range c.Listen.SIDs {
		n, err := strconv.Atoi(sid)
		if err != nil || n < 0 {
			c.fail(fmt.Sprintf("%q is not a SID; write a number, such as 1", sid), "listen", "sids", sid)
			continue
		}
		if p.SIDs == nil {
			p.SIDs = map[int]string{}
		}
		p.SIDs[n] = mount
	}
	if c.Listen.PlaylistLength == 0 { // package web takes 0 for the default
		c.fail("must be 1 to 20 nodes", "listen", "playlist_length")
	}
	for _, r := range c.Rules.List {
		p.Rules = append(p.Rules, r.rule())
	}
	return p
}

// browsersHTTPS says at which port browsers find this director by https, and by which base
// URL; 0: there is none.
func (c *converter) browsersHTTPS() (port int, base string) {
	for _, addr := range c.Listen.HTTPS {
		_, p, err := net.SplitHostPort(addr)
		n, bad := strconv.ParseUint(p, 10, 16)
		if err == nil && bad == nil && (port == 0 || n == 443) {
			port = max(1, int(n)) // 0 is any port: public_urls tells which
		}
	}
	for _, raw := range c.Listen.PublicURLs {
		if port > 0 && base == "" && strings.HasPrefix(raw, "https://") {
			base = raw
		}
	}
	return port, base
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

// anyBelowZero writes "any number" as package web does, where zero is the default.
func anyBelowZero(n int) int {
	if n == 0 {
		return -1
	}
	return n
}

// access reads how each node is probed, and its credentials.
func (c *converter) access() (map[director.NodeID]credential, map[director.NodeID]asking) {
	credentials, all := map[director.NodeID]credential{}, map[director.NodeID]asking{}
	for i, n := range c.Nodes {
		all[director.NodeID(n.ID)] = c.asking(i, n)
		if !slices.Contains(probe.Kinds(), n.Kind) {
			c.fail(fmt.Sprintf("%q: use %s", n.Kind, strings.Join(probe.Kinds(), ", ")), "nodes", i, "kind")
		}
		if n.CredentialsFile == "" {
			continue
		}
		user, password, err := ReadCredentials(c.path(n.CredentialsFile))
		if err != nil {
			c.fail(wording.Text(err), "nodes", i, "credentials_file")
		}
		credentials[director.NodeID(n.ID)] = credential{user, password}
	}
	return credentials, all
}

// notify converts the section notify.
func (c *converter) notify() (hooks []notify.Hook) {
	for i, n := range c.Notify {
		if u, err := url.Parse(n.URL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
			c.fail(fmt.Sprintf("%q: write the whole URL, such as https://hooks.example/signpost", n.URL), "notify", i, "url")
		}
		h := notify.Hook{URL: n.URL}
		for j, e := range n.Events {
			if !slices.Contains(notify.Kinds(), notify.Kind(e)) {
				c.fail(fmt.Sprintf("%q is no event; there are %v", e, notify.Kinds()), "notify", i, "events", j)
			}
			h.Events = append(h.Events, notify.Kind(e))
		}
		hooks = append(hooks, h)
	}
	return hooks
}

// azuracast converts the section azuracast.
func (c *converter) azuracast() *azuracast.Config {
	a := c.AzuraCast
	if a.URL == "" {
		if a.KeyFile != "" {
			c.fail("is the AzuraCast's own page, which a key_file alone does not tell", "azuracast", "url")
		}
		return nil
	}
	if u, err := url.Parse(a.URL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		c.fail(fmt.Sprintf("%q: write the whole URL, such as https://azuracast.radio.example", a.URL), "azuracast", "url")
	}
	out := &azuracast.Config{Client: azuracast.Client{URL: a.URL}, Name: a.Name, Hidden: !a.Public}
	if a.KeyFile == "" {
		c.fail("needs a key_file: make an API key at the AzuraCast, under \"My API Keys\"", "azuracast", "url")
	} else {
		key, err := ReadKey(c.path(a.KeyFile))
		if err != nil {
			c.fail(wording.Text(err), "azuracast", "key_file")
		}
		out.Key = key
	}
	urls := c.Listen.PublicURLs
	if len(urls) == 0 {
		c.fail("needs listen.public_urls, for it shows listeners the directors' URL", "azuracast", "url")
		return out
	}
	out.BaseURL = strings.TrimRight(urls[max(0, slices.IndexFunc(urls, func(u string) bool { return strings.HasPrefix(u, "https://") }))], "/")
	return out
}

// TryAzuraCast asks the AzuraCast once for its stations, if there is one.
func (s *Settings) TryAzuraCast(ctx context.Context) error {
	if s.AzuraCast == nil {
		return nil
	}
	if _, err := s.AzuraCast.Relayed(ctx); err != nil {
		return fmt.Errorf("azuracast: %w", err)
	}
	return nil
}

// asking is how a node is asked how it is.
type asking struct {
	kind, path string
	expect     probe.Statuses
}

func (c *converter) asking(i int, n nodeEntry) asking {
	out := asking{kind: n.Kind, path: n.Probe.Path}
	if n.Probe != (nodeProbeEntry{}) && n.Kind != "http" {
		why := "others tell of their mounts by themselves"
		if n.Kind == "hls" {
			why = "the playlists of one of kind: hls say what is asked of it"
		}
		c.fail("is for nodes of kind: http; "+why, "nodes", i, "probe")
	}
	if p := n.Probe.Path; p != "" && (p[0] != '/' || strings.ContainsFunc(p, func(r rune) bool { return r <= ' ' || r >= 0x7f })) {
		c.fail(fmt.Sprintf("%q: write a path as it stands in a request, such as /health", p), "nodes", i, "probe", "path")
	}
	if n.Probe.Expect != "" {
		var err error
		if out.expect, err = probe.ParseStatuses(n.Probe.Expect); err != nil {
			c.fail(wording.Text(err), "nodes", i, "probe", "expect")
		}
	}
	return out
}

// secret reads the secret in a file whose name is at path.
func (c *converter) secret(name string, path ...any) []byte {
	if name == "" {
		return nil
	}
	text, err := readSecret(c.path(name))
	switch {
	case err != nil:
		c.fail(wording.Text(err), path...)
	case len(text) < minSecret:
		c.fail(fmt.Sprintf("%s holds fewer than %d characters; `openssl rand -hex 32` makes a good secret", c.path(name), minSecret), path...)
	}
	return []byte(text)
}

const (
	minSecret      = 16       // characters
	maxSecretBytes = 64 << 10 // far more than any secret
)

func readSecret(name string) (string, error) {
	b, err := os.ReadFile(name)
	if err == nil && len(b) > maxSecretBytes {
		err = fmt.Errorf("%s is larger than %d KB; is it the right file?", name, maxSecretBytes>>10)
	}
	return string(bytes.TrimSpace(b)), err
}

// ReadCredentials reads a file that has one line, user:password.
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

// ReadKey reads a file that has one line, a key.
func ReadKey(name string) (string, error) {
	text, err := readSecret(name)
	if err == nil && (text == "" || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f })) {
		err = fmt.Errorf("%s must hold one line, the key and nothing else", name)
	}
	return text, err
}

// bounds checks the numbers that no other package checks: those with a tag `above`, and
// those with a tag `least`, which must not be below it. Both tags are 0.
func (c *converter) bounds(section reflect.Value, path ...any) {
	for i := range section.NumField() {
		f, v := section.Type().Field(i), section.Field(i)
		here := slices.Concat(path, []any{f.Tag.Get("yaml")})
		n := 0.0
		switch {
		case v.Kind() == reflect.Struct:
			c.bounds(v, here...)
		case v.CanInt():
			n = float64(v.Int())
		case v.CanFloat():
			n = v.Float()
		}
		if _, ok := f.Tag.Lookup("above"); ok && n <= 0 {
			c.fail("must be above 0", here...)
		}
		if _, ok := f.Tag.Lookup("least"); ok && n < 0 {
			c.fail("must be 0 or more", here...)
		}
	}
}

// probe converts the section probe.
func (c *converter) probe() probe.Config {
	p := c.Probe
	return probe.Config{Interval: p.Interval, Timeout: p.Timeout, Recheck: p.Recheck, Fall: p.Fall, Rise: p.Rise, Sample: p.Sample, OnDemand: p.OnDemand, Push: p.Push}
}

// proxy converts the section proxy.
func (c *converter) proxy() Proxy {
	p := c.Proxy
	return Proxy{proxy.Config{
		MaxListeners: p.MaxListeners, MaxMbit: p.MaxMbit,
		MaxPerMount: p.MaxPerMount, MaxPerClient: p.MaxPerClient,
		PerListener: p.PerListener, Burst: p.Burst, Linger: p.Linger,
		ConnectTimeout: p.ConnectTimeout, HeaderTimeout: p.HeaderTimeout,
		IdleTimeout: p.IdleTimeout, StallTimeout: p.StallTimeout,
	}, p.DrainTimeout, p.UpgradeTimeout}
}

// translate replaces the path in another package's error by that in the file.
func translate(e *director.ConfigError) *director.ConfigError {
	if len(e.Path) == 0 {
		return e
	}
	first, _ := e.Path[0].(string)
	place, ok := filePaths[first]
	if !ok {
		return e
	}
	return &director.ConfigError{Path: slices.Concat(place, e.Path[1:]), Msg: cmp.Or(e.Msg, "is wrong")}
}

// Kind returns what kind of server a node is. One that is not declared is only probed for
// whether it can be reached: its agent reports the rest.
func (s *Settings) Kind(id director.NodeID) string {
	if a, declared := s.asking[id]; declared {
		return a.kind
	}
	return probe.Reach
}

// ProbePath is what is asked of a node of kind http in place of its mounts; empty: these.
func (s *Settings) ProbePath(id director.NodeID) string { return s.asking[id].path }

// ProbeExpect is what a node of kind http is to answer; nil: something good.
func (s *Settings) ProbeExpect(id director.NodeID) probe.Statuses { return s.asking[id].expect }

// Credentials returns those of a node's admin statistics, if there are any.
func (s *Settings) Credentials(id director.NodeID) (user, password string, ok bool) {
	c, ok := s.credentials[id]
	return c.user, c.password, ok
}
