package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/signpost-fm/signpost/cmd/signpost/client"
	"github.com/signpost-fm/signpost/cmd/signpost/config"
	"github.com/signpost-fm/signpost/cmd/signpost/simulate"
	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/sim"
	"github.com/signpost-fm/signpost/web/admin/dashboard"
)

type simulateCmd struct {
	configFile
	Listeners int             `placeholder:"N" help:"How many listen at the highest point of the day. Default: the curve's own highest number."`
	Day       string          `placeholder:"CURVE" help:"How many listen over the day: morning-show, match-night, breaking-news, or a CSV file with a time and a number a line. Default: as many at all times."`
	From      *simulate.Clock `placeholder:"HH:MM" help:"Play the day from then."`
	Until     *simulate.Clock `placeholder:"HH:MM" help:"Play the day until then."`
	Session   time.Duration   `default:"30m" help:"How long people listen on average."`
	Share     []regionShare   `placeholder:"REGION=SHARE" help:"The region's share of the listeners, in any unit; may be repeated. Default: by what the regions' nodes should hold."`

	LoseSite []string          `placeholder:"SITE" help:"All nodes of the site are lost, and the directors there; may be repeated."`
	LoseNode []director.NodeID `placeholder:"NODE" completion:"nodes" help:"The node is lost; may be repeated."`
	At       *simulate.Clock   `placeholder:"HH:MM" help:"When it is lost."`
	For      time.Duration     `placeholder:"DURATION" help:"For how long, such as 15m. Default: until the end."`

	Directors    int      `placeholder:"N" help:"How many directors there are. Default: two if the file has store.redis, otherwise one."`
	DirectorSite []string `placeholder:"SITE" help:"A director is at this site; may be repeated. The others are at none of the sites."`
	Pace         int      `default:"50" placeholder:"N" help:"Connections a second that a node without max_new_per_s accepts; 50 is a stock Icecast, 0 is any number."`

	Limit []simulate.Limit `placeholder:"NAME=PERCENT" help:"Fail if it is passed, as in refused=0.1%; may be repeated. There are refused, unanswered, failed, lost, late (waits of more than 30 s) and load (of a node's target)."`
	Seed  uint64           `default:"1" help:"What is random follows from it: the same seed is the same history."`
	HTML  string           `name:"html" placeholder:"FILE" help:"Write a page with plots, which needs nothing else."`
	JSON  bool             `help:"Print all as JSON."`
}

// regionShare is a region's part of the listeners, "europe=3".
type regionShare struct {
	region director.RegionID
	part   float64
}

// UnmarshalText reads "europe=3".
func (r *regionShare) UnmarshalText(b []byte) error {
	name, value, _ := strings.Cut(string(b), "=")
	part, err := strconv.ParseFloat(value, 64)
	if err != nil || name == "" || !(part >= 0 && part < 1e12) {
		return fmt.Errorf("%q: write REGION=SHARE with a share of 0 or more, as in europe=3", b)
	}
	*r = regionShare{director.RegionID(name), part}
	return nil
}

// Run plays the day and prints what came of it. The error is that of a limit that was passed.
func (c *simulateCmd) Run(ctx context.Context, t *client.Terminal) error {
	scenario, regions, remarks, err := c.scenario()
	if err != nil {
		return err
	}
	if err := simulate.CheckMemory(&scenario, simulate.AvailableMemory()); err != nil {
		return err
	}
	if err := c.tryHTML(); err != nil {
		return err
	}
	bar := newProgress(t, scenario.For)
	history, err := sim.Run(ctx, scenario, bar.show)
	bar.clear()
	if err != nil {
		return err
	}
	r := simulate.NewReport(history, regions, c.Limit, remarks)
	written := c.writeHTML(r)
	if c.JSON {
		return errors.Join(printJSON(t.Out, r), written, r.Err())
	}
	var b strings.Builder
	r.Print(&b)
	_, err = io.WriteString(t.Out, client.Clean(b.String()))
	return errors.Join(err, written, r.Err())
}

