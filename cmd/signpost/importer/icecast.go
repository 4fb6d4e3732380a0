package importer

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// The options that are read are those that Icecast 2.4, Icecast 2.5 and Icecast-KH
// document; where they differ, the comments say which is meant.

// pacePerSecond is how many new listeners a second stock Icecast 2.4 takes: its queue of
// connections not yet accepted has five places (measured: 50 a second none refused, 100 some).
const pacePerSecond = 50

// Icecast's own defaults of <clients> and <sources>, in all three.
const defaultClients = 256

// IcecastXML reads an icecast.xml. host is the name by which listeners reach the server;
// empty: the file's. file is its name in messages. Errors name file, line and remedy.
func IcecastXML(file string, source []byte, host string) (Server, error) {
	root, err := parseXML(file, source)
	if err != nil {
		return Server{}, err
	}
	if root.name != "icecast" {
		return Server{}, fmt.Errorf("%s:%d: its first element is <%s>, and an icecast.xml begins with <icecast>; is it the right file?", file, root.line, root.name)
	}
	r := icecastReader{file: file, root: root, Server: Server{From: file}}
	r.flavour()
	r.addresses(host)
	if len(r.URLs) == 0 {
		return Server{}, fmt.Errorf("%s:%d: no <listen-socket> takes listeners from elsewhere; give one a <port>, and no <bind-address> of this machine alone", file, root.line)
	}
	r.mounts()
	r.relays()
	r.limits()
	auth := root.get("authentication")
	r.Admin = Credentials{cmp.Or(auth.value("admin-user"), "admin"), auth.value("admin-password")}
	if r.Admin.Password == "hackme" {
		r.look(r.at(auth), "the administrator's password is the one that Icecast comes with; change it")
	}
	r.rest()
	return r.Server, nil
}

type icecastReader struct {
	Server
	file    string
	root    *element
	kh, v25 bool
}

func (r *icecastReader) at(e *element) string { return fmt.Sprintf("%s:%d", r.file, e.line) }

// has reports whether an element of one of the names is anywhere in the file.
func (e *element) has(names ...string) bool {
	return slices.ContainsFunc(e.children, func(c *element) bool { return slices.Contains(names, c.name) || c.has(names...) })
}

// flavour finds out which Icecast the file was written for, by options that only one has.
func (r *icecastReader) flavour() {
	r.kh = r.root.has("workers", "max-bandwidth", "queue-len", "ssl-private-key", "master-redirect", "max-redirect-slaves", "redirect", "redirect-to", "linger-for", "limit-rate", "ban-client", "banfile", "inactivity-timeout", "run-on", "min-queue-size", "wait-time", "ogg-passthrough", "filter-theora", "ssl-port", "master-ssl-port", "x-forwarded-for", "relay-icy-metadata") ||
		len(r.root.all("master", "include")) > 0 || slices.ContainsFunc(r.root.all("relay"), func(e *element) bool { return len(e.all("master", "host")) > 0 })
	r.v25 = !r.kh && r.root.has("tls-context", "tls-certificate", "tls", "role", "event-bindings", "event", "listen-backlog", "yp-directory", "prng-seed", "reportxmldb", "upstream", "body-timeout", "bodysize", "max-history", "geoipdb", "dump-file-size-limit")
	switch {
	case r.kh:
		r.Version = "written for Icecast-KH"
	case r.v25:
		r.Version = "written for Icecast 2.5"
	default:
		r.MaxNew = pacePerSecond
	}
}

// A socket is one <listen-socket> that listeners may use.
type socket struct {
	at         *element
	port       string
	plain, tls bool
	bind       netip.Addr
}

// addresses finds the URLs: one for each scheme.
func (r *icecastReader) addresses(host string) {
	sockets := r.sockets()
	name := cmp.Or(host, r.root.value("hostname"))
	if host == "" && (name == "" || strings.EqualFold(name, "localhost")) {
		for _, s := range sockets { // a bind address is better than a name that everybody has
			if s.bind.IsValid() && !s.bind.IsUnspecified() && !s.bind.IsLoopback() {
				name = s.bind.String()
				break
			}
		}
	}
	name = strings.Trim(cmp.Or(name, "localhost"), "[]")
	loopback := name == "localhost" || strings.HasPrefix(name, "127.") || name == "::1"
	var plain, tls *socket
	for i := range sockets {
		s := &sockets[i]
		if s.bind.IsValid() && !s.bind.IsUnspecified() {
			r.answersTo = append(r.answersTo, net.JoinHostPort(s.bind.String(), s.port))
		}
		r.answersTo = append(r.answersTo, net.JoinHostPort(strings.ToLower(r.root.value("hostname")), s.port))
		if s.bind.IsLoopback() && !loopback {
			r.leftOut(r.at(s.at), "the socket at %s:%s, which only this machine reaches", s.bind, s.port)
			continue
		}
		if s.plain {
			plain = r.chosen(plain, s, "http", "80")
		}
		if s.tls {
			tls = r.chosen(tls, s, "https", "443")
		}
	}
	for _, u := range []struct {
		scheme, port string
		s            *socket
	}{{"http", "80", plain}, {"https", "443", tls}} {
		if u.s == nil {
			continue
		}
		h := name
		if u.s.port != u.port {
			h = net.JoinHostPort(name, u.s.port)
		} else if strings.Contains(name, ":") {
			h = "[" + name + "]"
		}
		r.URLs = append(r.URLs, (&url.URL{Scheme: u.scheme, Host: h}).String())
	}
}

