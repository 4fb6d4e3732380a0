package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/signpost-fm/signpost/cmd/signpost/client"
	"github.com/signpost-fm/signpost/cmd/signpost/config"
	"github.com/signpost-fm/signpost/cmd/signpost/simulate"
	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/sim"
	"github.com/signpost-fm/signpost/director/wording"
	"github.com/signpost-fm/signpost/geo"
	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/web/admin/api"
	"github.com/signpost-fm/signpost/web/admin/dashboard"
)

type simulateCmd struct {
	configFile
	client.Access
	Running   bool            `help:"Add the nodes that are registered at a running director, and what operators changed there; --server says which, and does the same."`
	Listeners int             `placeholder:"N" help:"How many listen at the highest point of the day. Default: the curve's own highest number."`
	Day       string          `placeholder:"CURVE" help:"How many listen over the day: morning-show, match-night, breaking-news, or a CSV file with a time and a number a line. Default: as many at all times."`
	From      *simulate.Clock `placeholder:"HH:MM" help:"Play the day from then."`
	Until     *simulate.Clock `placeholder:"HH:MM" help:"Play the day until then."`
	Session   time.Duration   `default:"30m" help:"How long people listen on average."`
	Share     []regionShare   `placeholder:"REGION=SHARE" help:"The region's share of the listeners, in any unit; may be repeated. Default: by what the regions' nodes should hold."`

	Records []string `placeholder:"FILE" help:"Replay the requests that directors recorded, and compare with how it was; may be repeated, and be compressed by gzip."`

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
	play, err := c.play(ctx, t)
	if err != nil {
		return err
	}
	if err := play.CheckMemory(simulate.AvailableMemory()); err != nil {
		return err
	}
	if err := c.tryHTML(); err != nil {
		return err
	}
	bar := client.NewProgress(t)
	history, err := sim.Run(ctx, play.Scenario, func(done time.Duration) { bar.Show(float64(done) / float64(play.For)) })
	bar.Clear()
	if err != nil {
		return err
	}
	r := simulate.NewReport(history, &play, c.Limit)
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

func (c *simulateCmd) play(ctx context.Context, t *client.Terminal) (out simulate.Play, err error) {
	file, err := c.name()
	switch {
	case err != nil:
		return out, err
	case file == "":
		return out, errors.New("which configuration? Name the file, as in `signpost simulate signpost.yaml --listeners 10000`")
	}
	settings, err := config.Read(file)
	if err == nil {
		err = settings.Try()
	}
	if err != nil {
		return out, err
	}
	fleet, remarks, err := c.fleet(ctx, t, settings.Fleet)
	if err != nil {
		return out, err
	}
	p := simulate.Plan{
		Fleet: fleet, Remarks: remarks, Probe: settings.Probe, Tick: settings.Store.Tick, Settle: settings.Store.Settle,
		Listeners: c.Listeners, From: clockOr(c.From), Until: clockOr(c.Until), Session: c.Session,
		Shares: map[director.RegionID]float64{}, LoseSites: c.LoseSite, LoseNodes: c.LoseNode, At: clockOr(c.At), For: c.For,
		Directors: c.Directors, DirectorSites: c.DirectorSite, Pace: c.Pace, Seed: c.Seed,
	}
	for _, share := range c.Share {
		if _, twice := p.Shares[share.region]; twice {
			return out, fmt.Errorf("%s is given two shares; give it one", share.region)
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
		return out, fmt.Errorf("%s has no store.redis, so that %d directors would know nothing of each other; add it, or play one director", file, p.Directors)
	}
	if len(c.Records) > 0 {
		if p.Records, err = c.records(t); err != nil {
			return out, err
		}
		places, err := geo.Open(settings.Geo)
		if err != nil {
			return out, err
		}
		p.Locate = places.Locate
	}
	if c.Day != "" {
		if p.Day, err = simulate.ReadDay(c.Day); err != nil {
			return out, err
		}
		if p.Listeners == 0 && p.Day.Peak > 1 {
			p.Listeners = int(p.Day.Peak + 0.5)
		}
	}
	return p.Play()
}

// records reads the records, and tells of lines that are something else.
func (c *simulateCmd) records(t *client.Terminal) (*simulate.Records, error) {
	records, err := simulate.ReadRecords(c.Records, simulate.AvailableMemory())
	if err != nil {
		return nil, err
	}
	for _, line := range records.Foreign() {
		fmt.Fprintln(t.Err, client.Clean(line))
	}
	return records, nil
}

// fleet is the file's with what a running director has beside it, if that is asked for.
// remarks say what that is.
func (c *simulateCmd) fleet(ctx context.Context, t *client.Terminal, declared director.Config) (fleet director.Config, remarks []string, err error) {
	if !c.Running && len(c.Server) == 0 {
		if c.TokenFile != "" {
			return fleet, nil, errors.New("--token-file is for a running director; give --running or --server, too")
		}
		return declared, nil, nil
	}
	session, err := c.Open(t)
	if err != nil {
		return fleet, nil, err
	}
	running, err := session.Running(ctx)
	if err != nil {
		return fleet, nil, err
	}
	fleet, effects, out, err := store.Compose(declared, running.Registered, running.Overlay, t.Now())
	if err != nil {
		return fleet, nil, err
	}
	remarks = append(remarks, fmt.Sprintf("%s has %s, and operators' changes up to revision %d",
		running.Director, wording.Count(len(running.Registered)-len(out), "registered node"), running.Overlay.Revision))
	for _, id := range slices.Sorted(maps.Keys(out)) {
		remarks = append(remarks, fmt.Sprintf("the registered node %s has no place in the file, and is not played: %s", id, out[id]))
	}
	for _, e := range effects {
		what, _ := api.EntryInWords(e.Entry)
		said := what + ": " + e.Detail
		switch e.Kind {
		case store.Dormant:
			said += "; it has no effect"
		case store.Skipped:
			said += "; it is left out, as the file would be refused with it"
		}
		remarks = append(remarks, said)
	}
	return fleet, remarks, nil
}

// clockOr returns a time since midnight; -1: none is given.
func clockOr(c *simulate.Clock) time.Duration {
	if c == nil {
		return -1
	}
	return time.Duration(*c)
}
