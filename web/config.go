package web

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/hls/origin"
)

// Config is the configuration of a [Server]. Its functions are called by many requests at
// once and must not block.
type Config struct {
	// View returns the snapshot in force and its counters. Until there is one, its
	// Snapshot is nil and requests are answered 503.
	View func() director.View
	// Unmap returns the IPv4 address that an IPv6 address stands for, and how many bits are
	// before it; -1: it stands for itself, and is returned. Nil: all but IPv4-mapped ones do.
	Unmap func(netip.Addr) (unmapped netip.Addr, before int)
	// Locate returns the place of an address.
	Locate func(netip.Addr) director.Place
	// Origin tells, for an explanation, which database knows the place of an address and
	// how old it is; nil: unknown.
	Origin func(netip.Addr) string
	// Carrier carries streams inline; nil: no stream is carried.
	Carrier Carrier
	// Record is called with the record of each request that has ended; nil: no records
	// are made. It must not keep the Record.
	Record func(*Record)
	// Past is how many requests are remembered for [Server.Explain], for [PastSpan] at most,
	// in 128 bytes each on average: fewer with long names, more with short ones. 0: none.
	Past int
	// Evidence is called when a node may have failed a listener of a mount: the listener
	// was redirected there and soon came back, or it plays HLS or DASH and gets too little for
	// that. network is a hash of the listener's network,
	// a /24 of IPv4 or a /48 of IPv6, constant while the server runs. Nil: no evidence is
	// reported.
	Evidence func(node director.NodeID, mount string, network uint64)
	// Playlists tells what the nodes have of a mount that is HLS or DASH, for listeners of a
	// scheme; nil: nothing is known. Without it, such a mount is redirected like any other.
	Playlists func(mount string, scheme director.Scheme) *origin.Mount
	// Ready adds to what /readyz says; nil: there is nothing to add.
	Ready func() Readiness
	// Challenge answers what a certificate authority asks below /.well-known/acme-challenge/
	// of a GET that is no listener's; it may block for a moment. Nil: that is a mount like
	// any other.
	Challenge http.Handler
	// HTTPSWorks says whether a browser that came by plain HTTP would be content with https at
	// a host: whether the certificate is for it, and holds. Nil: it would.
	HTTPSWorks func(host string) bool
	// Now returns the time, for rates and records; nil: time.Now.
	Now func() time.Time
	// Log is for changes of state and for faults; nil: slog.Default.
	Log *slog.Logger

	// HashSecret must be the same at all directors, so that they place a listener alike and
	// their records have the same pseudonyms. It may be empty.
	HashSecret []byte
	// MaxConnections bounds the connections of all listeners together; 0: 20,000.
	MaxConnections int

	Policy Policy
}

// Policy is what may change while the server runs. The zero Policy is the default.
type Policy struct {
	Overlay []Rule // made by operators at run time; they come first
	Rules   []Rule // from the configuration; [ShippedRules] follow them

	Escalate       Escalate       // empty: next
	SchemeMismatch SchemeMismatch // empty: proxy
	Entries        Entries        // of playlists; empty: nodes

	// PlaylistLength is how many nodes a playlist lists, 1 to 20; 0: 3.
	PlaylistLength int
	// PublicURL is the director's own base URL, such as "https://radio.example", for
	// entries of playlists. Empty: from the request's scheme and host.
	PublicURL string

	// DefaultMount is what "/" and SHOUTcast's "/;" and "/stream" stand for. Empty: the
	// latter stand for SHOUTcast's stream 1.
	DefaultMount string
	// SIDs names SHOUTcast's streams, as in "/stream/1/" and "/;?sid=1". Empty: by order.
	SIDs map[int]string

	// KeepAlive keeps connections open after an answer, for directors behind a proxy that
	// reuses its connections. A listener itself gains nothing: it goes elsewhere.
	KeepAlive bool

	// HTTPSPort is the port at which browsers find this server by https, for rules that say
	// HTTPS; 0: there is no https here, and such rules hold for nobody. The host is that of
	// the request, unless HTTPSURL is the base URL, such as "https://radio.example".
	HTTPSPort int
	HTTPSURL  string
	// HSTS is how long browsers that came by https shall come by nothing else
	// (Strict-Transport-Security, RFC 6797), in whole seconds; 0: nothing is said.
	HSTS time.Duration

	// Trusted are the proxies that are trusted to tell the client's address, in the header
	// ForwardHeader; empty: X-Forwarded-For.
	Trusted       []netip.Prefix
	ForwardHeader ForwardHeader

	// PerKey and PerAddress limit the requests a second; those beyond get 429. 0: 10 and
	// 200, negative: no limit. An address is an IPv4 address or an IPv6 /64.
	PerKey, PerAddress int

	// NoStatus turns off the public statistics in the manner of Icecast and SHOUTcast: they
	// are 404. Otherwise anybody can read there, such as at /status-json.xsl, how many
	// listen to each mount and what plays.
	NoStatus bool

	// Steering is for players of HLS and DASH that can be moved while they play.
	Steering Steering

	// Page answers "/" with a page for listeners, on which they can play the mounts, and
	// browsers with pages where something is refused. Players get what they got without it.
	Page bool
	// PageTitle is the station's name on that page; empty: PublicURL's host.
	PageTitle string

	// FullAddresses puts whole addresses into records, as royalty reports may need.
	FullAddresses bool
}

