package config

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// CertificateTrouble says what is wrong with the certificate of a section, and the remedy;
// empty: nothing. hosts are the names that it must be for.
func CertificateTrouble(c *x509.Certificate, section string, hosts []string, now time.Time) (text, remedy string) {
	name := "the certificate of " + section
	const renew = "renew it; the files are read again by themselves"
	left := c.NotAfter.Sub(now)
	switch {
	case left <= 0:
		return fmt.Sprintf("%s has expired: it ended at %s, and players refuse it", name, c.NotAfter.UTC().Format(time.RFC3339)), renew
	case now.Before(c.NotBefore):
		return fmt.Sprintf("%s holds only from %s, and players refuse it until then", name, c.NotBefore.UTC().Format(time.RFC3339)), "put one in place that holds now, or set this machine's clock"
	}
	ends := ""
	if left < director.CertificateWarning {
		ends = "ends at " + c.NotAfter.UTC().Format(time.RFC3339)
	}
	for _, host := range hosts {
		if c.VerifyHostname(host) != nil {
			text = fmt.Sprintf("%s is not for %s, where listeners come to: it is for %s", name, host, namesIn(c))
			if ends != "" {
				text += ", and " + ends
			}
			return text, "have one made for that name, or correct listen.public_urls"
		}
	}
	if ends != "" {
		return name + " " + ends, renew
	}
	return "", ""
}

func namesIn(c *x509.Certificate) string {
	names := append([]string(nil), c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return "no name"
	}
	return strings.Join(names, ", ")
}

// CertificateHosts returns the names that the certificate of a section must be for: those
// of the public https URLs for listen.
func (s *Settings) CertificateHosts(section string) (hosts []string) {
	if section != "listen" {
		return nil
	}
	for _, raw := range s.Listen.PublicURLs {
		if u, err := url.Parse(raw); err == nil && u.Scheme == "https" {
			hosts = append(hosts, u.Hostname())
		}
	}
	return hosts
}

// certificateWarnings finds certificates that end or are for another name.
func (s *Settings) certificateWarnings(now time.Time) (all []string) {
	for _, c := range []struct {
		section string
		Certificate
		used bool
	}{{"listen", s.Listen.Certificate, len(s.Listen.HTTPS) > 0}, {"admin", s.Admin.Certificate, true}} {
		if c.CertFile == "" || !c.used {
			continue
		}
		pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil || pair.Leaf == nil {
			continue // it was refused before
		}
		if info, err := os.Stat(c.KeyFile); err == nil && info.Mode().Perm()&0o004 != 0 {
			all = append(all, fmt.Sprintf("every user of this machine may read %s, the private key of %s; chmod o= it", c.KeyFile, c.section))
		}
		if text, remedy := CertificateTrouble(pair.Leaf, c.section, s.CertificateHosts(c.section), now); text != "" {
			all = append(all, text+"; "+remedy)
		}
	}
	return all
}
