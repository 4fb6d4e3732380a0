package acme

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/mholt/acmez/v3/acme"

	"github.com/signpost-fm/signpost/store"
)

// problems are the authority's answers, by the end of their type (RFC 8555, 6.7), each
// with what to do.
var problems = map[string]string{
	"rateLimited":             "the authority has had too many requests for this name or account; it is tried again by itself",
	"unauthorized":            "the authority reached something else than a director at this name: see what the name resolves to, and where port 80 (http-01) or 443 (tls-alpn-01) there leads",
	"connection":              "the authority cannot reach this name: see what it resolves to, and open port 80 (http-01) or 443 (tls-alpn-01) there",
	"tls":                     "the authority cannot speak TLS at this name: see what it resolves to, and where port 443 there leads",
	"dns":                     "the authority cannot resolve this name: see its A and AAAA records",
	"caa":                     "a CAA record forbids this authority: add it there, or take another directory",
	"rejectedIdentifier":      "the authority issues no certificates for this name",
	"accountDoesNotExist":     "the authority does not know the account any more: remove the shared files below acme/, and a new account is made",
	"externalAccountNeeded":   "the authority wants an account that was made with it before, which is not supported; take another directory",
	"externalAccountRequired": "the authority wants an account that was made with it before, which is not supported; take another directory",
	"userActionRequired":      "the authority wants its terms to be read: see its message",
	"badNonce":                "the authority refused a request's number; it is tried again by itself",
	"serverInternal":          "the authority has a fault; it is tried again by itself",
}

// errAccountAnew says that the next attempt may follow at once.
var errAccountAnew = errors.New("the authority did not know the account any more; another one was made, and is used from now on")

// remedy says first what to do about an error.
func remedy(err error) error {
	if errors.Is(err, store.ErrAway) {
		return err
	}
	// certmagic makes a new account, but its second try is by the old one: see Issue in its
	// acmeissuer.go.
	if err != nil && strings.HasSuffix(err.Error(), "no certificate chains") {
		return errAccountAnew
	}
	var problem acme.Problem
	if errors.As(err, &problem) {
		if strings.Contains(problem.Detail, "deactivated") {
			return fmt.Errorf("the authority has closed the account: give acme.email another address, and a new one is made. It says: %s", problem.Detail)
		}
		if strings.Contains(problem.Detail, "CertID") {
			return fmt.Errorf("the authority does not know the certificate that is to be renewed, as if it had been set up anew: `signpost certificates replace` orders one without reference to it. It says: %s", problem.Detail)
		}
		kind := problem.Type[strings.LastIndexByte(problem.Type, ':')+1:]
		words, ok := problems[kind]
		if !ok {
			words = "the authority refuses, with " + kind
		}
		return fmt.Errorf("%s. It says: %s", words, problem.Detail)
	}
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var away net.Error
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("nobody whom this machine trusts vouches for the authority's own certificate; give its root in acme.ca_file: %w", err)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Errorf("the authority's own certificate is not valid at this machine's time; see whether its clock is right: %w", err)
	case errors.As(err, &away):
		return fmt.Errorf("the authority cannot be reached from this machine, and is tried again by itself; see acme.directory, DNS, and whether a firewall lets connections to its port out: %w", err)
	}
	return err
}
