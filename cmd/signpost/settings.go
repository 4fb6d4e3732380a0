package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/probe"
	"github.com/signpost-fm/signpost/geo"
	"github.com/signpost-fm/signpost/web"
	"github.com/signpost-fm/signpost/web/admin"
	"github.com/signpost-fm/signpost/web/proxy"
)

// settings is a configuration that was checked whole and converted to what each
// package knows. It is immutable.
type settings struct {
	*loaded
	fleet       director.Config
	policy      web.Policy
	geo         geo.Config
	credentials map[director.NodeID]credential
	kinds       map[director.NodeID]string
	secret      []byte
	tokens      []admin.Token // of the operators' side; none: nobody is asked
}

// credential is what a node's statistics are asked with.
type credential struct{ user, password string }

// readSettings loads a file and checks all of it.
func readSettings(name string) (*settings, error) {
	l, err := loadFile(name)
	if err != nil {
		return nil, err
	}
	return l.settle()
}

// settle converts and checks the whole file. The error is a [*yamlfile.Error] with every
// mistake in it.
func (l *loaded) settle() (*settings, error) {
	s := &settings{loaded: l}
	c := converter{loaded: l}
	s.fleet = c.fleet()
	if _, err := director.Compile(s.fleet); err != nil {
		c.errs = append(c.errs, err)
	}
	s.policy = c.policy()
	if err := web.CheckPolicy(s.policy); err != nil {
		c.errs = append(c.errs, err)
	}
	s.geo = geo.Config{Unknown: c.place(l.Geo.Unknown, "geo", "unknown"), Private: c.place(l.Geo.Private, "geo", "private")}
	for _, name := range l.Geo.Databases {
		s.geo.Databases = append(s.geo.Databases, l.path(name))
	}
	s.credentials, s.kinds = c.access()
	s.secret, s.tokens = c.secret(), c.admin()
	c.listeners()
	c.shared()
	c.bounds()
	if err := errors.Join(c.errs...); err != nil {
		return nil, l.annotate(err)
	}
	return s, nil
}

// A converter collects every mistake while a file is converted.
type converter struct {
	*loaded
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
	for _, t := range c.Listen.TrustedProxies {
		p.Trusted = append(p.Trusted, t.Prefix)
	}
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
		Answer: r.Answer, HTTPOnly: r.HTTPOnly, SameScheme: r.SameScheme, ICY: r.ICY, OrRedirect: r.OrRedirect,
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
		text, err := readSecret(c.path(n.CredentialsFile))
		user, password, ok := strings.Cut(text, ":")
		switch {
		case err != nil:
			c.fail(err.Error(), "nodes", i, "credentials_file")
		case !ok || user == "" || strings.Contains(text, "\n"):
			c.fail(fmt.Sprintf("%s must hold one line, user:password", c.path(n.CredentialsFile)), "nodes", i, "credentials_file")
		default:
			credentials[director.NodeID(n.ID)] = credential{user, password}
		}
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

// proxyConfig is what the inline engine is made of.
func (s *settings) proxyConfig() proxy.Config {
	return proxy.Config{
		MaxListeners: s.Proxy.MaxListeners, MaxMbit: s.Proxy.MaxMbit,
		MaxPerMount: s.Proxy.MaxPerMount, MaxPerClient: s.Proxy.MaxPerClient,
		PerListener: s.Proxy.PerListener, Burst: s.Proxy.Burst, Linger: s.Proxy.Linger,
		ConnectTimeout: s.Proxy.ConnectTimeout, HeaderTimeout: s.Proxy.HeaderTimeout,
		IdleTimeout: s.Proxy.IdleTimeout, StallTimeout: s.Proxy.StallTimeout,
	}
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

// probeConfig is what the prober is made of, but for what it asks in running.
func (s *settings) probeConfig() probe.Config {
	return probe.Config{
		Interval: s.Probe.Interval, Timeout: s.Probe.Timeout, Recheck: s.Probe.Recheck,
		Fall: s.Probe.Fall, Rise: s.Probe.Rise, Sample: s.Probe.Sample, Push: s.Probe.Push,
		Kind:        s.kind,
		Credentials: s.credential,
	}
}

// kind is what sort of server a node is. Of one that is not declared, its agent
// tells everything but whether it can be reached.
func (s *settings) kind(id director.NodeID) string {
	if kind, declared := s.kinds[id]; declared {
		return kind
	}
	return probe.Reach
}
