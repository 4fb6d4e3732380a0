package service

import (
	"crypto/x509"

	"github.com/signpost-fm/signpost/web/admin/api"
)

// databases returns the sources from which places are known.
func (d *Service) databases() (all []api.Database) {
	for _, s := range d.geo.current.Load().Sources() {
		all = append(all, api.Database{Type: s.Type, Path: s.Path, Built: s.Built.UTC(), Embedded: s.Embedded})
	}
	return all
}

// shownCertificates returns the certificates that this director shows.
func (d *Service) shownCertificates() (all []api.Certificate) {
	for _, c := range []*certificates{&d.certs, &d.adminCerts} {
		pair := c.current.Load()
		if pair == nil {
			continue
		}
		out := api.Certificate{For: c.section, Problem: c.problem()}
		leaf := pair.Leaf
		if leaf == nil && len(pair.Certificate) > 0 {
			leaf, _ = x509.ParseCertificate(pair.Certificate[0]) // it was parsed before
		}
		if leaf != nil {
			out.Names, out.Ends = leaf.DNSNames, leaf.NotAfter.UTC()
			for _, ip := range leaf.IPAddresses {
				out.Names = append(out.Names, ip.String())
			}
		}
		all = append(all, out)
	}
	for _, state := range d.certificateStates() {
		all = append(all, api.Certificate{For: "listen", Names: []string{state.Name}, Ends: state.Expires.UTC(), Problem: state.Error})
	}
	return all
}

// problem says why the files cannot be used now; empty: they can.
func (c *certificates) problem() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lastError
}
