package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"time"
)

// Modes over TLS: a client shakes hands anew with each connection, or resumes the session
// before, sends Connection: close, and reads to the end. It leaves Nagle's algorithm on, as
// ffmpeg and mpv do: where it speaks last in the handshake, its request waits until the server
// acknowledges that.
const (
	full13    mode = "TLS 1.3 full"
	resumed13 mode = "TLS 1.3 resumed"
	full12    mode = "TLS 1.2 full"
	resumed12 mode = "TLS 1.2 resumed"
)

var (
	plainModes  = []mode{closing, hangUp, openLoop, keepAlive}
	secureModes = []mode{full13, resumed13, full12, resumed12}
)

// closes says whether the client asks the server to close the connection.
func (m mode) closes() bool { return m == closing || slices.Contains(secureModes, m) }

// A speaker is one client's side of TLS.
type speaker struct {
	config  *tls.Config
	version uint16
	resumes bool
	before  bool // it has a session to resume
}

// tls returns how a client speaks TLS; nil: it does not. It agrees on AES-128-GCM and, where
// keys are exchanged, on X25519 with any server. P-256 is offered for the certificate's sake
// (RFC 8422, 5.1).
func (m mode) tls() (*speaker, error) {
	if !slices.Contains(secureModes, m) {
		return nil, nil
	}
	s := &speaker{version: tls.VersionTLS13, resumes: m == resumed13 || m == resumed12}
	if m == full12 || m == resumed12 {
		s.version = tls.VersionTLS12
	}
	s.config = &tls.Config{
		InsecureSkipVerify: true, ServerName: "radio.example", //nolint:gosec // it is the bench's own server, and checking costs the client
		MinVersion: s.version, MaxVersion: s.version,
		CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256}, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
	}
	if s.resumes {
		s.config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	}
	return s, nil
}

// shake shakes hands as the mode says, or fails.
func (s *speaker) shake(conn socket) (*tls.Conn, error) {
	c := tls.Client(unhurried{conn}, s.config)
	if err := c.Handshake(); err != nil {
		conn.Close()
		return nil, fmt.Errorf("shake hands: %w", err)
	}
	is := c.ConnectionState()
	aes := is.CipherSuite == tls.TLS_AES_128_GCM_SHA256 || is.CipherSuite == tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
	if is.DidResume != s.before || !aes || !is.DidResume && is.CurveID != tls.X25519 {
		c.Close()
		return nil, fmt.Errorf("resumed: %t, should be: %t; it has %v and %s", is.DidResume, s.before, is.CurveID, tls.CipherSuiteName(is.CipherSuite))
	}
	s.before = s.resumes
	return c, nil
}

// unhurried makes a socket a net.Conn. It has no deadlines but the socket's own.
type unhurried struct{ socket }

func (unhurried) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (unhurried) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (unhurried) SetDeadline(time.Time) error      { return nil }
func (unhurried) SetReadDeadline(time.Time) error  { return nil }
func (unhurried) SetWriteDeadline(time.Time) error { return nil }
