package service

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signpost-fm/signpost/cmd/signpost/config"
)

// certEvery is how often certificates are looked at. They are read, and not
// watched: what renews them may write in place, rename, or move a link above them.
const certEvery = 2 * time.Second

// certificates serves the certificate in force of one section, which follows its
// files. It is safe for concurrent use.
type certificates struct {
	section string
	files   func() config.Certificate // in force
	current atomic.Pointer[tls.Certificate]

	mu    sync.Mutex
	seen  []byte // what was last read, good or bad
	fails string // why it cannot be read; empty: it can
}

// config returns what the listeners use. HTTP/2 is not offered to players: they do
// not speak it, and a stream is carried over HTTP/1.
func (c *certificates) config(protocols ...string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: protocols,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.current.Load(), nil
		},
	}
}

// load reads the files, and puts them in force if they are others than before.
func (c *certificates) load() (fresh bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	files := c.files()
	if files.CertFile == "" {
		return false, nil
	}
	cert, err := os.ReadFile(files.CertFile)
	if err != nil {
		return false, err
	}
	key, err := os.ReadFile(files.KeyFile)
	if err != nil {
		return false, err
	}
	both := bytes.Join([][]byte{cert, key}, []byte{0})
	if bytes.Equal(both, c.seen) && c.fails == "" {
		return false, nil
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return false, fmt.Errorf("%s and %s: %w", files.CertFile, files.KeyFile, err)
	}
	c.seen = both
	c.current.Store(&pair)
	return true, nil
}

// follow looks at the files until ctx is done. While they cannot be read, or do
// not belong together, what was in force stays.
func (c *certificates) follow(ctx context.Context, log *slog.Logger) error {
	t := time.NewTicker(certEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			c.reload(log)
		}
	}
}

// reload loads, and says so in the log when that is news.
func (c *certificates) reload(log *slog.Logger) {
	fresh, err := c.load()
	text := ""
	if err != nil {
		text = err.Error()
	}
	c.mu.Lock()
	news := text != c.fails
	c.fails = text
	c.mu.Unlock()
	switch {
	case fresh:
		log.Info("another certificate is in force", "section", c.section, "expires", expiry(c.current.Load()))
	case news && err != nil:
		log.Error("the certificate cannot be read, the old one stays in force", "section", c.section, "err", err)
	}
}

// expiry is when a certificate expires.
func expiry(c *tls.Certificate) time.Time {
	if c.Leaf == nil {
		return time.Time{}
	}
	return c.Leaf.NotAfter
}

// openCertificates reads the certificate of a section, and follows its files.
func (d *Service) openCertificates(c *certificates, section string, files func(*config.Settings) config.Certificate) error {
	c.section, c.files = section, func() config.Certificate { return files(d.settings.Load()) }
	if _, err := c.load(); err != nil {
		return err
	}
	d.closing.run("certificate of "+section, func(ctx context.Context) error { return c.follow(ctx, d.log) })
	return nil
}
