package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signpost-fm/signpost/cmd/signpost/version"
	"github.com/signpost-fm/signpost/web"
	"github.com/signpost-fm/signpost/web/admin"
	"github.com/signpost-fm/signpost/web/admin/api"
	"github.com/signpost-fm/signpost/web/admin/dashboard"
)

const (
	adminHeaderTimeout = 5 * time.Second
	adminTimeout       = 30 * time.Second // for reading a request, and for answering
	adminIdleTimeout   = 2 * time.Minute
)

// openAdmin opens the operators' side.
func (d *service) openAdmin(s *settings) error {
	if s.Admin.Listen == "" {
		return nil
	}
	log := d.log.With("part", "admin")
	c := admin.Config{
		Tokens:     d.tokens,
		Syncer:     d.syncer,
		Collectors: []prometheus.Collector{d.web.Collector(), fleetMetrics{d.syncer, d.prober, d.store}, fileMetrics{&d.standing}},
		Explain: func(q admin.Question) any {
			return d.web.Explain(web.Question{Addr: q.Addr, Path: q.Path, UserAgent: q.UserAgent, TLS: q.TLS, Header: q.Header})
		},
		Dashboard: dashboard.New,
		Rules:     d.ruleUses, CheckRule: checkRule, Clients: d.clientUses, Traffic: d.traffic, Mix: d.mix.of,
		SafeBelow: func() int { return d.settings.Load().Admin.SafeBelow },
		PublicURL: d.publicURL,
		Troubles:  func() []string { return d.troubles(true) },
		Version:   version.Current().Version,
		Store:     "memory",
		Log:       log,
	}
	if s.Store.Redis.shares() {
		c.Store = "redis"
	}
	if d.proxy != nil {
		inline := streams{d.proxy}
		c.Collectors, c.Streams = append(c.Collectors, inline), inline.list
	}
	h, err := admin.New(c)
	if err != nil {
		return err
	}
	listen := net.Listen
	if d.listen != nil {
		listen = d.listen
	}
	l, err := listen("tcp", s.Admin.Listen)
	if err != nil {
		return fmt.Errorf("listen for operators: %w; is another program there? choose another address under admin.listen or with --admin", err)
	}
	d.admin = l.Addr()
	answer := func(s *http.Server, l net.Listener) error { return s.Serve(l) }
	if s.Admin.CertFile != "" {
		if err := d.openCertificates(&d.adminCerts, "admin", (*settings).adminCertificate); err != nil {
			return errors.Join(err, l.Close())
		}
		answer = func(s *http.Server, l net.Listener) error { return s.ServeTLS(l, "", "") }
	}
	server := &http.Server{
		Handler: h, TLSConfig: d.adminCerts.config("h2", "http/1.1"),
		ReadHeaderTimeout: adminHeaderTimeout, ReadTimeout: adminTimeout, WriteTimeout: adminTimeout, IdleTimeout: adminIdleTimeout,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	d.closing.add("admin", server.Shutdown)
	d.closing.run("events for operators", h.Run)
	d.serve("operators", l, func(l net.Listener) error {
		if err := answer(server, l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	return nil
}

// publicURL is where listeners reach this director: as the file has it, or else
// where it listens, if that is one address.
func (d *service) publicURL() string {
	s := d.settings.Load()
	if s.policy.PublicURL != "" || len(s.Listen.HTTP) == 0 || len(d.addrs) == 0 {
		return s.policy.PublicURL
	}
	if a, ok := d.addrs[0].(*net.TCPAddr); ok && !a.IP.IsUnspecified() {
		return "http://" + a.String()
	}
	return ""
}

// tokens are those of the settings in force. A reload may take all of them away
// while the listener, which it does not move, can still be reached by others: then
// nobody is let in.
func (d *service) tokens() []admin.Token {
	tokens := d.settings.Load().tokens
	if a, ok := d.admin.(*net.TCPAddr); len(tokens) == 0 && ok && !a.IP.IsLoopback() {
		return []admin.Token{{Name: "nobody"}} // nothing has this hash
	}
	return tokens
}

// admin reads the tokens of the operators' side, and checks that one that others
// can reach asks for them.
func (c *converter) admin() []admin.Token {
	var tokens []admin.Token
	if name := c.Admin.TokensFile; name != "" {
		text, err := readSecret(c.path(name))
		if err == nil {
			tokens, err = admin.ParseTokens(text)
		}
		switch {
		case err != nil:
			c.fail(fmt.Sprintf("%s: %s", c.path(name), strings.ReplaceAll(err.Error(), "\n", "; ")), "admin", "tokens_file")
		case len(tokens) == 0:
			c.fail(c.path(name)+" holds no token", "admin", "tokens_file")
		}
	}
	if name := c.Admin.TokenFile; name != "" {
		token, err := readSecret(c.path(name))
		if err != nil {
			c.fail(err.Error(), "admin", "token_file")
		} else if len(token) < minSecret {
			c.fail(fmt.Sprintf("%s holds fewer than %d characters; `openssl rand -hex 32` makes a good token", c.path(name), minSecret), "admin", "token_file")
		}
		tokens = append(tokens, admin.NewToken("admin.token_file", api.RoleOperate, token))
	}
	host, _, err := net.SplitHostPort(c.Admin.Listen)
	addr, _ := netip.ParseAddr(host) // a name, or all interfaces: invalid
	guarded := c.Admin.TokenFile != "" || c.Admin.TokensFile != ""
	if err == nil && !guarded && host != "localhost" && !addr.IsLoopback() {
		c.fail(fmt.Sprintf("%s can be reached from other machines; give a token_file, or listen at 127.0.0.1", c.Admin.Listen), "admin", "listen")
	}
	return tokens
}
