package service

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signpost-fm/signpost/cmd/signpost/config"
	"github.com/signpost-fm/signpost/cmd/signpost/notify"
	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/web/acme"
)

// openACME starts to get certificates, if the settings say so. port is where this director
// answers the authority.
func (d *Service) openACME(s *config.Settings, port net.Addr) error {
	c := *s.Listen.ACME
	c.Port = port.(*net.TCPAddr).Port
	c.Publish = d.publish
	c.Log = d.log.With("part", "certificates")
	if dir := certificatesDir(s); dir != "" {
		c.Copy = store.OpenDir(dir)
	}
	if shared, ok := d.store.(store.Files); ok {
		c.Files = shared
	} else { // this director has what it would share
		c.Files, c.Copy = c.Copy, nil
	}
	m, err := acme.New(c)
	if err != nil {
		return err
	}
	d.acme.Store(m)
	d.closing.run("certificates from "+c.Directory, m.Run)
	return nil
}

// challenge answers the certificate authority.
func (d *Service) challenge(w http.ResponseWriter, r *http.Request) {
	if m := d.acme.Load(); m != nil {
		m.ServeHTTP(w, r)
		return
	}
	http.NotFound(w, r) // it is not open yet
}

// bundle returns a certificate with its private key, for operators and agents.
func (d *Service) bundle(ctx context.Context, name string) ([]byte, time.Time, error) {
	if m := d.acme.Load(); m != nil {
		return m.Bundle(ctx, name)
	}
	return nil, time.Time{}, errors.New("this director gets no certificates; see listen.acme")
}

// certificateStates returns those of the names that certificates are obtained for.
func (d *Service) certificateStates() []acme.State {
	if m := d.acme.Load(); m != nil {
		return m.States()
	}
	return nil
}

// certificateTroubles says for which names there is no certificate, or no new one.
func (d *Service) certificateTroubles() (all []notify.Condition) {
	if m := d.acme.Load(); m != nil && m.Clock() != nil {
		all = append(all, notify.Condition{Key: "acme_clock", Text: m.Clock().Error(), Public: "the clock is not right", Over: "the clock is right again"})
	}
	for _, s := range d.certificateStates() {
		switch {
		case s.Error == "":
		case s.Expires.IsZero():
			all = append(all, notify.Condition{
				Key: "acme/" + s.Name, Text: fmt.Sprintf("https does not work for %s, for there is no certificate: %s", s.Name, s.Error), Degraded: true,
				Over: "there is a certificate for " + s.Name,
			})
		default:
			all = append(all, notify.Condition{
				Key: "acme/" + s.Name, Text: fmt.Sprintf("the certificate of %s, which ends at %s, cannot be renewed: %s", s.Name, s.Expires.UTC().Format("2006-01-02 15:04 MST"), s.Error), Degraded: true,
				Over: "the certificate of " + s.Name + " is renewed",
			})
		}
	}
	return all
}

// certificateMetrics are about the certificates that this director shows. It implements
// [prometheus.Collector].
type certificateMetrics struct{ *Service }

var (
	descCertificateEnd    = fleetDesc("certificate_end_time_seconds", "When the certificate of one of the directors' names ends; 0: there is none.", "name")
	descCertificateFailed = fleetDesc("certificate_failed", "1 while the certificate of one of the directors' names cannot be obtained, renewed or read.", "name")
)

// Describe implements [prometheus.Collector].
func (m certificateMetrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- descCertificateEnd
	ch <- descCertificateFailed
}

// Collect implements [prometheus.Collector].
func (m certificateMetrics) Collect(ch chan<- prometheus.Metric) {
	told := map[string]bool{} // listeners and operators may have the same one
	for _, c := range m.shownCertificates() {
		for _, name := range c.Names {
			if told[name] {
				continue
			}
			told[name] = true
			end := 0.0
			if !c.Ends.IsZero() {
				end = float64(c.Ends.Unix())
			}
			ch <- prometheus.MustNewConstMetric(descCertificateEnd, prometheus.GaugeValue, end, name)
			ch <- prometheus.MustNewConstMetric(descCertificateFailed, prometheus.GaugeValue, oneIf(c.Problem != ""), name)
		}
	}
}

// httpsWorks says whether browsers are content with this director's certificate for a host.
func (d *Service) httpsWorks(host string) bool {
	leaf := (*x509.Certificate)(nil)
	if m := d.acme.Load(); m != nil {
		leaf = m.Leaf(host)
	} else if pair := d.certs.current.Load(); pair != nil {
		leaf = pair.Leaf
	}
	now := time.Now()
	return leaf != nil && leaf.VerifyHostname(host) == nil && now.After(leaf.NotBefore) && now.Before(leaf.NotAfter)
}
