package config

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/probe/probetest"
)

// TestWarnings: each is given where it is due, and only there.
func TestWarnings(t *testing.T) {
	t.Parallel()
	const (
		nodes  = "nodes: [{id: ams1, urls: http://ams1.example:8000, drained: %t}, {id: fra1, urls: http://fra1.example:8000}]\n"
		europe = "regions: [{id: europe, match: {continents: EU}, weights: {ams1: 1}%s}, {id: rest, match: default, weights: {fra1: 1}}]\n"
	)
	drained, undrained := fmt.Sprintf(nodes, true), fmt.Sprintf(nodes, false)
	region := func(more string) string { return fmt.Sprintf(europe, more) }
	overflowURL := "regions: {overflow_url: 'https://cdn.example{mount}', list: [{id: europe, match: default, weights: {ams1: 1, fra1: 0}}]}\n"
	alone := "nodes: [{id: a, urls: http://a.example:8000, drained: true}]\n"
	for _, c := range []struct{ name, file, want string }{
		{"a region's only node is drained", drained + region(""), "region europe: every node"},
		{"it is not", undrained + region(""), ""},
		{"the region overflows", drained + region(", overflow: rest"), ""},
		{"the region may hear nothing anyway", drained + region(", deny: '*'"), ""},
		{"it may hear something", drained + region(", deny: /hifi.ogg"), "region europe: every node"},
		{"others have weight 0", drained + strings.Replace(region(""), "{ams1: 1}", "{ams1: 1, fra1: 0}", 1), "region europe: every node"},
		{"listeners go to a CDN", drained + overflowURL, ""},
		{"one has yet to register", drained + "store: {registered: {ids: edge-1}}\n" + strings.Replace(region(""), "{ams1: 1}", "{ams1: 1, edge-1: 1}", 1), ""},
		{"one that is in no row has", drained + "store: {registered: {ids: edge-1}}\n" + region(""), "region europe: every node"},
		{"the only node is drained", alone, "every node is drained, so all listeners get 503"},
		{"others have yet to register", alone + "store: {registered: {ids: edge-*}}\n", ""},
		{"one of two is drained", drained, ""},

		{"two nodes are one server", "nodes: [{id: a, urls: http://a.example}, {id: b, urls: 'HTTP://A.example:80/'}]\n", "nodes a and b have the same URL"},
		{"two nodes are one host", "nodes: [{id: a, urls: http://a.example}, {id: b, urls: http://a.example:8000}]\n", ""},
		{"a node has both schemes", "nodes: [{id: a, urls: [http://a.example, https://a.example]}]\n", ""},

		{"everybody is a proxy", undrained + "listen: {trusted_proxies: [10.0.0.0/8, 0.0.0.0/0]}\n", "listen.trusted_proxies has 0.0.0.0/0"},
		{"everybody of IPv6 is one", undrained + "listen: {trusted_proxies: '::/0'}\n", "listen.trusted_proxies has ::/0"},
		{"everybody may send a header", undrained + "listen: {proxy_protocol: 0.0.0.0/0}\n", "listen.proxy_protocol has 0.0.0.0/0"},
		{"a target is more than the line takes", "mounts: [{name: /a, kbit: 64}, {name: /b, kbit: 320}]\nnodes: [{id: a, urls: http://a.example, target: 10000, mbit: 3000}]\n", "node a: a target of 10000 listeners at 320 kbit/s is 3200 Mbit/s, and its mbit says 3000"},
		{"it is just that", "mounts: [{name: /a, kbit: 320}]\nnodes: [{id: a, urls: http://a.example, target: 10000, mbit: 3200}]\n", ""},
		{"no bitrate is told", "nodes: [{id: a, urls: http://a.example, target: 10000, mbit: {target: 1000, limit: 1200}}]\n", "node a: a target of 10000 listeners at 128 kbit/s is 1280 Mbit/s, and its mbit says 1200"},
		{"two rules of one name", undrained + "rules: [{name: a, user_agent: 'x*', answer: m3u}, {name: a, user_agent: 'y*', answer: pls}]\n", "rules 1 and 2 are both called a"},
		{"a rule behind one that holds for all its players", undrained + "rules: [{user_agent: 'x*', answer: m3u}, {name: b, user_agent: 'xy*', answer: pls}]\n", "rule b is never reached: rule number 1 before it"},
		{"a rule behind one that holds for some", undrained + "rules: [{user_agent: 'xy*', answer: m3u}, {name: b, user_agent: 'x*', answer: pls}]\n", ""},

		{"HLS of a web server", "mounts: [/live.m3u8]\nnodes: [{id: a, urls: http://a.example, kind: http}, {id: b, urls: http://b.example, kind: http}, {id: c, urls: http://c.example, kind: hls}]\n", "mount /live.m3u8: its segments are not looked at where nodes are of kind: http (a, b)"},
		{"HLS of an origin", "mounts: [/live.m3u8]\nnodes: [{id: a, urls: http://a.example, kind: hls}]\n", ""},
		{"HLS of a web server that says how it is asked", "mounts: [/live.m3u8]\nnodes: [{id: a, urls: http://a.example, kind: http, probe: {path: /health}}]\n", ""},
		{"a stream of a web server", "mounts: [/live.mp3]\nnodes: [{id: a, urls: http://a.example, kind: http}]\n", ""},

		{"some are", undrained + "listen: {trusted_proxies: 10.0.0.0/8}\n", ""},
	} {
		const kept = "state_dir: state\n"
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, err := readConfig("radio.yaml", []byte(c.file+kept))
			if err != nil {
				t.Fatal(err)
			}
			got, err := s.Warnings()
			if err != nil {
				t.Fatal(err)
			}
			if c.want == "" && len(got) > 0 || c.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], c.want)) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// TestOldTLSIsWarnedOf: whoever lets old radios in by https is told what that costs.
