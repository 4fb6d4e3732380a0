package config

import (
	"time"

	"github.com/signpost-fm/signpost/web"
)

type listenSection struct {
	// Addresses for plain HTTP, `host:port`.
	HTTP []string `yaml:"http" default:":8000"`
	// Addresses for HTTPS. They need `cert_file` and `key_file`, or `acme`.
	HTTPS []string `yaml:"https"`
	// The certificate chain in PEM. It is loaded again when the file changes.
	CertFile string `yaml:"cert_file"`
	// Its private key in PEM.
	KeyFile string `yaml:"key_file"`
	// Certificates from an authority such as Let's Encrypt, in place of `cert_file`.
	ACME acmeSection `yaml:"acme"`
	// What players may speak at `https`.
	TLS tlsSection `yaml:"tls"`
	// The directors' URLs as listeners see them, such as `https://radio.example`. The first one is used in playlists that lead to the director. A node URL that points at any of them is refused.
	PublicURLs []string `yaml:"public_urls"`
	// The mount that `/`, and SHOUTcast's `/;` and `/stream`, stand for. Without it, the latter are stream 1.
	DefaultMount string `yaml:"default_mount"`
	// SHOUTcast's streams, as in `/stream/1/` and `/;?sid=1`: number to mount. By order, if absent.
	SIDs map[string]string `yaml:"sids"`
	// Networks of proxies that are trusted to tell the listener's address.
	TrustedProxies []cidrValue `yaml:"trusted_proxies"`
	// The header in which they tell it: `X-Forwarded-For`, with `X-Forwarded-Proto` for the scheme and `X-Forwarded-Host` and `X-Forwarded-Port` for how the listener calls the director, or `Forwarded`, with `proto` and `host`.
	ForwardHeader web.ForwardHeader `yaml:"forward_header" default:"X-Forwarded-For"`
	// Networks of load balancers that send a PROXY protocol header, version 1 or 2, with each connection. With version 2 they can tell that the listener speaks TLS with them (HAProxy: `send-proxy-v2-ssl`). Other connections have none.
	ProxyProtocol []cidrValue `yaml:"proxy_protocol"`
	// Keep connections open after an answer: for directors behind a proxy that keeps its own.
	KeepAlive bool `yaml:"keep_alive" default:"false"`
	// Connections of all listeners together; more are closed.
	MaxConnections int `yaml:"max_connections" default:"20000" above:"0"`
	// Requests per second of one listener (address, player and mount); more get 429. 0: any number.
	MaxPerKey int `yaml:"max_per_key" default:"10" least:"0"`
	// The same for one address (IPv4, or an IPv6 /64), which many listeners may share. 0: any number.
	MaxPerAddress int `yaml:"max_per_address" default:"200" least:"0"`
	// How many nodes a playlist lists, 1 to 20.
	PlaylistLength int `yaml:"playlist_length" default:"3"`
	// What playlists lead to: `nodes`, or `director`, for players that reload the playlist.
	PlaylistEntries web.Entries `yaml:"playlist_entries" default:"nodes"`
	// Tell at `/status-json.xsl` how many listen to each mount of the whole fleet and what plays there, as Icecast does of itself, and in SHOUTcast's shape at `/7.html`, `/stats`, `/statistics`, `/currentsong` and `/played.html`. Hidden mounts are listed too if they are declared, or if none is.
	StatusPage bool `yaml:"status_page" default:"true"`
	// A page for listeners at `/`, where they see what plays on each mount, play it, and find its playlists. It needs no script to be read. What is refused has a short page, too. Browsers get them, by the header `Accept`; players get what they get without this key, also where `default_mount` makes `/` a stream.
	Page bool `yaml:"page" default:"false"`
	// The station's name on that page. If absent, the host of the first of `public_urls`.
	PageTitle string `yaml:"page_title"`
	// How long everything but new inline streams is still answered at shutdown, with /readyz saying no: the time that load balancers need to notice. 0: no time.
	ShutdownDelay time.Duration `yaml:"shutdown_delay" default:"0s" least:"0"`
	// How long requests may take to end at shutdown.
	ShutdownTimeout time.Duration `yaml:"shutdown_timeout" default:"10s" least:"0"`
}