// chosen returns which of two sockets listeners are sent to by a scheme: the first, unless
// the other has the scheme's own port.
func (r *icecastReader) chosen(have, s *socket, scheme, own string) *socket {
	if have == nil {
		return s
	}
	if s.port == own && have.port != own {
		have, s = s, have
	}
	if s.port != have.port {
		r.leftOut(r.at(s.at), "the socket at port %s: listeners are sent to one port by %s, and that is %s", s.port, scheme, have.port)
	}
	return have
}

func (r *icecastReader) sockets() (all []socket) {
	certificate := r.root.get("paths").value("ssl-certificate", "tls-certificate") != "" || r.root.has("tls-certificate", "ssl-certificate", "ssl_certificate")
	elements := r.root.all("listen-socket")
	if len(elements) == 0 && r.root.value("port") != "" { // the old way, for a single socket
		elements = []*element{{name: "listen-socket", line: r.root.get("port").line, children: append(r.root.all("port"), r.root.all("bind-address")...)}}
	}
	if len(elements) == 0 {
		elements = []*element{{name: "listen-socket", line: r.root.line, children: []*element{{name: "port", text: "8000"}}}}
		r.look(r.at(r.root), "there is no <listen-socket>; Icecast's own default is port 8000")
	}
	for _, e := range elements {
		s := socket{at: e, port: e.value("port"), plain: true}
		if n, err := strconv.Atoi(s.port); err != nil || n < 1 || n > 65535 {
			r.leftOut(r.at(e), "a <listen-socket> whose port is %q; ports are 1 to 65535", s.port)
			continue
		}
		if strings.EqualFold(e.attr("type"), "virtual") { // Icecast 2.5: another socket's settings
			r.leftOut(r.at(e), "the virtual socket at port %s, which only lends its settings to others", s.port)
			continue
		}
		if bind := e.value("bind-address"); bind != "" {
			s.bind, _ = netip.ParseAddr(strings.Trim(bind, "[]"))
			if strings.EqualFold(bind, "localhost") {
				s.bind = netip.AddrFrom4([4]byte{127, 0, 0, 1})
			}
		}
		if truth(e.value("shoutcast-compat")) {
			r.leftOut(r.at(e), "the socket at port %s, which is for SHOUTcast sources", s.port)
			continue
		}
		mode, asked := strings.ToLower(e.value("tls", "ssl")), len(e.all("tls", "ssl")) > 0 || e.attr("ssl") != ""
		switch {
		case r.v25 && asked && mode == "auto_no_plain", mode == "rfc2818", mode != "disabled" && mode != "auto" && truth(mode):
			s.plain, s.tls = false, true
		case r.v25 && certificate && (mode == "auto" || !asked), r.kh && certificate: // both find out by the first bytes
			s.tls = true
		}
		if s.tls && !certificate {
			r.leftOut(r.at(e), "https at port %s: the file names no certificate", s.port)
			s.tls = false
		}
		all = append(all, s)
	}
	return all
}

