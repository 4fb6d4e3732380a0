// Package config is the configuration file: its keys, the conversion to what each
// other package knows, the checks of it as a whole, and what it means.
//
// A [Document] has the raw keys. [Document.Settings] converts and checks them; what
// runs takes only the [Settings].
package config

import (
	"time"

	"github.com/signpost-fm/signpost/director"
)

//go:generate go test .. -run=TestReferencePage -update

// The types of this file and of file_*.go are the keys of the configuration file. The
// comment of a field is its description in docs/configuration.md. Besides the tags of
// package yamlfile, `above` and `least` are bounds, see bounds.

// File is the whole configuration.
type File struct {
	// The public side: addresses, certificates, trusted proxies, limits.
	Listen listenSection `yaml:"listen"`
	// How the place of a listener's address is found.
	Geo geoSection `yaml:"geo"`
	// The streams. Without this key every mount that a node reports is served under its own path.
	Mounts []mountEntry `yaml:"mounts"`
	// The streaming servers. At least one is needed.
	Nodes []nodeEntry `yaml:"nodes"`
	// Which listeners go to which nodes: a list of regions, or a mapping with `list` and the numbers of choosing. Without any, listeners go to the nearest nodes.
	Regions regionsSection `yaml:"regions"`
	// How kinds of players are answered: a list of rules, or a mapping with `list` and what holds for all.
	Rules rulesSection `yaml:"rules"`
	// How players of HLS are moved between nodes while they play.
	HLS hlsSection `yaml:"hls"`
	// Where directors agree on load and on operators' changes.
	Store storeSection `yaml:"store"`
	// How nodes are watched.
	Probe probeSection `yaml:"probe"`
	// How much audio this director sends itself, inline, to listeners who cannot be redirected.
	Proxy proxySection `yaml:"proxy"`
	// What is logged about listeners.
	Privacy privacySection `yaml:"privacy"`
	// What is answered in DNS.
	DNS dnsSection `yaml:"dns"`
	// The operators' side: API, dashboard, metrics.
	Admin adminSection `yaml:"admin"`
	// Where events are posted as JSON, so that a station without Prometheus is told: each is tried again until it is taken, for some ten minutes. Every director tells.
	Notify []notifyEntry `yaml:"notify"`
	// An AzuraCast that has the directors as a relay: its pages and playlists show their first `https` URL (or else the first) of `listen.public_urls`, and its reports count the fleet's listeners. Nothing is changed there.
	AzuraCast azuracastSection `yaml:"azuracast"`
	// A directory that this director may write to, for operators' changes and what it has learned. Without it, they are lost at exit. Relative paths, here and elsewhere, are relative to this file.
	StateDir string `yaml:"state_dir"`
}

type geoSection struct {
	// Databases in MaxMind's format (.mmdb): city, country, ASN, in any number. A file that is replaced is loaded again. Without any, the embedded country database is used.
	Databases []string `yaml:"databases"`
	// Geofeeds (RFC 8805): CSV files in which networks say where they are, `network,country,region,city`. They are believed before any database. A replaced file is taken up while running.
	Feeds []string `yaml:"feeds"`
	// Keeps databases and feeds fresh.
	Update updateSection `yaml:"update"`
	// What you know better than feeds and databases: a network and its place, as in `{192.0.2.0/24: DE, "2001:db8::/32": "50.1,8.7"}`.
	Corrections correctionsValue `yaml:"corrections"`
	// Prefixes of IPv6 behind which a NAT64 translator has IPv4 addresses, besides `64:ff9b::/96`: a listener, resolver or agent at one of theirs has the IPv4 address inside, for places, regions by network, limits, placement and logs; so it is with 6to4 and Teredo. `listen.trusted_proxies` names proxies by the addresses that they really have. /32, /40, /48, /56, /64 or /96.
	NAT64 []cidrValue `yaml:"nat64"`
	// The place of addresses that no database knows.
	Unknown placeValue `yaml:"unknown"`
	// The place of private, loopback and otherwise reserved addresses.
	Private placeValue `yaml:"private"`
}

type updateSection struct {
	// How often to ask for newer files. 0: only `signpost geo update` does.
	Every time.Duration `yaml:"every" default:"24h"`
	// Where files come from.
	Files []updateEntry `yaml:"files"`
}