// tryHTML opens the page's file, and leaves it as it is.
func (c *simulateCmd) tryHTML() error {
	if c.HTML == "" {
		return nil
	}
	f, err := os.OpenFile(c.HTML, os.O_WRONLY|os.O_CREATE, 0o644) //nolint:gosec // a report, for whom the directory lets in
	if err != nil {
		return fmt.Errorf("--html: %w; name a file that can be written", err)
	}
	return f.Close()
}

func (c *simulateCmd) writeHTML(r *simulate.Report) error {
	if c.HTML == "" {
		return nil
	}
	var b bytes.Buffer
	js, css := dashboard.Plotting()
	if err := r.HTML(&b, simulate.Plotting{JS: js, CSS: css}); err != nil {
		return err
	}
	return os.WriteFile(c.HTML, b.Bytes(), 0o644) //nolint:gosec // as above
}

func (c *simulateCmd) scenario() (s sim.Scenario, regions []director.RegionID, remarks []string, err error) {
	file, err := c.name()
	switch {
	case err != nil:
		return s, nil, nil, err
	case file == "":
		return s, nil, nil, errors.New("which configuration? Name the file, as in `signpost simulate signpost.yaml --listeners 10000`")
	}
	settings, err := config.Read(file)
	if err == nil {
		err = settings.Try()
	}
	if err != nil {
		return s, nil, nil, err
	}
	p := simulate.Plan{
		Fleet: settings.Fleet, Probe: settings.Probe, Tick: settings.Store.Tick, Settle: settings.Store.Settle,
		Listeners: c.Listeners, From: clockOr(c.From), Until: clockOr(c.Until), Session: c.Session,
		Shares: map[director.RegionID]float64{}, LoseSites: c.LoseSite, LoseNodes: c.LoseNode, At: clockOr(c.At), For: c.For,
		Directors: c.Directors, DirectorSites: c.DirectorSite, Pace: c.Pace, Seed: c.Seed,
	}
	for _, share := range c.Share {
		if _, twice := p.Shares[share.region]; twice {
			return s, nil, nil, fmt.Errorf("%s is given two shares; give it one", share.region)
		}
		p.Shares[share.region] = share.part
	}
	redis := settings.Store.Redis != nil
	switch {
	case p.Directors == 0 && redis:
		p.Directors = max(2, len(c.DirectorSite))
	case p.Directors == 0:
		p.Directors = max(1, len(c.DirectorSite))
	}
	if p.Directors > 1 && !redis {
		return s, nil, nil, fmt.Errorf("%s has no store.redis, so that %d directors would know nothing of each other; add it, or play one director", file, p.Directors)
	}
	if c.Day != "" {
		if p.Day, err = simulate.ReadDay(c.Day); err != nil {
			return s, nil, nil, err
		}
		if p.Listeners == 0 && p.Day.Peak > 1 {
			p.Listeners = int(p.Day.Peak + 0.5)
		}
	}
	return p.Scenario()
}

// clockOr returns a time since midnight; -1: none is given.
func clockOr(c *simulate.Clock) time.Duration {
	if c == nil {
		return -1
	}
	return time.Duration(*c)
}

// progress is a bar on a terminal's error output, from a second after the start on.
type progress struct {
	to         io.Writer // nil: no terminal
	now        func() time.Time
	all        time.Duration
	began, was time.Time
}

func newProgress(t *client.Terminal, all time.Duration) *progress {
	p := &progress{now: t.Now, all: all, began: t.Now()}
	if client.IsTerminal(t.Err) {
		p.to = t.Err
	}
	return p
}

// show draws the bar, up to five times a second.
func (p *progress) show(done time.Duration) {
	const width = 40
	now := p.now()
	if p.to == nil || done <= 0 || now.Sub(p.began) < time.Second || now.Sub(p.was) < 200*time.Millisecond {
		return
	}
	p.was = now
	part := min(1, float64(done)/float64(p.all))
	left := time.Duration(float64(now.Sub(p.began)) * (1 - part) / part).Round(time.Second)
	full := int(part * width)
	fmt.Fprintf(p.to, "\r\x1b[K[%s%s] %3.0f %%, %s left", strings.Repeat("#", full), strings.Repeat(".", width-full), 100*part, left)
}

// clear takes the bar away.
func (p *progress) clear() {
	if p.to != nil && !p.was.IsZero() {
		fmt.Fprint(p.to, "\r\x1b[K")
	}
}