// mounts reads the <mount>s.
func (r *icecastReader) mounts() {
	// What several mounts fall back to is what listeners hear when a source is gone.
	fallbacks := map[string]bool{}
	for _, e := range r.root.all("mount") {
		for _, f := range e.all("fallback-mount", "fallback") {
			fallbacks[cmp.Or(f.text, f.value("mount"))] = true
		}
	}
	authTypes := func(e *element) (types []string) {
		for _, a := range e.all("authentication") {
			if t := a.attr("type"); t != "" {
				types = append(types, t)
			}
			for _, role := range a.all("role") { // Icecast 2.5
				if t := role.attr("type"); t != "" && t != "anonymous" && t != "legacy-password" && t != "static" {
					types = append(types, t)
				}
			}
		}
		return types
	}
	for _, e := range r.root.all("mount") {
		path := e.value("mount-name")
		switch {
		case strings.EqualFold(e.attr("type"), "default"):
			r.leftOut(r.at(e), "<mount type=\"default\">, which has defaults for others")
			r.Unlisted = true
			continue
		case path == "":
			r.leftOut(r.at(e), "a <mount> without <mount-name>")
			continue
		case path[0] != '/':
			r.leftOut(r.at(e), "<mount> %q: Icecast wants a name that begins with /", path)
			continue
		case strings.ContainsAny(path, "*?"):
			r.leftOut(r.at(e), "<mount> %s, a pattern for mounts that sources name", path)
			r.Unlisted = true
			continue
		case truth(e.value("no-mount")):
			r.leftOut(r.at(e), "<mount> %s: <no-mount> refuses listeners who ask for it itself", path)
			continue
		case truth(e.value("hidden")) && fallbacks[path]:
			r.leftOut(r.at(e), "<mount> %s: it is hidden, and what others fall back to; they still do", path)
			continue
		}
		m := Mount{Path: path, Title: e.value("stream-name"), Type: mediaType(e), Limit: max(integer(e.value("max-listeners")), 0)}
		if kbit := integer(e.value("bitrate")); kbit > 0 && kbit < 10_000 {
			m.Kbit = kbit
		}
		var remarks []string
		if f := e.value("fallback-mount", "fallback"); f != "" {
			remarks = append(remarks, "falls back to "+f+" at the server")
		}
		if truth(e.value("hidden")) {
			remarks = append(remarks, "hidden at the server; what is listed here is shown on /status-json.xsl, unless listen.status_page is false")
		}
		if types := authTypes(e); len(types) > 0 {
			remarks = append(remarks, fmt.Sprintf("asks listeners for a password (%s): those whose player keeps it over a redirect get in", strings.Join(types, ", ")))
		}
		m.Remark = strings.Join(remarks, "; ")
		r.addMount(m)
	}
}

func (r *icecastReader) addMount(m Mount) {
	if i := slices.IndexFunc(r.Mounts, func(have Mount) bool { return have.Path == m.Path }); i >= 0 {
		have := &r.Mounts[i]
		have.Relayed = cmp.Or(have.Relayed, m.Relayed)
		return
	}
	r.Mounts = append(r.Mounts, m)
}

// mediaType returns that of a <mount>, if it has one: <type>audio/mpeg</type>. The
// attribute of that name says what kind of <mount> it is.
func mediaType(e *element) string {
	if all := e.all("type"); len(all) > 0 && strings.Contains(all[0].text, "/") {
		return all[0].text
	}
	return ""
}

// integer reads a number as C's atoi does; 0: there is none.
func integer(s string) int {
	n, _ := strconv.Atoi(leadingDigits(strings.TrimSpace(s)))
	return n
}

// relays reads <relay>s, of Icecast 2.5 those in mounts too, and the master.
func (r *icecastReader) relays() {
	onDemand := truth(r.root.value("relays-on-demand"))
	ownPort := "8000"
	if u, err := url.Parse(r.URLs[0]); err == nil {
		ownPort = portOf(u)
	}
	for _, e := range r.root.all("relay") {
		r.relay(e, "", onDemand, ownPort)
	}
	for _, m := range r.root.all("mount") {
		for _, e := range m.all("relay") {
			r.relay(e, m.value("mount-name"), onDemand, ownPort)
		}
	}
	server, port := r.root.value("master-server"), r.root.value("master-server-port")
	if m := r.root.get("master"); m.name != "" && len(m.children)+len(m.attrs) > 0 { // Icecast-KH
		server, port = cmp.Or(m.value("server"), server), cmp.Or(m.value("port"), port)
		onDemand = onDemand || truth(m.value("on-demand"))
	}
	if server != "" {
		r.Master, r.OnDemand = net.JoinHostPort(strings.ToLower(server), cmp.Or(port, ownPort)), onDemand
	}
}

