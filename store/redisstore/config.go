package redisstore

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

const poolSize = 4 // for one Sync and some Edits

// waits are the timeouts for Redis. As a rule a call is one or two commands, and has
// a connection already unless something went wrong.
type waits struct {
	dial   time.Duration // including TLS; shorter than a Syncer's timeout, so that its reason is reported
	answer time.Duration
	call   time.Duration // a whole Sync or Edit
}

var defaultWaits = waits{dial: 750 * time.Millisecond, answer: 500 * time.Millisecond, call: 2 * time.Second}

// Config says where Redis is. Either URL or Addrs must be set.
type Config struct {
	// URL is redis://host:6379/0, rediss://host:6379/0 (TLS) or
	// unix:///run/redis.sock?db=0. It may have a user before the host, but no password.
	URL string
	// Addrs are "host:port": one server, the Sentinels of MasterName, or nodes of a
	// Cluster, of which any one that answers suffices.
	Addrs      []string
	MasterName string // the Sentinels' name for the master; empty: no Sentinels
	Cluster    bool

	Username     string // of an ACL; empty: the default user
	PasswordFile string // read again for each new connection; empty: no password
	// SentinelPasswordFile is for the Sentinels themselves, and read once.
	SentinelPasswordFile string

	TLS        *tls.Config // nil: TLS with rediss://, or if one of the following is set
	CAFile     string      // PEM, read once; empty: the system's
	ServerName string      // in the server's certificate; empty: the host's name
	CertFile   string      // PEM of the client certificate; read again for each new connection
	KeyFile    string      // PEM of its key; read again with it

	DB     int    // 0 in a Cluster
	Prefix string // of all keys; empty: "signpost"
	Log    *slog.Logger

	waits waits // zero: defaultWaits
}

// target is the server or servers that a Config names.
type target struct {
	network string // "tcp" or "unix"
	addrs   []string
	user    string
	db      int
	tls     bool
}

// check returns the target of c, or all mistakes in c.
func (c Config) check() (target, error) {
	t := target{network: "tcp", addrs: c.Addrs, user: c.Username, db: c.DB}
	t.tls = c.TLS != nil || c.CAFile != "" || c.ServerName != "" || c.CertFile != ""
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	switch {
	case c.URL != "" && len(c.Addrs) > 0:
		fail("both a url and addresses are given; give one of them")
	case c.URL != "":
		if err := t.parse(c.URL); err != nil {
			errs = append(errs, err)
		}
	case len(c.Addrs) == 0:
		fail("no server is given; give a url such as redis://host:6379")
	}
	for _, a := range t.addrs {
		if host, port, err := net.SplitHostPort(a); t.network == "tcp" && (err != nil || host == "" || port == "") {
			fail("address %q must be host:port, such as redis1.example:6379", a)
		}
	}
	several := c.MasterName != "" || c.Cluster
	switch {
	case c.MasterName != "" && c.Cluster:
		fail("both a master's name and cluster are given; a cluster needs no sentinels")
	case !several && len(t.addrs) > 1:
		fail("several addresses are given; say what they are by the master's name (sentinels) or by cluster")
	case several && t.network == "unix":
		fail("sentinels and clusters are reached by host:port, not by a unix socket")
	case c.Cluster && t.db != 0:
		fail("a cluster has no database but 0, and %d is given; use another prefix instead", t.db)
	case c.MasterName == "" && c.SentinelPasswordFile != "":
		fail("a password file for sentinels is given, but no master's name")
	}
	if t.db < 0 {
		fail("database %d must be 0 or more", t.db)
	}
	if t.user != "" && c.PasswordFile == "" {
		fail("user %s needs a password file", t.user)
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		fail("a certificate needs a key, each in a file")
	}
	if c.URL != "" && !strings.HasPrefix(c.URL, "rediss:") && t.tls {
		fail("%s is not encrypted, but TLS is set up; write rediss://", c.URL)
	}
	if p := c.prefix(); len(p) > 64 || strings.ContainsFunc(p, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("{}*?[]^\\", r) }) {
		fail("prefix %q must be at most 64 printable ASCII characters without space, {}*?[]^\\", p)
	}
	return t, errors.Join(errs...)
}

// parse reads a URL into t. It does not use go-redis's parser, which accepts options
// that Signpost does not offer, and passwords, which do not belong in a configuration.
func (t *target) parse(text string) error {
	const forms = "it must be redis://host:6379/0, rediss://host:6379/0 or unix:///path?db=0"
	u, err := url.Parse(text)
	if err != nil {
		return fmt.Errorf("the url cannot be read; %s", forms) // the error would repeat a password
	}
	if _, secret := u.User.Password(); secret {
		return errors.New("the url has a password in it; put it into a file, and name that as the password file")
	}
	if name := u.User.Username(); name != "" {
		if t.user != "" && t.user != name {
			return fmt.Errorf("the url says user %s, and %s is given as well", name, t.user)
		}
		t.user = name
	}
	query := u.Query()
	db := strings.Trim(u.Path, "/")
	switch {
	case u.Scheme == "unix" && u.Host == "" && u.Path != "":
		t.network, t.addrs, db = "unix", []string{u.Path}, query.Get("db")
		query.Del("db")
	case (u.Scheme == "redis" || u.Scheme == "rediss") && u.Hostname() != "":
		t.tls = t.tls || u.Scheme == "rediss"
		port := u.Port()
		if port == "" {
			port = "6379"
		}
		t.addrs = []string{net.JoinHostPort(u.Hostname(), port)}
	default:
		return fmt.Errorf("the url %s has an unknown form; %s", text, forms)
	}
	if len(query) > 0 || u.Fragment != "" {
		return fmt.Errorf("the url %s has options, which are given beside it; %s", text, forms)
	}
	if db == "" {
		return nil
	}
	n, err := strconv.Atoi(db)
	if err != nil || (t.db != 0 && t.db != n) {
		return fmt.Errorf("the url %s must name the database by number, and the one that is given beside it if any; %s", text, forms)
	}
	t.db = n
	return nil
}

// tlsConfig returns the TLS configuration for t, or nil for a plain connection.
func (c Config) tlsConfig(t target) (*tls.Config, error) {
	if !t.tls {
		return nil, nil
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.TLS != nil {
		out = c.TLS.Clone()
	}
	if c.ServerName != "" {
		out.ServerName = c.ServerName
	}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("the file of certificate authorities: %w", err)
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s has no certificate in PEM", c.CAFile)
		}
	}
	if c.CertFile != "" {
		load := func() (*tls.Certificate, error) {
			cert, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
			return &cert, err
		}
		if _, err := load(); err != nil {
			return nil, fmt.Errorf("the certificate to show: %w", err)
		}
		out.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	}
	return out, nil
}

// readPassword returns the password in a file, without trailing line ends.
func readPassword(file string) (string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("password file: %w", err)
	}
	password := strings.TrimRight(string(b), "\r\n")
	if password == "" {
		return "", fmt.Errorf("password file %s is empty", file)
	}
	return password, nil
}

// prefix returns the prefix of all keys, or its default.
func (c Config) prefix() string {
	if c.Prefix == "" {
		return "signpost"
	}
	return c.Prefix
}

func (c Config) log() *slog.Logger {
	if c.Log == nil {
		return slog.Default()
	}
	return c.Log
}