// Steering is how players of HLS and DASH are steered.
type Steering struct {
	Off bool // they are redirected to a node, once
	// TTL is after how long they ask again which node to use, [ShortestTTL] to [LongestTTL];
	// 0: 10 s. It is ShortestTTL while their node is being emptied.
	TTL time.Duration
}

// The bounds of Steering.TTL. Players were measured with 5 s and more; without any, hls.js
// asks without pause. A TTL is also how long a change takes to reach everybody.
const (
	ShortestTTL = 5 * time.Second
	LongestTTL  = time.Minute

	defaultTTL = 10 * time.Second
)

// SchemeMismatch says what a listener gets if no node is available in its scheme, http or
// https, but one is in the other.
type SchemeMismatch string

// The answers to a mismatch.
const (
	MismatchProxy    SchemeMismatch = "proxy"    // the stream, carried inline; without room 503, or a redirect from http to https
	MismatchRedirect SchemeMismatch = "redirect" // a redirect to the other scheme, which browsers and ExoPlayer refuse
	MismatchDeny     SchemeMismatch = "deny"     // 503
)

// Entries says what playlists lead to.
type Entries string

// What playlists may lead to.
const (
	EntriesNodes    Entries = "nodes"    // the nodes' URLs, ranked
	EntriesDirector Entries = "director" // the director's own URL: players that return to the playlist are placed anew
)

// policy is a checked Policy with its defaults filled in.
type policy struct {
	Policy
	rules  *ruleSet
	trust  trust
	strict []string // of HSTS; nil: none
}

// compilePolicy checks and compiles a Policy. The error joins one [director.ConfigError]
// for each mistake.
func compilePolicy(in Policy) (*policy, error) {
	p := &policy{Policy: in, strict: strictTransport(in.HSTS)}
	var errs []error
	fail := func(msg string, path ...any) {
		errs = append(errs, &director.ConfigError{Path: path, Msg: msg})
	}
	choose(&p.Escalate, "escalate", fail, EscalateNext, EscalateOff, EscalateObserve, EscalateInline)
	choose(&p.SchemeMismatch, "scheme_mismatch", fail, MismatchProxy, MismatchRedirect, MismatchDeny)
	choose(&p.Entries, "entries", fail, EntriesNodes, EntriesDirector)
	choose(&p.ForwardHeader, "forward_header", fail, XForwardedFor, Forwarded)
	orDefault(&p.PlaylistLength, 3)
	orDefault(&p.PerKey, 10)
	orDefault(&p.PerAddress, 200)
	if p.PlaylistLength < 1 || p.PlaylistLength > 20 {
		fail("must be 1 to 20 nodes", "playlist_length")
	}
	if p.Steering.TTL == 0 {
		p.Steering.TTL = defaultTTL
	}
	if t := p.Steering.TTL; t < ShortestTTL || t > LongestTTL {
		fail(fmt.Sprintf("must be %v to %v", ShortestTTL, LongestTTL), "steering_ttl")
	}
	if err := checkPublicURL(p.PublicURL); err != nil {
		fail(err.Error(), "public_url")
	}
	p.PublicURL = strings.TrimSuffix(p.PublicURL, "/")
	if p.DefaultMount != "" && !strings.HasPrefix(p.DefaultMount, "/") {
		fail(fmt.Sprintf("%q: a mount begins with a slash", p.DefaultMount), "default_mount")
	}
	for sid, name := range p.SIDs {
		if !strings.HasPrefix(name, "/") {
			fail(fmt.Sprintf("%q: a mount begins with a slash", name), "sids", sid)
		}
	}
	p.trust = trust{header: p.ForwardHeader}
	for i, t := range p.Trusted {
		if !t.IsValid() {
			fail("is not a network; write 192.0.2.0/24 or 2001:db8::/32", "trusted", i)
			continue
		}
		p.trust.proxies = append(p.trust.proxies, plainPrefix(t))
	}
	rules, mistakes := compileRules(p.Overlay, p.Rules)
	for _, e := range mistakes {
		errs = append(errs, e)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	p.rules = newRuleSet(rules)
	return p, nil
}

func compileRules(overlay, file []Rule) (rules []compiledRule, mistakes []*director.ConfigError) {
	add := func(list []Rule, origin Origin, key string) {
		for i, r := range list {
			c, errs := compileRule(r, i+1, origin)
			for _, e := range errs {
				e.Path = append([]any{key, i}, e.Path...)
			}
			rules, mistakes = append(rules, c), append(mistakes, errs...)
		}
	}
	add(overlay, OriginOverlay, "overlay")
	add(file, OriginFile, "rules")
	add(ShippedRules(), OriginShipped, "rules")
	return rules, mistakes
}

// choose sets an empty field to the first of all, and reports a value that is not in all.
func choose[T ~string](field *T, name string, fail func(string, ...any), all ...T) {
	if *field == "" {
		*field = all[0]
	}
	if !slices.Contains(all, *field) {
		names := make([]string, len(all))
		for i, v := range all {
			names[i] = string(v)
		}
		fail(fmt.Sprintf("%q: use %s", *field, strings.Join(names, ", ")), name)
	}
}

func orDefault(n *int, def int) {
	if *n == 0 {
		*n = def
	}
}

func checkPublicURL(s string) error {
	if s == "" {
		return nil
	}
	_, err := director.ParseBase(s)
	return err
}

// plainPrefix turns an IPv4-mapped IPv6 network into one of IPv4, as plain does for
// addresses, and masks it.
func plainPrefix(p netip.Prefix) netip.Prefix {
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(a.Unmap(), p.Bits()-96).Masked()
	}
	return p.Masked()
}