type updateEntry struct {
	// One of `databases` or `feeds`, as it is written there. It need not be there at the first start; its directory must be, and Signpost must be able to write there.
	File string `yaml:"file"`
	// The edition of a database of MaxMind's, such as `GeoLite2-City`.
	MaxMind string `yaml:"maxmind"`
	// A file with one line `account:key`, for MaxMind.
	AccountFile string `yaml:"account_file"`
	// DB-IP's monthly Lite database: `city`, `country` or `asn`. Its licence, CC BY 4.0, wants a link to db-ip.com on pages that show what follows from it.
	DBIP string `yaml:"dbip"`
	// Any other URL: a database or a geofeed, as it is or packed (.gz, .tar.gz).
	URL string `yaml:"url"`
	// The SHA-256 of what `url` answers, or the URL of a file that begins with it.
	SHA256 string `yaml:"sha256"`
	// The base URL of a mirror, to ask in place of MaxMind's or DB-IP's.
	Mirror string `yaml:"mirror"`
}

// A mount may be written as its name alone.
type mountEntry struct {
	// The public path, decoded, with its leading slash: `/live.mp3`.
	Name string `yaml:"name"`
	// Other public paths of the same stream.
	Aliases []string `yaml:"aliases"`
	// The title in playlists; the name, if absent.
	Title string `yaml:"title"`
	// The media type, such as `audio/mpeg`; what the nodes report, if absent.
	Type string `yaml:"type"`
	// The bitrate in kbit/s, for capacities in Mbit/s.
	Kbit int `yaml:"kbit" default:"128"`
}

type nodeEntry struct {
	// The node's name: letters, digits, `-`, `_` and `.`, at most 64 of them.
	ID string `yaml:"id"`
	// Base URLs that listeners are sent to, at most one per scheme: `http://fra1.example:8000`.
	URLs []string `yaml:"urls"`
	// The base URL at which directors reach it, to probe it and for inline streams, if it differs from the listeners': an address in a private network, `http://10.0.0.7:8000`.
	InternalURL string `yaml:"internal_url"`
	// The addresses that answers in DNS lead to. Without it, those that the URLs name or lead to.
	Addresses []addrValue `yaml:"addresses"`
	// The data centre or provider, for failures that nodes share.
	Site string `yaml:"site"`
	// Where the node is on the map, for distances. Degrees without a country get the country that they are in.
	Place placeValue `yaml:"place"`
	// How many listeners it should hold. Given weights hold up to `spill_at` of it. 0: two thirds of the limit that the server tells.
	Target int `yaml:"target" default:"0"`
	// How many listeners no director knowingly exceeds. 0: what the server tells. Set the server's own limit too.
	Limit int `yaml:"limit" default:"0"`
	// The same two numbers in Mbit/s of audio.
	Mbit mbitValue `yaml:"mbit"`
	// How many new listeners it can take in a second; stock Icecast 2.4 takes about 50. What it cannot take goes to the next choice. 0: any number.
	MaxNewPerS int `yaml:"max_new_per_s" default:"0"`
	// What becomes of listeners whom no node can take within its `max_new_per_s`: `prefer` sends them all the same, to the least pushed, so that the number is a preference; `hold` answers 503 with a Retry-After of 5 to 20 s, so that it is a bound.
	Pace director.Pace `yaml:"pace" default:"prefer"`
	// How many of the node's connections are relays and not listeners.
	Relays int `yaml:"relays" default:"0"`
	// Takes no new listeners; those it has stay until they leave.
	Drained bool `yaml:"drained" default:"false"`
	// What kind of server it is, and so how it is probed: `icecast`, `shoutcast` (listeners are sent to `paths` such as `/stream/1/`), `hls` for an origin of HLS or DASH, or `http` for another one that cannot list its mounts (a web server, a CDN). Of `hls` each mount is read as players read it: its playlist or MPD, then one that this names; the newest segment has to be there, and new ones have to come: three target durations without one are a fault.
	Kind string `yaml:"kind" default:"icecast"`
	// How a node of `kind: http` is asked, where its mounts cannot be.
	Probe nodeProbeEntry `yaml:"probe"`
	// A file with one line `user:password`, for the server's admin statistics.
	CredentialsFile string `yaml:"credentials_file"`
	// Mounts that have another path on this node: mount name to path.
	Paths map[string]string `yaml:"paths"`
}