// TLS for old radios. Each listener still gets the best that both sides speak.
type tlsSection struct {
	// The oldest version that is spoken: `1.0`, `1.1`, `1.2` or `1.3`. Radios of before 2012 often speak 1.0 only.
	Minimum tlsVersion `yaml:"minimum" default:"1.2"`
	// Offer cipher suites without forward secrecy and with 3DES, too, and let `acme` get RSA keys, for radios that know no others.
	Legacy bool `yaml:"legacy" default:"false"`
	// To whom HTTP/2 is offered: `browsers`, as their TLS tells, `all` that ask for it, or `off`. Radios and players are best served by HTTP/1.1.
	HTTP2 HTTP2 `yaml:"http2" default:"browsers"`
	// How long browsers that came by https shall come by nothing else to this host, at any port (HSTS); 0: nothing is said to them. It cannot be taken back before that time is over.
	HSTS time.Duration `yaml:"hsts" default:"0s" least:"0"`
}

// Certificates are ordered and renewed by themselves, once for all directors, which share
// them through the store. The authority must reach any one of the directors at each name.
type acmeSection struct {
	// The host names by which listeners reach the directors. Each gets a certificate of its own; the first one's is also for players that name no host.
	Names []string `yaml:"names"`
	// Where the authority writes about the account, such as `engineer@radio.example`.
	Email string `yaml:"email"`
	// The authority: `letsencrypt`, `letsencrypt-staging`, or the URL of its directory.
	Directory string `yaml:"directory" default:"letsencrypt"`
	// Certificate authorities in PEM that vouch for `directory`, instead of the system's: for an authority of one's own.
	CAFile string `yaml:"ca_file"`
	// How to prove that a name is ours: `http-01`, for which the name's port 80 must lead to an address of `http`, `tls-alpn-01`, for which its port 443 must lead to one of `https`, or `dns-01`, for names in `dns.zone`, which alone can prove one such as `*.live.radio.example`. If absent, `http-01` where there is an address under `http`.
	Challenge string `yaml:"challenge"`
	// Ask the authority whether the certificates are revoked, and show players its answer (OCSP stapling). Let's Encrypt ended OCSP in 2025, so this is only for authorities that still have it; whether one is to be replaced is asked in another way, too (ARI).
	OCSP bool `yaml:"ocsp" default:"false"`
	// A file with a secret that encrypts keys and certificates in the store and in `state_dir`: the same at all directors. It is needed with Redis.
	SecretFile string `yaml:"secret_file"`
}

type rulesSection struct {
	// The operator's rules. The first match wins; Signpost's own rules follow.
	List []ruleEntry `yaml:"list"`
	// What happens to a player that nobody has a rule for, when it is back within 15 s of a redirect, or again and again at an even pace: `off`, `observe` (metrics only), `next` (the next node) or `inline` (after that, the stream itself). With `next` and `inline`, a player that has a rule does not get the node it comes back from either, before that has been probed again; a relay never does.
	Escalate web.Escalate `yaml:"escalate" default:"next"`
	// What a listener gets whose scheme (http or https) no node speaks: `proxy` (the stream inline), `redirect` (to the other scheme, which browsers refuse) or `deny` (503).
	SchemeMismatch web.SchemeMismatch `yaml:"scheme_mismatch" default:"proxy"`
}

// All conditions of a rule must hold; without any, it holds for everyone.
type ruleEntry struct {
	// A name, for explain and the log.
	Name string `yaml:"name"`
	// A glob for the whole User-Agent header without regard to case: `*` is any run, `?` any byte.
	UserAgent string `yaml:"user_agent"`
	// A regular expression (RE2), not anchored, instead of the glob.
	UserAgentRegexp string `yaml:"user_agent_regexp"`
	// Conditions on other headers.
	Headers []headerEntry `yaml:"headers"`
	// The protocol version: `1.0`, `1.1` or `2`.
	HTTP string `yaml:"http"`
	// What is answered at a mount's own URL: `redirect`, `m3u`, `pls`, `xspf`, `asx`, `proxy`, `deny` (403) or `https`: to the same URL by https. A rule that says `https` holds only for web browsers that come by plain http, while https works at that name; never for players.
	Answer web.Answer `yaml:"answer" default:"redirect"`
	// Send the player to `http://` URLs only.
	HTTPOnly bool `yaml:"http_only" default:"false"`
	// The player refuses a redirect to the other scheme: it gets the stream inline instead.
	SameScheme bool `yaml:"same_scheme" default:"false"`
	// Begin an inline stream with `ICY 200 OK`.
	ICY bool `yaml:"icy" default:"false"`
	// Redirect where there is no room for a stream inline, instead of 503.
	OrRedirect bool `yaml:"or_redirect" default:"false"`
	// It is a server that passes the stream on. It is not sent to the node it comes back from, however soon it is back.
	Relay bool `yaml:"relay" default:"false"`
	// Why there is this rule, for explain.
	Reason string `yaml:"reason"`
}

