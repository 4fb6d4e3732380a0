package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"time"
)

const (
	// clockTolerance is how far this machine's clock and the authority's may differ. Some
	// proxies and caches tell a time that is a little old.
	clockTolerance = 5 * time.Minute
	// clockEvery is how often they are compared, and clockAgain while they differ.
	clockEvery = 6 * time.Hour
	clockAgain = time.Minute

	askTimeout = 10 * time.Second
)

// roots returns the authorities that vouch for the directory; nil: the system's.
func (c *Config) roots() *x509.CertPool {
	if len(c.Roots) == 0 {
		return nil
	}
	all := x509.NewCertPool()
	all.AppendCertsFromPEM(c.Roots)
	return all
}

// TryAuthority asks for the authority's directory, and returns how far this machine's clock
// is ahead of the authority's, to about a second; below 0: behind. The error says what to
// do.
func (c *Config) TryAuthority(ctx context.Context) (ahead time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Directory, nil)
	if err != nil {
		return 0, err
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: c.roots()}, DisableKeepAlives: true}
	before := time.Now()
	answer, err := transport.RoundTrip(r)
	if err != nil {
		return 0, remedy(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("the authority's directory %s answers %s: see whether the URL is right", c.Directory, answer.Status)
	}
	theirs, err := http.ParseTime(answer.Header.Get("Date"))
	if err != nil {
		return 0, nil //nolint:nilerr // it tells no time
	}
	return before.Add(time.Since(before) / 2).Sub(theirs), nil
}

// CheckClock returns an error with the remedy if this machine's clock is so far ahead of the
// authority's that it matters.
func CheckClock(ahead time.Duration) error {
	way := "ahead of"
	if ahead < 0 {
		way, ahead = "behind", -ahead
	}
	if ahead <= clockTolerance {
		return nil
	}
	return fmt.Errorf("this machine's clock is %v %s the certificate authority's, and certificates are renewed and judged by it; set it right, as by `timedatectl set-ntp true`", ahead.Round(time.Minute), way)
}

// followClock compares this machine's clock with the authority's until ctx is done.
func (m *Manager) followClock(ctx context.Context) {
	for ctx.Err() == nil {
		pause := clockEvery
		if m.lookAtClock(ctx) != nil {
			pause = clockAgain
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// lookAtClock compares it once, and returns what [Manager.Clock] then does. While the
// authority does not answer, that stays.
func (m *Manager) lookAtClock(ctx context.Context) error {
	if ahead, err := m.c.TryAuthority(ctx); err == nil {
		m.clock.Store(int64(ahead))
	}
	return m.Clock()
}

// Clock returns what is wrong with this machine's clock, with the remedy; nil: nothing that
// is known.
func (m *Manager) Clock() error { return CheckClock(time.Duration(m.clock.Load())) }

// withClock adds to an error what is wrong with the clock.
func (m *Manager) withClock(ctx context.Context, err error) error {
	if clock := m.lookAtClock(ctx); clock != nil {
		return errors.Join(clock, err)
	}
	return err
}
