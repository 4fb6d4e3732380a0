package importer

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// A Server is one streaming server, as a source describes it.
type Server struct {
	From string   // the source, for messages: "fra1.xml", "http://fra1.example:8000"
	Name string   // what the source calls it; empty: its host's name
	URLs []string // that listeners use, at most one per scheme, each with its port unless it is the scheme's own
	Kind string   // as in `nodes[].kind`; empty: icecast
	// Version is what the server calls itself, or what its configuration looks like:
	// "Icecast 2.4.4"; empty: not known.
	Version string
	Site    string
	Place   string // as in `nodes[].place`
	Weight  *float64

	Limit      int    // listeners; 0: not told
	LimitNote  string // where the limit comes from
	Target     int
	LimitMbit  float64
	MaxNew     int // listeners per second; 0: not known
	Drained    bool
	Admin      Credentials
	AdminFile  string // has them, as in `nodes[].credentials_file`
	ProbePath  string
	Mounts     []Mount // that listeners may ask for
	Unlisted   bool    // there may be more mounts than Mounts
	Master     string  // host:port of the server that it relays all mounts of; empty: none
	OnDemand   bool    // it connects to Master when a listener comes
	Relays     int     // connections of relays that its listeners' count has
	RelaysNote string

	answersTo []string // host:port by which other servers may know it, besides URLs
	notes     []Note
}

// Credentials are of a server's administrator.
type Credentials struct{ User, Password string }

// Line returns them as a file of credentials has them, or "" if there are none, or none that
// such a file can have.
func (c Credentials) Line() string {
	line := c.User + ":" + c.Password
	if c.User == "" || c.Password == "" || strings.Contains(c.User, ":") || strings.ContainsAny(line, "\r\n") || strings.TrimSpace(line) != line {
		return ""
	}
	return line
}

// A Mount is a stream at a server.
type Mount struct {
	Path    string // decoded, with its leading slash
	Title   string
	Type    string // media type
	Kbit    int    // 0: not told
	Aliases []string
	Limit   int // listeners; 0: none
	Relayed *Upstream
	// Remark is what an operator should know of it.
	Remark string
	// Name is the public path, if it is another one.
	Name string
	SID  int // SHOUTcast's number of the stream; 0: none
}

// An Upstream is what a relay gets its stream from.
type Upstream struct {
	Host, Port, Mount string
	OnDemand          bool // it connects when a listener comes
}

func (u *Upstream) addr() string { return net.JoinHostPort(strings.ToLower(u.Host), u.Port) }

