package config

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/signpost-fm/signpost/director/wording"
	"github.com/signpost-fm/signpost/web/acme"
)

// nameTimeout bounds each look-up and each connection.
const nameTimeout = 5 * time.Second

// a nameTrial finds out where the authority gets to by the names of listen.acme.
type nameTrial struct {
	lookup    func(ctx context.Context, host string) ([]netip.Addr, error)
	port      string // that the authority asks at
	challenge acme.Challenge
	own       []netip.Addr // this director's addresses
}

// NameWarnings looks up the names of listen.acme, goes where the certificate authority will
// go, and asks the authority itself. It says what keeps certificates from being issued.
func (s *Settings) NameWarnings() (all []string) {
	a := s.Listen.ACME
	if a == nil {
		return nil
	}
	ctx := context.Background()
	ahead, err := a.TryAuthority(ctx)
	if err == nil {
		err = acme.CheckClock(ahead)
	}
	if err != nil {
		all = append(all, "listen.acme: "+wording.Text(err))
	}
	if a.Challenge == acme.DNS01 {
		return all // the names may lead to nodes
	}
	t := nameTrial{
		lookup: func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		},
		port: "80", challenge: a.Challenge, own: s.DNS.Addrs,
	}
	if a.Challenge == acme.TLSALPN01 {
		t.port = "443"
	}
	if here, err := net.InterfaceAddrs(); err == nil {
		for _, addr := range here {
			if p, err := netip.ParsePrefix(addr.String()); err == nil {
				t.own = append(t.own, p.Addr())
			}
		}
	}
	return append(all, t.warnings(ctx, a.Names)...)
}

// warnings says for which names the authority would not reach a director, in their order.
func (t nameTrial) warnings(ctx context.Context, names []string) (all []string) {
	texts := make([]string, len(names))
	var trying sync.WaitGroup
	for i, name := range names {
		trying.Go(func() { texts[i] = t.warning(ctx, name) })
	}
	trying.Wait()
	return slices.DeleteFunc(texts, func(text string) bool { return text == "" })
}

// warning says why the authority would not reach a director by a name; empty: it would, as
// far as can be seen from here.
func (t nameTrial) warning(ctx context.Context, name string) string {
	ctx, cancel := context.WithTimeout(ctx, 3*nameTimeout)
	defer cancel()
	addrs, err := t.lookup(ctx, name)
	if err != nil || len(addrs) == 0 {
		return fmt.Sprintf("%s does not lead to any director, and gets no certificate: %s; give it the directors' addresses in DNS", name, cmpText(err, "it has no addresses"))
	}
	var bad []string
	for _, addr := range addrs {
		addr = addr.Unmap()
		if why := t.at(ctx, name, addr); why != "" {
			if len(t.own) > 0 && !slices.Contains(t.own, addr) {
				why += ", and this is no address of this machine, nor of dns.addresses"
			}
			bad = append(bad, fmt.Sprintf("%s: %s", net.JoinHostPort(addr.String(), t.port), why))
		}
	}
	if len(bad) == 0 {
		return ""
	}
	return fmt.Sprintf("%s leads to where the certificate authority may not find a director (%s): %s; correct its addresses in DNS, start the director there, or open that port in firewalls", name, t.challenge, strings.Join(bad, "; "))
}

func cmpText(err error, otherwise string) string {
	if err == nil {
		return otherwise
	}
	return wording.Text(err)
}

// at says what is wrong at one address of a name; empty: nothing, or that cannot be seen
// from here.
func (t nameTrial) at(ctx context.Context, name string, addr netip.Addr) string {
	ctx, cancel := context.WithTimeout(ctx, nameTimeout)
	defer cancel()
	to := net.JoinHostPort(addr.String(), t.port)
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, to)
	}
	if t.challenge == acme.TLSALPN01 {
		c, err := dial(ctx, "tcp", to)
		if err != nil {
			return unreachable(err)
		}
		defer c.Close()
		stop := context.AfterFunc(ctx, func() { _ = c.Close() })
		defer stop()
		// A director refuses who asks for the challenge's protocol while there is none, or
		// answers with it; others shake hands by what they know, or do not speak TLS.
		secure := tls.Client(c, &tls.Config{ServerName: name, NextProtos: []string{acme.ChallengeProtocol}, InsecureSkipVerify: true}) //nolint:gosec // only whether it speaks is asked
		err = secure.HandshakeContext(ctx)
		var header tls.RecordHeaderError
		refused := err != nil && strings.Contains(err.Error(), "no application protocol") // RFC 7301; package tls has no value for it
		switch {
		case errors.As(err, &header):
			return "what answers does not speak TLS"
		case refused, err == nil && secure.ConnectionState().NegotiatedProtocol != acme.ChallengeProtocol:
			return "what answers is no director that gets certificates by tls-alpn-01"
		}
		return ""
	}
	client := http.Client{
		Transport:     &http.Transport{DialContext: dial, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+name+acme.ChallengePath+"check", nil)
	if err != nil {
		return wording.Text(err)
	}
	answer, err := client.Do(r)
	if err != nil {
		return unreachable(err)
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(answer.Body, 1024))
	if answer.StatusCode == http.StatusNotFound && strings.HasPrefix(string(body), acme.NoChallenge) {
		return ""
	}
	server := answer.Header.Get("Server")
	if server != "" {
		server = fmt.Sprintf(", which calls itself %.40q", server)
	}
	return fmt.Sprintf("what answers (%s)%s is no director that gets certificates by http-01", answer.Status, server)
}

// unreachable puts an error into words; empty: there is no way there from this machine, such
// as to IPv6, which says nothing of the authority's.
func unreachable(err error) string {
	if errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.EADDRNOTAVAIL) {
		return ""
	}
	return wording.Text(err)
}