func TestOldTLSIsWarnedOf(t *testing.T) {
	t.Parallel()
	s, err := readConfig("radio.yaml", []byte("nodes: [{id: a, urls: http://a.example}]\nstate_dir: state\nlisten: {tls: {legacy: true}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]bool{"": false, ":443": true} {
		if s.Listen.HTTPS = nil; addr != "" {
			s.Listen.HTTPS = []string{addr}
		}
		got, err := s.Warnings()
		if err != nil {
			t.Fatal(err)
		}
		if warned := slices.ContainsFunc(got, func(w string) bool { return strings.HasPrefix(w, "listen.tls allows") }); warned != want {
			t.Errorf("listen.https %q: %q", addr, got)
		}
	}
}

// TestLimitWarnings: what a node's server, or its mounts, take is less than the node is to
// hold.
func TestLimitWarnings(t *testing.T) {
	t.Parallel()
	const file = "mounts: [/a, /b]\nnodes: [{id: n, urls: http://n.example, target: 100, limit: 150, paths: {/b: /other}}]\n"
	s, err := readConfig("radio.yaml", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	mount := func(path string, limit int) director.MountReport {
		return director.MountReport{Path: path, Limit: limit}
	}
	for _, c := range []struct {
		name string
		director.Report
		want string
	}{
		{"nothing is known", director.Report{}, ""},
		{"the server takes fewer", director.Report{Limit: 149}, "node n is to hold 150 listeners (target or limit), and its server takes 149: raise its own limit"},
		{"the server takes as many", director.Report{Limit: 150}, ""},
		{"its mounts take fewer together", director.Report{Mounts: []director.MountReport{mount("/a", 100), mount("/other", 49)}}, "node n is to hold 150 listeners (target or limit), and its mounts take 149: raise their own limits"},
		{"they take as many", director.Report{Mounts: []director.MountReport{mount("/a", 100), mount("/other", 50)}}, ""},
		{"one has no limit", director.Report{Mounts: []director.MountReport{mount("/a", 1), mount("/other", 0)}}, ""},
		{"another station's is full soon", director.Report{Mounts: []director.MountReport{mount("/theirs", 1), mount("/b", 1)}}, ""},
	} {
		got := s.LimitWarnings(map[director.NodeID]director.Report{"n": c.Report})
		if c.want == "" && len(got) > 0 || c.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], c.want)) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// TestKeepWarning: who changes something while it runs should know before that it is
// forgotten.
func TestKeepWarning(t *testing.T) {
	t.Parallel()
	const nodes = "nodes: [{id: a, urls: http://a.example}]\n"
	for more, warned := range map[string]bool{"": true, "state_dir: state": false, "store: {redis: {url: 'redis://127.0.0.1'}}": false} {
		s, err := readConfig("radio.yaml", []byte(nodes+more))
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Warnings()
		if err != nil || strings.Contains(strings.Join(got, "\n"), "is forgotten when the director stops") != warned {
			t.Errorf("%q: %q, %v", more, got, err)
		}
	}
}

// TestCertificateTrouble: certificates that players refuse, or will soon.
func TestCertificateTrouble(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	cert := func(from, to time.Duration) *x509.Certificate {
		return &x509.Certificate{DNSNames: []string{"radio.example", "*.radio.example"}, NotBefore: now.Add(from), NotAfter: now.Add(to)}
	}
	const day = 24 * time.Hour
	for _, c := range []struct {
		name string
		cert *x509.Certificate
		host string
		want string
	}{
		{"good", cert(-day, 60*day), "live.radio.example", ""},
		{"nobody comes by a name that is known", cert(-day, 60*day), "", ""},
		{"expired", cert(-60*day, -day), "radio.example", "the certificate of listen has expired: it ended at 2026-11-29T12:00:00Z"},
		{"ends", cert(-60*day, 13*day), "radio.example", "the certificate of listen ends at 2026-12-13T12:00:00Z"},
		{"not yet", cert(day, 60*day), "radio.example", "the certificate of listen holds only from 2026-12-01T12:00:00Z"},
		{"another name", cert(-day, 60*day), "other.example", "the certificate of listen is not for other.example, where listeners come to: it is for radio.example, *.radio.example"},
		{"another name, and it ends", cert(-60*day, 13*day), "other.example", "the certificate of listen is not for other.example, where listeners come to: it is for radio.example, *.radio.example, and ends at 2026-12-13T12:00:00Z"},
	} {
		var hosts []string
		if c.host != "" {
			hosts = []string{c.host}
		}
		text, remedy := CertificateTrouble(c.cert, "listen", hosts, now)
		if c.want == "" && text != "" || c.want != "" && (!strings.HasPrefix(text, c.want) || remedy == "") {
			t.Errorf("%s: %q, %q; want %q", c.name, text, remedy, c.want)
		}
	}
}

// TestFilesThatOthersMayRead: private keys, and what encrypts them, are for the director's
// user and group alone.
func TestFilesThatOthersMayRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	secret, key, cert := filepath.Join(dir, "secret"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "cert.pem")
	pair := probetest.NewAuthority(t).Issue("radio.example", time.Now().Add(90*24*time.Hour))
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		secret: []byte("a secret of all directors"),
		cert:   pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}),
		key:    pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
	} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for listen, file := range map[string]string{
		"{https: [':443'], cert_file: '" + cert + "', key_file: '" + key + "'}":                                    key,
		"{https: [':443'], acme: {names: [radio.example], email: a@radio.example, secret_file: '" + secret + "'}}": secret,
	} {
		for mode, want := range map[os.FileMode]bool{0o600: false, 0o640: false, 0o644: true} {
			if err := os.Chmod(file, mode); err != nil {
				t.Fatal(err)
			}
			s, err := readConfig("radio.yaml", []byte("nodes: [{id: a, urls: http://a.example}]\nstate_dir: state\nlisten: "+listen+"\n"))
			if err != nil {
				t.Fatal(err)
			}
			got, err := s.Warnings()
			if err != nil {
				t.Fatal(err)
			}
			if warned := slices.ContainsFunc(got, func(w string) bool {
				return strings.Contains(w, "every user of this machine may read "+file) && strings.Contains(w, "chmod o= it")
			}); warned != want {
				t.Errorf("%s with mode %o: %q", file, mode, got)
			}
		}
	}
}