// PathsOf lists public paths of mounts, in order.
func PathsOf(mounts []Mount) string {
	var names []string
	for _, m := range mounts {
		names = append(names, cmp.Or(m.Name, m.Path))
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// A Note says what was left out, or what somebody should look at, and why.
type Note struct {
	At   string // the place: "fra1.xml:12", "https://radio.example/api/nowplaying"
	Text string
	Look bool // something to look at; otherwise something that was left out
	// PlaceOf is the node whose place is not known, if that is what it says.
	PlaceOf string
}

// Found is what sources have.
type Found struct {
	Servers []Server
	Notes   []Note // that are about none of the servers
}

// Add adds what other sources have.
func (f *Found) Add(more Found) {
	f.Servers, f.Notes = append(f.Servers, more.Servers...), append(f.Notes, more.Notes...)
}

// String returns it as one line.
func (n Note) String() string { return n.At + ": " + n.Text }

func (s *Server) leftOut(at, format string, args ...any) {
	s.notes = append(s.notes, Note{At: at, Text: fmt.Sprintf(format, args...)})
}

func (s *Server) look(at, format string, args ...any) {
	s.notes = append(s.notes, Note{At: at, Text: fmt.Sprintf(format, args...), Look: true})
}

// Host returns the name or address by which listeners reach the server.
func (s *Server) Host() string {
	if len(s.URLs) == 0 {
		return ""
	}
	u, err := url.Parse(s.URLs[0])
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// SetHost gives the server another name or address in its URLs.
func (s *Server) SetHost(host string) {
	s.answersTo = append(s.answersTo, s.addrs()...)
	for i, raw := range s.URLs {
		u, err := url.Parse(raw)
		if err != nil {
			continue
		}
		if port := u.Port(); port != "" {
			u.Host = net.JoinHostPort(strings.Trim(host, "[]"), port)
		} else if u.Host = host; strings.Contains(host, ":") {
			u.Host = "[" + strings.Trim(host, "[]") + "]"
		}
		s.URLs[i] = u.String()
	}
}

// addrs returns host:port of each URL.
func (s *Server) addrs() (all []string) {
	for _, raw := range s.URLs {
		if u, err := url.Parse(raw); err == nil {
			all = append(all, strings.ToLower(net.JoinHostPort(u.Hostname(), portOf(u))))
		}
	}
	return all
}

// isAt reports whether host:port is the server's.
func (s *Server) isAt(addr string) bool {
	return slices.Contains(s.answersTo, addr) || slices.Contains(s.addrs(), addr)
}

func portOf(u *url.URL) string {
	if u.Scheme == "https" {
		return cmp.Or(u.Port(), "443")
	}
	return cmp.Or(u.Port(), "80")
}

// A Fleet is what is written: servers with their names, and what they play.
type Fleet struct {
	Nodes  []Node
	Mounts []Mount // by their public paths; empty: whatever nodes report
	Notes  []Note

	Listen       string // host:port of the director
	PublicURL    string // of the director, as listeners see it; empty: not known
	DefaultMount string
	StateDir     string
	Command      string // that made it, for the first comment
}

// A Node is a server under the name that it has in the configuration.
type Node struct {
	Server
	ID    string
	Paths map[string]string // public path to path at the server, where they differ
}

// Combine makes a fleet of servers: it joins what is one server in several sources, gives
// each a name, finds out who relays whom, and which streams are the same.
func Combine(found Found) *Fleet {
	f := &Fleet{Listen: ":8000", StateDir: "state", Notes: found.Notes}
	for _, s := range joined(found.Servers) {
		f.Notes = append(f.Notes, s.notes...)
		f.Nodes = append(f.Nodes, Node{Server: s})
	}
	f.name()
	f.followMasters()
	f.nameStreams()
	f.countRelays()
	f.collectMounts()
	f.shareLimits()
	f.lookAtHosts()
	return f
}

// joined puts servers together whose URLs are the same, or differ in the scheme alone
// (http://fra1.example:8000 and https://fra1.example:8443 in a list).
func joined(servers []Server) (out []Server) {
	for _, s := range servers {
		i := slices.IndexFunc(out, func(o Server) bool { return sameServer(&o, &s) })
		if i < 0 {
			out = append(out, s)
			continue
		}
		o := &out[i]
		for _, u := range s.URLs {
			if !slices.ContainsFunc(o.URLs, func(have string) bool { return schemeOf(have) == schemeOf(u) }) {
				o.URLs = append(o.URLs, u)
			}
		}
		slices.SortFunc(o.URLs, func(a, b string) int { return len(schemeOf(a)) - len(schemeOf(b)) })
		for _, m := range s.Mounts {
			if !slices.ContainsFunc(o.Mounts, func(have Mount) bool { return have.Path == m.Path }) {
				o.Mounts = append(o.Mounts, m)
			}
		}
		if o.Limit == 0 {
			o.Limit, o.LimitNote = s.Limit, s.LimitNote
		}
		o.Version, o.AdminFile = cmp.Or(s.Version, o.Version), cmp.Or(o.AdminFile, s.AdminFile)
		o.Admin = cmp.Or(o.Admin, s.Admin)
		o.Unlisted = o.Unlisted && s.Unlisted
		if o.From != s.From {
			o.look(s.From, "is the same server as %s, whose numbers are used", o.From)
		}
		o.notes = append(o.notes, s.notes...)
	}
	return out
}

// sameServer reports whether two are one: they have a URL in common, or URLs of the same
// host that differ in the scheme alone, in one list or with the same mounts.
func sameServer(a, b *Server) bool {
	if !strings.EqualFold(a.Host(), b.Host()) {
		return false
	}
	for _, u := range b.URLs {
		if slices.Contains(a.URLs, u) {
			return true
		}
	}
	for _, u := range b.URLs {
		if slices.ContainsFunc(a.URLs, func(have string) bool { return schemeOf(have) == schemeOf(u) }) {
			return false
		}
	}
	return a.From == b.From || slices.EqualFunc(a.Mounts, b.Mounts, func(x, y Mount) bool { return x.Path == y.Path })
}

func schemeOf(u string) string {
	scheme, _, _ := strings.Cut(u, ":")
	return scheme
}

// name gives each node its id: the first label of its host's name, or as much more as it
// takes to tell the nodes apart.
func (f *Fleet) name() {
	candidates := make([][]string, len(f.Nodes))
	for i := range f.Nodes {
		candidates[i] = f.Nodes[i].ids()
	}
	taken := map[string]bool{}
	for level := range 3 {
		used := map[string]int{}
		for i := range f.Nodes {
			if f.Nodes[i].ID == "" {
				used[candidates[i][level]]++
			}
		}
		for i := range f.Nodes {
			id := candidates[i][level]
			if f.Nodes[i].ID == "" && used[id] == 1 && !taken[id] {
				f.Nodes[i].ID, taken[id] = id, true
			}
		}
	}
	for i := range f.Nodes {
		for n := 2; f.Nodes[i].ID == ""; n++ {
			if id := fmt.Sprintf("%.60s-%d", candidates[i][2], n); !taken[id] {
				f.Nodes[i].ID, taken[id] = id, true
			}
		}
	}
}

// ids returns what the node may be called, the shortest first.
func (n *Node) ids() []string {
	host, port := n.Host(), ""
	if len(n.URLs) > 0 {
		if u, err := url.Parse(n.URLs[0]); err == nil {
			port = portOf(u)
		}
	}
	short, _, _ := strings.Cut(host, ".")
	if _, err := netip.ParseAddr(host); err == nil {
		short = host
	}
	if n.Name != "" {
		return []string{asID(n.Name), asID(n.Name + "-" + host), asID(n.Name + "-" + host + "-" + port)}
	}
	return []string{asID(short), asID(host), asID(host + "-" + port)}
}

// asID replaces what a node's name must not have.
func asID(name string) string {
	id := strings.Map(func(r rune) rune {
		if r < 0x80 && (r >= '0' && r <= '9' || r|0x20 >= 'a' && r|0x20 <= 'z' || r == '.' || r == '_' || r == '-') {
			return r
		}
		return '-'
	}, strings.TrimSpace(name))
	id = strings.Trim(id, "-")
	return cmp.Or(id[:min(len(id), 64)], "node")
}

func (f *Fleet) find(addr string) *Node {
	for i := range f.Nodes {
		if f.Nodes[i].isAt(addr) {
			return &f.Nodes[i]
		}
	}
	return nil
}

// followMasters gives slaves their masters' mounts.
func (f *Fleet) followMasters() {
	for i := range f.Nodes {
		n := &f.Nodes[i]
		if n.Master == "" {
			continue
		}
		master := f.find(n.Master)
		host, port, _ := net.SplitHostPort(n.Master)
		switch {
		case master == nil:
			n.Unlisted = true
			f.Notes = append(f.Notes, Note{At: n.From, Look: true, Text: fmt.Sprintf("its master %s is in none of the sources, so it gets no listeners and its mounts are not known; if listeners may go there too, give its icecast.xml or URL as well", n.Master)})
			continue
		case master == n:
			continue
		}
		n.Unlisted = n.Unlisted || master.Unlisted
		for _, m := range master.Mounts {
			if slices.ContainsFunc(n.Mounts, func(have Mount) bool { return have.Path == m.Path }) {
				continue
			}
			m.Relayed = &Upstream{Host: host, Port: port, Mount: m.Path, OnDemand: n.OnDemand}
			m.Limit, m.Aliases = 0, nil
			n.Mounts = append(n.Mounts, m)
		}
	}
}

// nameStreams gives the same stream the same public path at all nodes: the path at the
// server that it comes from, or else that of the first node that relays it.
func (f *Fleet) nameStreams() {
	names := map[string]string{} // of streams of servers that are no nodes
	for i := range f.Nodes {
		for j := range f.Nodes[i].Mounts {
			m := &f.Nodes[i].Mounts[j]
			m.Name = cmp.Or(m.Name, m.Path)
			if m.Relayed == nil {
				continue
			}
			if master := f.find(m.Relayed.addr()); master != nil {
				if slices.ContainsFunc(master.Mounts, func(o Mount) bool { return o.Path == m.Relayed.Mount }) {
					m.Name = m.Relayed.Mount
				}
				continue
			}
			stream := m.Relayed.addr() + m.Relayed.Mount
			if names[stream] == "" {
				names[stream] = m.Name
			}
			m.Name = names[stream]
		}
	}
	for i := range f.Nodes {
		n := &f.Nodes[i]
		for j := range n.Mounts {
			m := &n.Mounts[j]
			own := slices.ContainsFunc(n.Mounts, func(o Mount) bool { return o.Path == m.Name && o.Path != m.Path })
			if own { // another stream has that name here
				m.Name = m.Path
			}
			if m.Name != m.Path {
				if n.Paths == nil {
					n.Paths = map[string]string{}
				}
				n.Paths[m.Name] = m.Path
			}
		}
	}
}

// countRelays tells masters how many of their connections are relays of the fleet.
func (f *Fleet) countRelays() {
	external := map[string][]string{}
	onDemand := map[*Node]int{}
	for i := range f.Nodes {
		for _, m := range f.Nodes[i].Mounts {
			if m.Relayed == nil {
				continue
			}
			master := f.find(m.Relayed.addr())
			switch {
			case master == nil:
				if f.Nodes[i].Master != m.Relayed.addr() {
					external[m.Relayed.addr()] = append(external[m.Relayed.addr()], f.Nodes[i].ID)
				}
			case m.Relayed.OnDemand:
				onDemand[master]++
			default:
				master.Relays++
			}
		}
	}
	for i := range f.Nodes {
		n := &f.Nodes[i]
		if n.Relays > 0 {
			n.RelaysNote = "its connections from relays of the fleet, which are no listeners"
		}
		if c := onDemand[n]; c > 0 {
			f.Notes = append(f.Notes, Note{At: n.From, Look: true, Text: fmt.Sprintf("up to %d more of its connections are relays on demand, which come and go with their listeners; they are not in `relays` of %s", c, n.ID)})
		}
	}
	for _, addr := range sortedKeys(external) {
		ids := slices.Compact(external[addr])
		f.Notes = append(f.Notes, Note{At: addr, Look: true, Text: fmt.Sprintf("what %s relays comes from there, and it is in none of the sources, so it gets no listeners; if it may, give its icecast.xml or URL too", strings.Join(ids, ", "))})
	}
}

// collectMounts makes the list of mounts of those of the nodes.
func (f *Fleet) collectMounts() {
	at := map[string][]string{}
	for i := range f.Nodes {
		n := &f.Nodes[i]
		for _, m := range n.Mounts {
			at[m.Name] = append(at[m.Name], n.ID)
			k := slices.IndexFunc(f.Mounts, func(have Mount) bool { return have.Name == m.Name })
			if k < 0 {
				f.Mounts = append(f.Mounts, m)
				continue
			}
			have := &f.Mounts[k]
			have.Title, have.Type, have.Kbit = cmp.Or(have.Title, m.Title), cmp.Or(have.Type, m.Type), cmp.Or(have.Kbit, m.Kbit)
			have.Remark = cmp.Or(have.Remark, m.Remark)
			for _, a := range m.Aliases {
				if !slices.Contains(have.Aliases, a) {
					have.Aliases = append(have.Aliases, a)
				}
			}
		}
	}
	unlisted := ""
	listing := 0
	for i := range f.Nodes {
		if f.Nodes[i].Unlisted && len(f.Nodes[i].Mounts) == 0 {
			unlisted = f.Nodes[i].ID
		} else {
			listing++
		}
	}
	taken := map[string]bool{}
	for _, m := range f.Mounts {
		taken[m.Name] = true
	}
	for i := range f.Mounts {
		m := &f.Mounts[i]
		m.Title = strings.TrimSpace(fmt.Sprintf("%.200s", m.Title))
		m.Aliases = slices.DeleteFunc(m.Aliases, func(a string) bool {
			was := taken[a]
			taken[a] = true
			return was
		})
		if ids := at[m.Name]; unlisted == "" && len(ids) < listing {
			f.Notes = append(f.Notes, Note{At: m.Name, Look: true, Text: fmt.Sprintf("only %s %s it, and Signpost will show that the others lack it; take it out of `mounts` if listeners do not need it", strings.Join(ids, ", "), map[bool]string{true: "has", false: "have"}[len(ids) == 1])})
		}
	}
	if unlisted != "" && len(f.Mounts) == 0 {
		f.Notes = append(f.Notes, Note{At: unlisted, Look: true, Text: "its mounts are not known, so every mount that a node reports will be served under its own path"})
	}
}

// shareLimits takes relays out of what the servers admit, and sets targets.
func (f *Fleet) shareLimits() {
	for i := range f.Nodes {
		n := &f.Nodes[i]
		if n.Limit > 0 && n.Relays > 0 {
			n.Limit = max(n.Limit-n.Relays, 1)
			n.LimitNote += fmt.Sprintf(", less %d for relays", n.Relays)
		}
		if n.Limit > 0 && n.Target == 0 {
			n.Target = max(n.Limit*2/3, 1)
		}
		if n.Limit > 0 && n.Target > n.Limit {
			n.Target = n.Limit
		}
	}
}

// lookAtHosts warns of hosts that listeners elsewhere do not reach.
func (f *Fleet) lookAtHosts() {
	for i := range f.Nodes {
		n := &f.Nodes[i]
		if why := n.unreachable(); why != "" {
			text := fmt.Sprintf("%s is %s: write the name by which listeners reach it under `urls` of %s", n.Host(), why, n.ID)
			if !strings.Contains(n.From, "://") {
				text += ", or give it here as NAME=" + n.From
			}
			f.Notes = append(f.Notes, Note{At: n.From, Look: true, Text: text})
		}
	}
}

// unreachable says why listeners elsewhere do not reach the node's host; empty: they may.
func (n *Node) unreachable() string {
	host := strings.ToLower(n.Host())
	addr, err := netip.ParseAddr(host)
	switch {
	case host == "localhost", err == nil && addr.IsLoopback():
		return "this machine itself, wherever it is asked"
	case err == nil && (addr.IsPrivate() || addr.IsLinkLocalUnicast()):
		return "an address in a private network"
	case err != nil && !strings.Contains(host, "."):
		return "a name without a domain"
	}
	return ""
}
