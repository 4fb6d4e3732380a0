package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/signpost-fm/signpost/cmd/signpost/agent"
	"github.com/signpost-fm/signpost/cmd/signpost/client"
	"github.com/signpost-fm/signpost/cmd/signpost/config"
	"github.com/signpost-fm/signpost/cmd/signpost/version"
	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/probe"
	"github.com/signpost-fm/signpost/web/admin/api"
)

type agentCmd struct {
	Director  []string `required:"" env:"SIGNPOST_DIRECTOR" placeholder:"URL" help:"The operators' side of a director, http://director1.example:8001. Name all of them: without a common store they do not tell each other."`
	TokenFile string   `env:"SIGNPOST_TOKEN_FILE" placeholder:"FILE" help:"A file with the token to register with."`
	ID        string   `required:"" env:"SIGNPOST_NODE_ID" help:"The node's id, one of those in the directors' store.registered.ids."`
	URL       []string `required:"" env:"SIGNPOST_NODE_URL" help:"Base URL that listeners are sent to, at most one a scheme: http://edge1.example:8000."`

	Address []netip.Addr `env:"SIGNPOST_NODE_ADDRESS" help:"Addresses at which listeners reach it, for the directors' DNS: IPv4, IPv6. Without any, those of its URLs count, which directors look up."`

	InternalURL string `env:"SIGNPOST_NODE_INTERNAL_URL" placeholder:"URL" help:"Base URL at which directors reach the server, if it differs from the listeners': http://10.0.0.7:8000."`

	Status          string `default:"http://127.0.0.1:8000" env:"SIGNPOST_NODE_STATUS" placeholder:"URL" help:"Base URL at which the agent asks the streaming server for its statistics."`
	Kind            string `default:"icecast" help:"What kind of server it is: icecast, or http for one that cannot list its mounts."`
	CredentialsFile string `placeholder:"FILE" help:"A file with one line user:password, for the server's admin statistics."`

	Site       string `env:"SIGNPOST_NODE_SITE" help:"The node's data centre or provider, for failures that nodes share."`
	Place      string `env:"SIGNPOST_NODE_PLACE" help:"The node's place on the map: a country such as DE, or degrees such as 50.1,8.7."`
	Target     int    `help:"How many listeners it should hold."`
	Limit      int    `help:"How many listeners no director knowingly exceeds."`
	MaxNewPerS int    `name:"max-new-per-s" help:"How many listeners it can be given in one second."`
	Pace       string `enum:"prefer,hold" default:"prefer" help:"Whether --max-new-per-s is a preference, or a bound beyond which listeners are refused: prefer or hold."`

	Interval     time.Duration `default:"1s" help:"From one report to the next."`
	Sample       time.Duration `default:"1m" help:"How often the agent listens to each mount for four seconds, if the server does not tell whether audio comes in: with --credentials-file, Icecast does. 0: never."`
	InstanceFile string        `env:"SIGNPOST_INSTANCE_FILE" placeholder:"FILE" help:"A file that hands the registration of an agent that ends on SIGUSR1, or dies, to the next agent."`
	Certificate  string        `placeholder:"NAME" help:"A host name of the directors' listen.acme.names: its certificate is fetched from a director, kept up to date in --out, and the token must name it."`
	Out          string        `placeholder:"FILE" help:"Where private key and certificate chain are written, in the form that Icecast takes."`
	Reload       string        `placeholder:"COMMAND" help:"A shell command that makes the server read --out again; it is run once after each change."`

	DrainTimeout time.Duration `default:"5m" help:"How long listeners may take to leave after SIGTERM; then the node is deregistered anyway."`
	logFlags
}

// Run keeps the node registered until SIGINT or SIGTERM, and then drains and deregisters
// it; a second signal ends the process at once. SIGUSR1 leaves the registration to the
// next agent.
func (c *agentCmd) Run(out *console) error {
	log, _, flush := c.sideLogger(out.err)
	defer flush()
	a, cert, err := c.agent(log)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	here, stopHere := signal.NotifyContext(ctx, syscall.SIGUSR1)
	defer stopHere()
	if cert != nil {
		go cert.Follow(ctx)
	}
	defer a.Probe()()
	log.Info("starting", "version", version.Current().Version, "node", c.ID, "directors", c.Director, "instance", a.Instance())
	if err := a.Stay(here); err != nil {
		return err
	}
	if ctx.Err() == nil {
		log.Info("stopped; the node stays registered for the next agent, which has the directors' store.registered.down_after to start")
		return nil
	}
	stop() // the next signal ends the process
	stopHere()
	a.Leave(context.Background(), c.DrainTimeout)
	return nil
}

// agent checks the flags, and makes the agent that they describe, and the certificate that
// it follows; nil: none.
func (c *agentCmd) agent(log *slog.Logger) (*agent.Agent, *agent.Certificate, error) {
	out := agent.Config{
		ID: c.ID, Status: c.Status, Kind: c.Kind, Interval: c.Interval, Sample: c.Sample, InstanceFile: c.InstanceFile, Log: log,
		Spec: api.NodeSpec{URLs: c.URL, InternalURL: c.InternalURL, Site: c.Site, Target: c.Target, Limit: c.Limit, MaxNewPerS: c.MaxNewPerS, Addresses: c.Address},
	}
	if c.Pace == string(director.PaceHold) {
		out.Spec.Pace = director.PaceHold // the other is not said: an older director does not know the key
	}
	if !slices.Contains(probe.Kinds(), c.Kind) {
		return nil, nil, fmt.Errorf("--kind %q: use %s", c.Kind, strings.Join(probe.Kinds(), ", "))
	}
	if c.Interval <= 0 || c.Sample < 0 || c.DrainTimeout < 0 {
		return nil, nil, errors.New("--interval must be above 0, and --sample and --drain-timeout 0 or more")
	}
	if (c.Certificate == "") != (c.Out == "") {
		return nil, nil, errors.New("--certificate and --out belong together; give both or neither")
	}
	var err error
	if c.TokenFile != "" {
		if out.Token, err = client.ReadToken(c.TokenFile); err != nil {
			return nil, nil, fmt.Errorf("--token-file: %w", err)
		}
	}
	for _, d := range c.Director {
		u, err := client.ParseServer(d)
		if err != nil {
			return nil, nil, fmt.Errorf("--director %w", err)
		}
		out.Directors = append(out.Directors, u)
	}
	if out.Spec.Place, err = c.place(); err != nil {
		return nil, nil, fmt.Errorf("--place: %w", err)
	}
	if c.CredentialsFile != "" {
		user, password, err := config.ReadCredentials(c.CredentialsFile)
		if err != nil {
			return nil, nil, fmt.Errorf("--credentials-file: %w", err)
		}
		out.Credentials = func(director.NodeID) (string, string, bool) { return user, password, true }
	}
	a, err := agent.New(out)
	if err != nil {
		return nil, nil, fmt.Errorf("--instance-file: %w", err)
	}
	if c.Certificate == "" {
		return a, nil, nil
	}
	return a, &agent.Certificate{Name: c.Certificate, File: c.Out, Reload: c.Reload, Directors: out.Directors, Token: out.Token, Log: log}, nil
}

func (c *agentCmd) place() (*api.Place, error) {
	if c.Place == "" {
		return nil, nil
	}
	p, err := config.ParsePlace(c.Place)
	if err != nil {
		return nil, err
	}
	return &api.Place{Country: p.Country.String(), Lat: p.Lat, Lon: p.Lon, CountryCentre: p.Point == director.CountryCentre}, nil
}