func (r *icecastReader) relay(e *element, local string, onDemand bool, ownPort string) {
	from, base := e, e // base has what from does not say
	hosts := e.all("master", "host", "upstream")
	for _, h := range hosts { // the first that is no default of the others, in Icecast-KH and 2.5
		if strings.EqualFold(h.attr("type"), "default") {
			base = h
		} else if from == e {
			from = h
		}
	}
	if len(hosts) > 1 && base == e || len(hosts) > 2 {
		r.look(r.at(e), "the relay has several upstreams; its connection is counted at the first")
	}
	either := func(names ...string) string {
		return cmp.Or(from.value(names...), base.value(names...), e.value(names...))
	}
	up := &Upstream{Host: cmp.Or(either("server", "ip"), "127.0.0.1"), Port: either("port"), Mount: cmp.Or(either("mount"), "/"), OnDemand: onDemand}
	if uri := either("uri"); uri != "" { // Icecast 2.5
		u, err := url.Parse(uri)
		if err != nil || u.Hostname() == "" {
			r.leftOut(r.at(e), "a <relay> whose <uri> %q is none", uri)
			return
		}
		up.Host, up.Port, up.Mount = u.Hostname(), portOf(u), cmp.Or(u.Path, "/")
	}
	up.Port = cmp.Or(up.Port, map[bool]string{true: ownPort, false: "80"}[r.kh])
	if v := e.value("on-demand"); v != "" {
		up.OnDemand = truth(v)
	}
	path := cmp.Or(local, e.value("local-mount"), up.Mount)
	switch enable := e.value("enable"); {
	case enable != "" && !truth(enable): // Icecast-KH
		r.leftOut(r.at(e), "<relay> %s, which is switched off", path)
	case path == "" || path[0] != '/':
		r.leftOut(r.at(e), "<relay> %q: Icecast wants a <local-mount> that begins with /", path)
	case slices.ContainsFunc(r.root.all("mount"), func(m *element) bool {
		return m.value("mount-name") == path && (truth(m.value("no-mount")))
	}):
		r.leftOut(r.at(e), "<relay> %s: its <mount> refuses listeners who ask for it itself", path)
	default:
		r.addMount(Mount{Path: path, Relayed: up})
		for i := range r.Mounts {
			if m := &r.Mounts[i]; m.Path == path && up.OnDemand && !strings.Contains(m.Remark, "on demand") {
				m.Remark = strings.TrimPrefix(m.Remark+"; relayed on demand: the first listener waits a moment", "; ")
			}
		}
	}
}

// limits derives how many listeners the server admits.
func (r *icecastReader) limits() {
	l := r.root.get("limits")
	clients, told := integer(l.value("clients")), true
	if clients <= 0 {
		clients, told = defaultClients, false
	}
	// <clients> counts sources, probes and requests for pages too: a tenth is for those.
	r.Limit = max(clients*10/11, 1)
	r.LimitNote = fmt.Sprintf("<clients> is %d, and sources, probes and pages count there too", clients)
	if !told {
		r.LimitNote = fmt.Sprintf("without <clients> Icecast admits %d, and sources, probes and pages count there too", clients)
	}
	if n := integer(l.value("max-listeners")); n > 0 && n < r.Limit { // Icecast-KH
		r.Limit, r.LimitNote = n, "<max-listeners> of <limits>"
	}
	sum := 0
	for _, m := range r.Mounts {
		if m.Limit == 0 {
			sum = 0
			break
		}
		sum += m.Limit
	}
	if sum > 0 && sum < r.Limit && r.Master == "" && !r.Unlisted {
		r.Limit, r.LimitNote = sum, "the <max-listeners> of its mounts together"
	}
	if bits := bitrate(l.value("max-bandwidth")); bits > 0 { // Icecast-KH
		r.LimitMbit = bits / 1e6
	}
}

// bitrate reads bits per second as Icecast-KH writes them: 400000, 500k, 100M.
func bitrate(s string) float64 {
	s = strings.TrimSpace(s)
	digits := leadingDigits(s)
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		return 0
	}
	switch rest := strings.ToLower(strings.TrimSpace(s[len(digits):])); {
	case strings.HasPrefix(rest, "k"):
		n *= 1e3
	case strings.HasPrefix(rest, "m"):
		n *= 1e6
	}
	return n
}

// rest reads aliases, and says what else is left out.
func (r *icecastReader) rest() {
	for _, e := range r.root.get("paths").all("alias") {
		from, to := e.attr("source"), cmp.Or(e.attr("destination"), e.attr("dest"))
		i := slices.IndexFunc(r.Mounts, func(m Mount) bool { return m.Path == to })
		switch {
		case i >= 0 && from == "/":
			r.look(r.at(e), "/ is an alias of %s; `listen.default_mount: %s` does the same here", to, to)
		case i >= 0 && strings.HasPrefix(from, "/"):
			r.Mounts[i].Aliases = append(r.Mounts[i].Aliases, from)
		case strings.HasSuffix(to, ".xsl") || strings.HasSuffix(to, ".html"):
		default:
			r.leftOut(r.at(e), "the alias %s of %s, which is none of its mounts", from, to)
		}
	}
	for _, e := range r.root.all("include") {
		r.leftOut(r.at(e), "the file %s that is included; what it has is not known here", e.text)
		r.Unlisted = true
	}
	for _, e := range append(r.root.all("redirect"), r.root.all("master-redirect")...) {
		r.leftOut(r.at(e), "<%s>: Signpost decides where listeners go; take it out at the server, so that nobody is sent on twice", e.name)
		break
	}
	if e := r.root.get("http-headers"); e.name != "" {
		r.leftOut(r.at(e), "<http-headers>, which the server goes on sending; Signpost allows all origins (CORS) by itself")
	}
	if len(r.Mounts) == 0 && r.Master == "" {
		r.Unlisted = true
	}
}