type headerEntry struct {
	// The header.
	Name string `yaml:"name"`
	// A glob for its value; without it, the header must merely be there.
	Glob string `yaml:"glob"`
	// The header must be missing or empty.
	Absent bool `yaml:"absent" default:"false"`
}

type hlsSection struct {
	// Answer at a mount of HLS with a multivariant playlist of all nodes, and tell players that ask by content steering which of them to use. Without it, or where the nodes have a media playlist in its place, a player is sent to one node and stays there.
	Steer bool `yaml:"steer" default:"true"`
	// After how long players ask again which node to use, 5s to 1m: so long a change takes to reach everybody. It is 5s while their node is being emptied.
	TTL time.Duration `yaml:"ttl" default:"10s"`
}

type storeSection struct {
	// The Redis that directors share. Without it, a director agrees with nobody, and keeps operators' changes in `state_dir`.
	Redis redisSection `yaml:"redis"`
	// This director's name: letters, digits, `.`, `_` and `-`. Pages, the log, `status` and its id, which is unique to one run, begin with it. The host's name, if absent; two directors at one host need different ones.
	Name string `yaml:"name"`
	// The data centre or provider of this director. Nodes are probed from different sites where possible.
	Site string `yaml:"site"`
	// How often this director exchanges counts and reports with the store, and updates what it decides by.
	Tick time.Duration `yaml:"tick" default:"250ms" above:"0"`
	// How long it takes from the answer until the listener is in the node's statistics. Until a report that is younger by this, the listener counts as on the way.
	Settle time.Duration `yaml:"settle" default:"3s" above:"0"`
	// Nodes that are not listed under `nodes`: an agent registers each.
	Registered registeredSection `yaml:"registered"`
}

type registeredSection struct {
	// The ids under which nodes may register: whole ids, or beginnings such as `edge-*`. Rows may name them before they are there. Without any, none may register.
	IDs []string `yaml:"ids"`
	// How long an agent may be silent before its node is down. A director that hears of an agent only through one that does not tell any more goes by its own probes instead.
	DownAfter time.Duration `yaml:"down_after" default:"5s" above:"0"`
	// How long it may be silent before the node is forgotten.
	ForgetAfter time.Duration `yaml:"forget_after" default:"5m"`
}

// One server, one that Sentinels watch, or a Cluster; Redis 6 or later. Losing it loses no listener.
type redisSection struct {
	// One server: `redis://host:6379/0`, `rediss://` for TLS, or `unix:///path`. Without user and password.
	URL string `yaml:"url"`
	// Or several, `host:port`: the Sentinels of `master_name`, or nodes of a cluster.
	Addrs []string `yaml:"addrs"`
	// What the Sentinels call the master.
	MasterName string `yaml:"master_name"`
	// The addresses are nodes of a Redis Cluster.
	Cluster bool `yaml:"cluster" default:"false"`
	// The user of an access list (ACL).
	Username string `yaml:"username"`
	// A file with the password. It is read again for each new connection.
	PasswordFile string `yaml:"password_file"`
	// A file with the password of the Sentinels themselves.
	SentinelPasswordFile string `yaml:"sentinel_password_file"`
	// A file of certificate authorities in PEM, instead of the system's. It switches TLS on.
	CAFile string `yaml:"ca_file"`
	// The name in the server's certificate, where it is another than the host's.
	ServerName string `yaml:"server_name"`
	// A certificate to show to the server, in PEM.
	CertFile string `yaml:"cert_file"`
	// Its private key in PEM.
	KeyFile string `yaml:"key_file"`
	// The number of the database; 0 in a cluster.
	DB int `yaml:"db" default:"0"`
	// The prefix of every key: fleets with different prefixes do not see each other.
	Prefix string `yaml:"prefix" default:"signpost"`
}

