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
	"github.com/signpost-fm/signpost/cmd/signpost/notify"
	"github.com/signpost-fm/signpost/director/wording"
)

// certEvery is how often certificates are read. They are not watched: whatever renews
// them may write in place, rename, or move a link above them.
const certEvery = 2 * time.Second

// certificates has the certificate of one section, and follows its files. It is safe for
// concurrent use.
type certificates struct {
	section string
	files   func() config.Certificate // of the settings in force
	hosts   func() []string           // the names that it must be for, by those settings
	current atomic.Pointer[tls.Certificate]

	mu        sync.Mutex
	seen      []byte // the last content, good or bad
	lastError string // why the files cannot be used; empty: they can
}

// config returns the TLS configuration of a listener that speaks these protocols.
func (c *certificates) config(protocols ...string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: protocols,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.current.Load(), nil
		},
	}
}

// load reads the files, and uses them if they have changed.
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
	if bytes.Equal(both, c.seen) && c.lastError == "" {
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

// follow reads the files until ctx is done. The old certificate stays while they cannot
// be read, or do not belong together.
func (c *certificates) follow(ctx context.Context, log *slog.Logger) error {
	return every(ctx, certEvery, func() { c.reload(log) })
}

// reload loads, and logs changes.
func (c *certificates) reload(log *slog.Logger) {
	fresh, err := c.load()
	text := ""
	if err != nil {
		text = wording.Text(err)
	}
	c.mu.Lock()
	changed := text != c.lastError
	c.lastError = text
	c.mu.Unlock()
	switch {
	case fresh:
		log.Info("a new certificate is in force", "section", c.section, "expires", expiry(c.current.Load()))
	case changed && err != nil:
		log.Error("the certificate cannot be read, the old one stays in force", "section", c.section, "err", err)
	}
}

// expiry returns when a certificate expires, if that is known.
func expiry(c *tls.Certificate) time.Time {
	if c.Leaf == nil {
		return time.Time{}
	}
	return c.Leaf.NotAfter
}

// conditions returns what is wrong with the certificate: its files cannot be used, or the
// one in force ends, or is for another name.
func (c *certificates) conditions(now time.Time) (all []notify.Condition) {
	if c.files == nil {
		return nil
	}
	if text := c.problem(); text != "" {
		all = append(all, notify.Condition{
			Key: "certificate_refused/" + c.section, Text: fmt.Sprintf("the certificate of %s cannot be used, and the one before stays in force: %s", c.section, text),
			Remedy: "put a certificate and its key in place that belong together; they are read again by themselves", Degraded: true,
			Public: "a new certificate of " + c.section + " cannot be used, and the one before stays in force", Over: "the certificate of " + c.section + " is in force",
		})
	}
	if pair := c.current.Load(); pair != nil && pair.Leaf != nil {
		if text, remedy := config.CertificateTrouble(pair.Leaf, c.section, c.hosts(), now); text != "" {
			all = append(all, notify.Condition{Key: "certificate/" + c.section, Text: text, Remedy: remedy, Degraded: true, Over: "the certificate of " + c.section + " is good again"})
		}
	}
	return all
}

// openCertificates loads the certificate of a section, and follows its files.
func (d *Service) openCertificates(c *certificates, section string, files func(*config.Settings) config.Certificate) error {
	c.section, c.files = section, func() config.Certificate { return files(d.settings.Load()) }
	c.hosts = func() []string { return d.settings.Load().CertificateHosts(section) }
	if _, err := c.load(); err != nil {
		return err
	}
	d.closing.run("certificate of "+section, func(ctx context.Context) error { return c.follow(ctx, d.log) })
	return nil
}
