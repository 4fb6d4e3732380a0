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

// readyCmd asks a director what a load balancer asks it. An image without a shell
// has nothing else for its health check.
type readyCmd struct {
	URL     string        `arg:"" optional:"" help:"A public address of the director, such as http://127.0.0.1:8000. Without it, the director of this machine is asked where the flags and the file let it listen."`
	Config  string        `short:"c" env:"SIGNPOST_CONFIG" placeholder:"FILE" help:"The configuration file that the director was given."`
	Listen  []string      `env:"SIGNPOST_LISTEN" placeholder:"ADDR" help:"The addresses for plain HTTP that it was given."`
	Timeout time.Duration `default:"2s" help:"How long it may take to answer."`
}

// maxReadyAnswer bounds what is printed of an answer, in bytes.
const maxReadyAnswer = 4 << 10

// Run prints the director's answer. It fails unless listeners should be sent there.
func (c *readyCmd) Run(out *console) error {
	client, base := http.DefaultClient, c.URL
	if base == "" {
		var err error
		if base, err = c.here(); err != nil {
			return fmt.Errorf("ready: %w", err)
		}
		client = &http.Client{Transport: &http.Transport{
			// A certificate names what listeners come by, and not this machine's loopback.
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // nothing secret is said or heard
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

// here returns where the director of this machine listens, by what it was started with.
func (c *readyCmd) here() (string, error) {
	scheme, all := "http", c.Listen
	if len(all) == 0 {
		// A mistake in the file is no reason to call a director sick that goes on by what
		// it read before.
		f, err := config.Glance(c.Config)
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
		host = "127.0.0.1" // who listens at [::] takes IPv4 too
	}
	return scheme + "://" + net.JoinHostPort(host, port), nil
}
