package redisstore_test

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signpost-fm/signpost/store/redisstore"
	"github.com/signpost-fm/signpost/store/redisstore/redistest"
)

func TestOpenChecksOnlyTheConfig(t *testing.T) {
	t.Parallel()
	nobody := "127.0.0.1:1" // nothing listens there
	for _, c := range []redisstore.Config{
		{URL: "redis://" + nobody},
		{URL: "redis://localhost"},
		{URL: "redis://[::1]:6379/3"},
		{URL: "redis://anna@" + nobody, PasswordFile: file(t, "secret\n")},
		{URL: "rediss://" + nobody, ServerName: "redis.example"},
		{URL: "unix:///run/redis.sock?db=2"},
		{Addrs: []string{nobody}, TLS: &tls.Config{}, DB: 3, Prefix: "radio-1"},
		{Addrs: []string{nobody, nobody}, MasterName: "m", SentinelPasswordFile: file(t, "secret")},
		{Addrs: []string{nobody, nobody}, Cluster: true},
		{URL: "redis://" + nobody, Cluster: true},
	} {
		s, err := redisstore.Open(c)
		if err != nil {
			t.Errorf("Open(%+v): %v", c, err)
			continue
		}
		if n := s.RoundTrips(); n != 0 {
			t.Errorf("Open(%+v) asked redis %d times", c, n)
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
}

func TestConfigMistakes(t *testing.T) {
	t.Parallel()
	const addr = "127.0.0.1:6379"
	missing := filepath.Join(t.TempDir(), "missing")
	certs := redistest.NewCertificates(t)
	tests := []struct {
		name   string
		config redisstore.Config
		want   string // in the error
	}{
		{"nothing", redisstore.Config{}, "give a url such as redis://host:6379"},
		{"both", redisstore.Config{URL: "redis://" + addr, Addrs: []string{addr}}, "one of them"},
		{"scheme", redisstore.Config{URL: "http://" + addr}, "it must be redis://"},
		{"no scheme", redisstore.Config{URL: "redis.example"}, "it must be redis://"},
		{"no host", redisstore.Config{URL: "redis:///0"}, "it must be redis://"},
		{"unix with a host", redisstore.Config{URL: "unix://run/redis.sock"}, "unix:///path"},
		{"not a url", redisstore.Config{URL: "redis://%zz"}, "cannot be read"},
		{"password in the url", redisstore.Config{URL: "redis://anna:geheim@" + addr}, "put it into a file"},
		{"options in the url", redisstore.Config{URL: "redis://" + addr + "?pool_size=3"}, "options"},
		{"database in the url", redisstore.Config{URL: "redis://" + addr + "/radio"}, "by number"},
		{"two databases", redisstore.Config{URL: "redis://" + addr + "/1", DB: 2}, "by number"},
		{"two users", redisstore.Config{URL: "redis://anna@" + addr, Username: "ben", PasswordFile: certs.CA}, "as well"},
		{"address without port", redisstore.Config{Addrs: []string{"redis.example"}}, "must be host:port"},
		{"several of what", redisstore.Config{Addrs: []string{addr, addr}}, "say what they are"},
		{"sentinels and cluster", redisstore.Config{Addrs: []string{addr}, MasterName: "m", Cluster: true}, "needs no sentinels"},
		{"cluster by socket", redisstore.Config{URL: "unix:///run/redis.sock", Cluster: true}, "unix socket"},
		{"database of a cluster", redisstore.Config{Addrs: []string{addr}, Cluster: true, DB: 1}, "another prefix"},
		{"negative database", redisstore.Config{Addrs: []string{addr}, DB: -1}, "0 or more"},
		{"user without password", redisstore.Config{Addrs: []string{addr}, Username: "anna"}, "needs a password file"},
		{"missing password file", redisstore.Config{Addrs: []string{addr}, PasswordFile: missing}, missing},
		{"empty password file", redisstore.Config{Addrs: []string{addr}, PasswordFile: file(t, "\n")}, "is empty"},
		{"sentinels' password without sentinels", redisstore.Config{Addrs: []string{addr}, SentinelPasswordFile: certs.CA}, "no master's name"},
		{"missing sentinels' password file", redisstore.Config{Addrs: []string{addr}, MasterName: "m", SentinelPasswordFile: missing}, missing},
		{"TLS over redis://", redisstore.Config{URL: "redis://" + addr, CAFile: certs.CA}, "rediss://"},
		{"missing CA file", redisstore.Config{URL: "rediss://" + addr, CAFile: missing}, missing},
		{"no CA in its file", redisstore.Config{URL: "rediss://" + addr, CAFile: certs.Key}, "no certificate in PEM"},
		{"certificate without key", redisstore.Config{URL: "rediss://" + addr, CertFile: certs.Cert}, "needs a key"},
		{"key of nothing", redisstore.Config{URL: "rediss://" + addr, CertFile: certs.Cert, KeyFile: certs.CA}, "certificate to show"},
		{"prefix with a brace", redisstore.Config{Addrs: []string{addr}, Prefix: "a}b"}, "printable ASCII"},
		{"long prefix", redisstore.Config{Addrs: []string{addr}, Prefix: strings.Repeat("a", 65)}, "at most 64"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s, err := redisstore.Open(tc.config)
			if err == nil {
				_ = s.Close()
				t.Fatal("it is taken")
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error is %q, want %q in it", err, tc.want)
			}
			if strings.Contains(err.Error(), "geheim") {
				t.Errorf("the error tells the password: %v", err)
			}
		})
	}
}

// file makes a file with the text in it.
func file(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