type nodeProbeEntry struct {
	// What is asked of the node, `/health`: then all of its mounts are as good as that. Without it, each declared mount is asked for itself, as a listener would, in turn: one that is refused takes only itself away.
	Path string `yaml:"path"`
	// The HTTP status codes that are good answers, `200`, `2xx` or `200, 401`. Without it: 2xx and 3xx for `path`; for a mount, what lets a listener hear it. Where a CDN wants a token that directors have not, `403`.
	Expect string `yaml:"expect"`
}

type notifyEntry struct {
	// The URL that takes a POST for each event, with `event`, `at`, `director`, `node`, `mount`, `text`, `since` and `remedy`.
	URL string `yaml:"url"`
	// Which events: `off_air` and `on_air` (a mount that no node plays), `mount_lost` and `mount_back` (at one node), `node_down` and `node_up`, `node_full` and `node_has_room`, `certificate_ends` (a node's), `warning` and `warning_over` (what else stands in `signpost status`: the store, certificates, passwords, tokens, a refused file). All, if absent.
	Events []string `yaml:"events"`
}

type azuracastSection struct {
	// The URL under which its own page opens, such as `https://azuracast.radio.example`.
	URL string `yaml:"url"`
	// A file with one line, an API key. Its user needs a role with *Manage Station Broadcasting* for the stations that are served here, and no others.
	KeyFile string `yaml:"key_file"`
	// What it is called there.
	Name string `yaml:"name" default:"Signpost"`
	// Show it on the stations' public pages.
	Public bool `yaml:"public" default:"true"`
}

type regionsSection struct {
	// The regions.
	List []regionEntry `yaml:"list"`
	// Where listeners go when every node is at its limit, usually a CDN. `{mount}` in it becomes the mount's path.
	OverflowURL string `yaml:"overflow_url"`
	// The part of a node's target, 0 to 1, up to which given weights hold exactly.
	SpillAt float64 `yaml:"spill_at" default:"0.85" above:"0"`
	// How long a node that comes back takes to get its whole share. 0: no time.
	WarmUp time.Duration `yaml:"warm_up" default:"1m" least:"0"`
	// The part of its share, 0 to 1, that it starts with.
	WarmUpFloor float64 `yaml:"warm_up_floor" default:"0.1" above:"0"`
	// Without regions: nodes up to this many times as far as the nearest one count as near.
	NearFactor float64 `yaml:"near_factor" default:"1.3" above:"0"`
	// Without regions: nodes up to this many kilometres away count as near.
	NearKm float64 `yaml:"near_km" default:"300" above:"0"`
}

type regionEntry struct {
	// The region's name, in the same alphabet as a node's.
	ID string `yaml:"id"`
	// Who belongs to it. The most specific match over all regions wins: CIDR (the longest), ASN, subdivision, country, continent, default. `match: default` is short for `match: {default: true}`. Without a match, the region is only overflowed into.
	Match matchEntry `yaml:"match"`
	// Node to weight (`{fra1: 3, ams1: 1}`), or a list of nodes (`[fra1, ams1]`) that share by load. Without it, all nodes by distance.
	Weights weightsValue `yaml:"weights"`
	// The regions whose rows come next when nothing in this one has room, in order.
	Overflow []string `yaml:"overflow"`
	// Mounts that its listeners may not hear (451); `*` for all.
	Deny []string `yaml:"deny"`
}

type matchEntry struct {
	// Networks, such as `192.0.2.0/24`, or single addresses.
	CIDRs []cidrValue `yaml:"cidrs"`
	// Autonomous systems, such as `AS3320` or `3320`. They need an ASN database.
	ASNs []asnValue `yaml:"asns"`
	// ISO 3166-2 codes, such as `DE-BY`. They need a city database.
	Subdivisions []string `yaml:"subdivisions"`
	// ISO 3166-1 codes of two letters, such as `DE`.
	Countries []string `yaml:"countries"`
	// `AF`, `AN`, `AS`, `EU`, `NA`, `OC`, `SA`.
	Continents []string `yaml:"continents"`
	// Whatever nothing else matches, unknown places among them.
	Default bool `yaml:"default" default:"false"`
}
