package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signpost-fm/signpost/web"
	"github.com/signpost-fm/signpost/web/admin"
)

const (
	adminHeaderTimeout = 5 * time.Second
	adminWriteTimeout  = 30 * time.Second
)

// openAdmin opens the operators' side.
func (d *service) openAdmin(s *settings) error {
	if s.Admin.Listen == "" {
		return nil
	}
	log := d.log.With("part", "admin")
	c := admin.Config{
		Token:      s.token,
		Collectors: []prometheus.Collector{d.web.Collector()},
		Explain: func(q admin.Question) any {
			return d.web.Explain(web.Question{Addr: q.Addr, Path: q.Path, UserAgent: q.UserAgent, TLS: q.TLS})
		},
		Log: log,
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
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: adminHeaderTimeout, WriteTimeout: adminWriteTimeout,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	d.closing.add("admin", server.Shutdown)
	d.serve("operators", l, func(l net.Listener) error {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	return nil
}

// admin checks the operators' side: one that others can reach asks for a token.
func (c *converter) admin() string {
	var token string
	if name := c.Admin.TokenFile; name != "" {
		var err error
		if token, err = readSecret(c.path(name)); err != nil {
			c.fail(err.Error(), "admin", "token_file")
		} else if len(token) < minSecret {
			c.fail(fmt.Sprintf("%s holds fewer than %d characters; `openssl rand -hex 32` makes a good token", c.path(name), minSecret), "admin", "token_file")
		}
		return token
	}
	host, _, err := net.SplitHostPort(c.Admin.Listen)
	addr, _ := netip.ParseAddr(host) // a name, or all interfaces: invalid
	if err == nil && host != "localhost" && !addr.IsLoopback() {
		c.fail(fmt.Sprintf("%s can be reached from other machines; give a token_file, or listen at 127.0.0.1", c.Admin.Listen), "admin", "listen")
	}
	return ""
}
