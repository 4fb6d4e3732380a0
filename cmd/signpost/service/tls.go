package service

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"slices"
	"time"

	"github.com/signpost-fm/signpost/cmd/signpost/config"
)

const (
	// ticketLife is how long one key encrypts TLS session tickets. Players that come back
	// within that time save a key exchange and a signature, at whichever director.
	ticketLife = 12 * time.Hour
	// ticketEvery is how often the keys are looked at.
	ticketEvery = 10 * time.Minute
)

// ticketKeys returns the keys of session tickets at a time: the one that encrypts first, then
// those that only decrypt. All directors with one secret have the same keys without telling
// each other. The next period's is among them, for directors whose clock is ahead.
func ticketKeys(secret []byte, now time.Time) [][32]byte {
	period := now.Unix() / int64(ticketLife/time.Second)
	var keys [][32]byte
	for _, p := range []int64{period, period - 1, period + 1} {
		info := binary.BigEndian.AppendUint64([]byte("signpost session tickets "), uint64(p))
		key, err := hkdf.Key(sha256.New, secret, nil, string(info), 32)
		if err != nil {
			return nil // it cannot be: the length is not too large
		}
		keys = append(keys, [32]byte(key))
	}
	return keys
}

// shareTickets gives c the keys of all directors, and renews them. Without a secret, each
// director has its own, which Go makes and renews.
func (d *Service) shareTickets(c *tls.Config, s *config.Settings) {
	secret := s.Secret
	if len(secret) == 0 && s.Listen.ACME != nil {
		secret = s.Listen.ACME.Secret
	}
	if len(secret) == 0 {
		return
	}
	renew := func() { c.SetSessionTicketKeys(ticketKeys(secret, time.Now())) }
	renew()
	d.closing.run("session tickets", func(ctx context.Context) error { return every(ctx, ticketEvery, renew) })
}

// legacySuites are the cipher suites of TLS 1.2 and below that Go has and does not offer by
// itself: without forward secrecy, or with 3DES. RC4 is not among them.
var legacySuites = []uint16{
	tls.TLS_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_256_CBC_SHA,
	tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA, tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA,
}

// browserHello says whether a TLS client is a web browser: those say reserved values, so that
// servers get used to new ones (GREASE, RFC 8701: Chromium, Safari), or offer to encrypt the
// name (ECH, RFC 9849: Firefox, Chromium). No player does that did not take a browser's
// TLS, with a browser's HTTP/2.
func browserHello(h *tls.ClientHelloInfo) bool {
	grease := func(v uint16) bool { return v&0x0f0f == 0x0a0a && v>>8 == v&0xff }
	const ech = 0xfe0d
	return slices.ContainsFunc(h.CipherSuites, grease) || slices.ContainsFunc(h.Extensions, func(e uint16) bool { return e == ech || grease(e) })
}

// offerHTTP2 makes c offer HTTP/2 to those who shall have it. All others get HTTP/1.1, in which
// players were tried.
func offerHTTP2(c *tls.Config, to config.HTTP2) {
	if to == config.HTTP2Off {
		return
	}
	second := c.Clone() // it gets c's tickets, for it has no keys of its own
	second.NextProtos = append([]string{"h2"}, c.NextProtos...)
	c.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		if slices.Contains(h.SupportedProtos, "h2") && (to == config.HTTP2All || browserHello(h)) {
			return second, nil
		}
		return nil, nil
	}
}

// speak makes c speak what the settings allow.
func speak(c *tls.Config, t config.TLS) {
	c.MinVersion = t.Minimum
	if !t.Legacy {
		return
	}
	for _, suite := range tls.CipherSuites() {
		c.CipherSuites = append(c.CipherSuites, suite.ID)
	}
	c.CipherSuites = append(c.CipherSuites, legacySuites...)
}
