package main

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/cmd/signpost/config"
	"github.com/signpost-fm/signpost/cmd/signpost/service"
)

// readConfig is what the commands do with a configuration before they use it.
func readConfig(name string, source []byte) (*config.Settings, error) {
	d, err := config.Parse(name, source)
	if err != nil {
		return nil, err
	}
	return d.Settings()
}

// startDirector starts a director, and waits for its first snapshot.
func startDirector(t *testing.T, dir, text string) *service.Service {
	t.Helper()
	s, err := readConfig(filepath.Join(dir, "radio.yaml"), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	d, err := service.Start(s, service.Options{Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	select {
	case <-d.Ready():
	case <-time.After(patience):
		t.Fatal("no snapshot")
	}
	return d
}

// writeCertificate writes the certificate of package httptest, and its key.
func writeCertificate(t *testing.T, dir string) {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	pair := server.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, "key.pem": {Type: "PRIVATE KEY", Bytes: key}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestReadyAsksWhereTheDirectorListens: an image's health check knows no more than
// its director was told, by the environment or the file.
func TestReadyAsksWhereTheDirectorListens(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeCertificate(t, dir)
	d := startDirector(t, dir, `
listen: {http: "127.0.0.1:0", https: "127.0.0.1:0", cert_file: cert.pem, key_file: key.pem}
admin: {listen: ""}
mounts: [/live.mp3]
nodes: [{id: one, urls: "http://127.0.0.1:1", kind: http}]
`)
	plain, secure := d.Addrs()[0].String(), d.Addrs()[1].String()
	port := plain[strings.LastIndexByte(plain, ':'):]
	config := func(text string) string {
		name := filepath.Join(t.TempDir(), "radio.yaml")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	for name, c := range map[string]struct {
		cmd     readyCmd
		refused string
	}{
		"argument":                  {cmd: readyCmd{URL: "http://" + plain, Config: config("listen: {http: 127.0.0.1:1}")}},
		"environment":               {cmd: readyCmd{Listen: []string{port}, Config: config("listen: {http: 127.0.0.1:1}")}},
		"file":                      {cmd: readyCmd{Config: config(fmt.Sprintf("listen: {http: %q}", port))}},
		"all addresses":             {cmd: readyCmd{Config: config(fmt.Sprintf("listen: {http: %q}", "0.0.0.0"+port))}},
		"all addresses of IPv6":     {cmd: readyCmd{Config: config(fmt.Sprintf("listen: {http: %q}", "[::]"+port))}},
		"https alone":               {cmd: readyCmd{Config: config(fmt.Sprintf("listen: {http: [], https: %q}", secure))}},
		"a mistake somewhere else":  {cmd: readyCmd{Config: config(fmt.Sprintf("listen: {http: %q}\nnodes: [{idd: 5}]", plain))}},
		"another port":              {cmd: readyCmd{Config: config("listen: {http: 127.0.0.1:1}")}, refused: "127.0.0.1:1/readyz"},
		"a certificate of somebody": {cmd: readyCmd{URL: "https://" + secure}, refused: "certificate"},
		"any port":                  {cmd: readyCmd{Config: config("listen: {http: 127.0.0.1:0}")}, refused: "as an argument"},
		"no address":                {cmd: readyCmd{Config: config("listen: {http: []}")}, refused: "no address to listen at"},
		"no file":                   {cmd: readyCmd{Config: filepath.Join(dir, "missing.yaml")}, refused: "missing.yaml"},
		"no YAML":                   {cmd: readyCmd{Config: config("listen: {http: [")}, refused: "radio.yaml:1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			c.cmd.Timeout = patience
			err := c.cmd.Run(&console{out: &out})
			switch {
			case c.refused == "" && (err != nil || !strings.Contains(out.String(), `"ready":true`)):
				t.Errorf("%v, %s; want the director's answer", err, &out)
			case c.refused != "" && (err == nil || !strings.Contains(err.Error(), c.refused)):
				t.Errorf("%v, %s; want an error with %q", err, &out, c.refused)
			}
		})
	}
	if here, err := (&readyCmd{}).localURL(); err != nil || here != "http://127.0.0.1:8000" {
		t.Errorf("without anything %q is asked (%v)", here, err)
	}
}
