package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/signpost-fm/signpost/cmd/signpost/config"
)

// readyCmd asks a director what a load balancer asks it. It is the health check of an
// image without a shell.
type readyCmd struct {
	URL     string        `arg:"" optional:"" help:"A public address of the director, such as http://127.0.0.1:8000. Without it, the address comes from the flags and the file."`
	Config  string        `short:"c" env:"SIGNPOST_CONFIG" placeholder:"FILE" help:"The configuration file that the director was given."`
	Listen  []string      `env:"SIGNPOST_LISTEN" placeholder:"ADDR" help:"The addresses for plain HTTP that it was given."`
	Timeout time.Duration `default:"2s" help:"How long it may take to answer."`
}

// maxReadyAnswer is how much of an answer is read, in bytes.
const maxReadyAnswer = 4 << 10

// Run prints the director's answer. It fails if the director is not ready.
func (c *readyCmd) Run(out *console) error {
	client, base := http.DefaultClient, c.URL
	if base == "" {
		var err error
		if base, err = c.localURL(); err != nil {
			return fmt.Errorf("ready: %w", err)
		}
		client = &http.Client{Transport: &http.Transport{
			// The certificate is for the public name, and not for this machine's loopback.
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // nothing secret is sent
		}}
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.Timeout)
	defer cancel()
	url := strings.TrimSuffix(base, "/") + "/readyz"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("%q: %w; write a director's public address, as in http://127.0.0.1:8000", base, err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("ready: %w; does the director run, and listen there?", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxReadyAnswer))
	if err != nil {
		return fmt.Errorf("ready: %s: %w", url, err)
	}
	answer := strings.TrimSpace(string(body))
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s: %s", resp.Status, cmp.Or(answer, "no reason is given"))
	}
	_, err = fmt.Fprintln(out.out, answer)
	return err
}

// localURL returns the URL of this machine's director, from its flags and its file.
func (c *readyCmd) localURL() (string, error) {
	scheme, all := "http", c.Listen
	if len(all) == 0 {
		// A mistake in the file does not matter: a director that runs keeps what it read before.
		f, err := config.ReadLenient(c.Config)
		if err != nil {
			return "", err
		}
		if all = f.Listen.HTTP; len(all) == 0 {
			scheme, all = "https", f.Listen.HTTPS
		}
	}
	if len(all) == 0 {
		return "", errors.New("the configuration has no address to listen at; give the director's as an argument")
	}
	host, port, err := net.SplitHostPort(all[0])
	if err != nil || port == "" || port == "0" {
		return "", fmt.Errorf("%q does not say where to ask; give the director's address as an argument", all[0])
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1" // a listener at [::] accepts IPv4 too
	}
	return scheme + "://" + net.JoinHostPort(host, port), nil
}