type probeSection struct {
	// Time between probes of a node.
	Interval time.Duration `yaml:"interval" default:"2s" above:"0"`
	// Time limit of a probe, with name lookup.
	Timeout time.Duration `yaml:"timeout" default:"2s" above:"0"`
	// How soon a node in doubt is probed again.
	Recheck time.Duration `yaml:"recheck" default:"500ms" above:"0"`
	// How many failures in a row make a node down.
	Fall int `yaml:"fall" default:"2" above:"0"`
	// How many good answers in a row make it up again.
	Rise int `yaml:"rise" default:"2" above:"0"`
	// How often each director that probes a node listens to each of its mounts for two seconds, or up to thirteen while it is silent, where only that tells whether anything comes in: with a
	// `credentials_file`, Icecast tells it by itself. 0: never.
	Sample time.Duration `yaml:"sample" default:"1m" least:"0"`
	// How often a relay that connects to its master when a listener comes is made to do so, to see whether it plays. 0: once when it appears, and when something speaks against it; one that does not play is tried once a minute.
	OnDemand time.Duration `yaml:"on_demand" default:"0s" least:"0"`
	// Let each Icecast with a `credentials_file` tell of changes by itself, over a connection that stays open: then it is asked at once, up to four times a second, and a listener who comes or goes, a source or a server that dies, is known in less than a second.
	Push bool `yaml:"push" default:"false"`
}

type proxySection struct {
	// Inline streams at once. 0: none.
	MaxListeners int `yaml:"max_listeners" default:"500" least:"0"`
	// Mbit/s of audio sent inline at once. 0: as many as `max_listeners` take.
	MaxMbit float64 `yaml:"max_mbit" default:"100" least:"0"`
	// Inline streams of one mount at once. 0: as many as `max_listeners`.
	MaxPerMount int `yaml:"max_per_mount" default:"0" least:"0"`
	// Streams to one address (IPv4, or an IPv6 /64) at once. 0: any number.
	MaxPerClient int `yaml:"max_per_client" default:"0" least:"0"`
	// Open a connection to the node for each listener, which tells its address in X-Forwarded-For and passes on its query, for stations whose nodes must count every listener. Otherwise one connection to a node serves all listeners of a mount.
	PerListener bool `yaml:"per_listener" default:"false"`
	// How much audio a listener gets at once, as a reserve for when a node fails. 0: 64 KB, like Icecast.
	Burst time.Duration `yaml:"burst" default:"0s" least:"0"`
	// How long a connection to a node is kept for new listeners after the last one has left.
	Linger time.Duration `yaml:"linger" default:"0s" least:"0"`
	// Time limit for connecting to a node.
	ConnectTimeout time.Duration `yaml:"connect_timeout" default:"2s" above:"0"`
	// From the request to a node's first byte of audio.
	HeaderTimeout time.Duration `yaml:"header_timeout" default:"5s" above:"0"`
	// How long a node may be silent in mid-stream before its listeners are cut. Another node is looked for when half of the burst is used up.
	IdleTimeout time.Duration `yaml:"idle_timeout" default:"15s" above:"0"`
	// How long a listener may accept no audio.
	StallTimeout time.Duration `yaml:"stall_timeout" default:"15s" above:"0"`
	// How long streams go on at shutdown, while new ones are refused.
	DrainTimeout time.Duration `yaml:"drain_timeout" default:"10s" least:"0"`
	// How long streams go on after a new process has taken this one's place (SIGUSR2), which has the new ones.
	UpgradeTimeout time.Duration `yaml:"upgrade_timeout" default:"1h" least:"0"`
}

type privacySection struct {
	// Log full addresses, as royalty reports may need. Otherwise records have the /24 or /48, and a pseudonym that changes daily.
	FullAddresses bool `yaml:"full_addresses" default:"false"`
	// A file with a secret for placement and pseudonyms: the same at all directors, so that each sends a listener to the same node.
	SecretFile string `yaml:"secret_file"`
}

type adminSection struct {
	// The address of API, dashboard and metrics. Empty: there is none.
	Listen string `yaml:"listen" default:"127.0.0.1:8001"`
	// A file with the token that operators send as `Authorization: Bearer`. Without it and `tokens_file` no token is needed, and `listen` must be a loopback address.
	TokenFile string `yaml:"token_file"`
	// A file with any number of tokens, one a line: a name, a role (`agent`, `view` or `operate`) and the token's SHA-256 in hexadecimal, as `sha256sum` prints it of the token without a newline; behind an agent's perhaps `ids=edge-fra-*,edge-ams-1` and `nodes=20`, which is what it may register, and `certificates=go.radio.example`, which it may fetch. Two lines of one name are a token that is being replaced. Changes are taken up by themselves, within seconds.
	TokensFile string `yaml:"tokens_file"`
	// The certificate chain of `listen` in PEM, for https. It is loaded again when the file changes. Without it, `listen` is plain http.
	CertFile string `yaml:"cert_file"`
	// Its private key in PEM.
	KeyFile string `yaml:"key_file"`
	// How many listeners may be left on a drained node that is safe to terminate.
	SafeBelow int `yaml:"safe_below" default:"0" least:"0"`
}
