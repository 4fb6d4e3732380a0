package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/signpost-fm/signpost/cmd/signpost/config"
	"github.com/signpost-fm/signpost/cmd/signpost/output"
	"github.com/signpost-fm/signpost/cmd/signpost/service"
	"github.com/signpost-fm/signpost/cmd/signpost/upgrade"
	"github.com/signpost-fm/signpost/cmd/signpost/version"
	"github.com/signpost-fm/signpost/director/wording"
)

type serveCmd struct {
	configFile
	Listen      []string `env:"SIGNPOST_LISTEN" placeholder:"ADDR" help:"Addresses for plain HTTP instead of listen.http."`
	Admin       string   `env:"SIGNPOST_ADMIN" placeholder:"ADDR" help:"Address of the operators' side instead of admin.listen."`
	GeoDatabase []string `env:"SIGNPOST_GEO_DATABASE" placeholder:"FILE" help:"Databases in MaxMind's format instead of geo.databases."`
	StateDir    string   `env:"SIGNPOST_STATE_DIR" placeholder:"DIR" help:"Directory for what outlives a restart, instead of state_dir."`
	Name        string   `env:"SIGNPOST_NAME" placeholder:"NAME" help:"This director's name instead of store.name."`
	Records     string   `env:"SIGNPOST_RECORDS" enum:"stdout,stderr,off" default:"stdout" help:"Where one line of JSON for each request goes: stdout, stderr or off."`
	logFlags
}

// logFlags choose how the program logs.
type logFlags struct {
	LogLevel  slog.Level `env:"SIGNPOST_LOG_LEVEL" default:"info" help:"debug, info, warn or error."`
	LogFormat string     `env:"SIGNPOST_LOG_FORMAT" enum:"text,json" default:"text" help:"text or json."`
}

func (f logFlags) logger(w io.Writer) *slog.Logger {
	o := &slog.HandlerOptions{Level: f.LogLevel, ReplaceAttr: plainErrors}
	if f.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// plainErrors writes errors in plain words, whoever logs them.
func plainErrors(_ []string, a slog.Attr) slog.Attr {
	if err, ok := a.Value.Any().(error); ok {
		a.Value = slog.StringValue(wording.Text(err))
	}
	return a
}

// sideLogger returns a logger that keeps nobody waiting, where its lines go, and what
// writes the last of them. From then on, standard output and error may be closed without
// ending the process.
func (f logFlags) sideLogger(w io.Writer) (log *slog.Logger, to *output.Writer, flush func()) {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // else it ends a process that writes to descriptor 1 or 2 (os/signal)
	to = output.New(w)
	log = f.logger(to)
	to.News = func(err error, dropped uint64) {
		if err == nil && dropped > 0 {
			log.Warn("the log is written again; some lines were dropped, for their reader was too slow, full or gone", "lines", dropped)
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = to.Run(ctx) // it has nothing to tell
	}()
	return log, to, func() { stop(); <-ended }
}

// Run serves until SIGINT or SIGTERM; a second signal ends the process at once. At
// SIGUSR2 it starts the program anew, which takes its place without refusing anybody.
func (c *serveCmd) Run(out *console) error {
	file, err := c.name()
	if err != nil {
		return err
	}
	if file == "" {
		return errors.New("no configuration: a director needs nodes to send listeners to; write a file and name it, as in `signpost serve signpost.yaml` (docs/signpost.example.yaml is one to begin with), or try `signpost demo`, which needs none")
	}
	program, unknown := upgrade.Self()
	in, err := upgrade.Inherit()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	again := make(chan os.Signal, 1)
	signal.Notify(again, syscall.SIGHUP)
	defer signal.Stop(again)
	replace := make(chan os.Signal, 1)
	signal.Notify(replace, syscall.SIGUSR2)
	defer signal.Stop(replace)

	log, logTo, flush := c.sideLogger(out.err)
	defer flush()
	type start struct {
		d   *service.Service
		r   *service.Reloader
		err error
	}
	started := make(chan start, 1)
	go func() { // what is read at the start may hang; a signal ends the process all the same
		var s start
		s.d, s.r, s.err = c.start(file, log, service.Options{
			Log: log, LogTo: logTo, Records: c.records(out), Handed: in.Sockets, Succeeds: in.Before != nil,
		})
		started <- s
	}()
	var s start
	select {
	case <-ctx.Done():
		log.Info("stopped before it had started")
		return nil
	case s = <-started:
	}
	if s.err != nil {
		return s.err
	}
	s.d.TuneMemory()
	r := serving{d: s.d, log: log, program: program, unknown: unknown, replace: replace}
	s.r.Before, s.r.After = r.reloading, r.reloaded
	s.d.Follow(s.r, again)
	go r.tell(ctx, in.Before)
	gone, err := r.untilSignal(ctx)
	switch {
	case err != nil:
	case gone:
		log.Info("another process has taken this one's place; those who are connected are served on")
		r.d.Linger(ctx)
		stop()
	default:
		stop() // the next signal ends the process
		log.Info("stopping")
		r.notify("STOPPING=1")
		r.d.Retire()
	}
	r.d.Close()
	log.Info("stopped")
	return err
}

// serving is a director while it answers.
type serving struct {
	d       *service.Service
	log     *slog.Logger
	program upgrade.Program
	unknown error // why the program cannot be started anew
	replace <-chan os.Signal
}

// tell says that the director answers: to the process whose place it takes, if there is
// one, and to the service manager.
func (r *serving) tell(ctx context.Context, before *upgrade.Before) {
	select {
	case <-ctx.Done():
		return
	case <-r.d.Ready():
	}
	if before != nil {
		if err := before.Ready(ctx); err != nil {
			r.log.Warn("the process before did not say that it has let go; going on all the same", "err", err)
		}
		r.d.Claim()
	}
	r.notify("READY=1")
	r.log.Info("ready")
}

// reloading and reloaded tell the service manager of the configuration file: `systemctl
// status` shows why one is refused.
func (r *serving) reloading() {
	if err := upgrade.Reloading(); err != nil {
		r.log.Warn("the service manager cannot be told", "err", err)
	}
}

func (r *serving) reloaded(err error) {
	status := "the configuration file is in force"
	if err != nil {
		mistakes := config.Mistakes(err)
		if mistakes == nil {
			mistakes = []string{wording.Text(err)}
		}
		status = fmt.Sprintf("the configuration file is refused, the one before stays in force: %s", strings.ReplaceAll(mistakes[0], "\n", "; "))
		if more := len(mistakes) - 1; more > 0 {
			status += fmt.Sprintf(" (and %d more)", more)
		}
	}
	r.notify("READY=1\nSTATUS=" + status)
}

func (r *serving) notify(state string) {
	if err := upgrade.Notify(state); err != nil {
		r.log.Warn("the service manager cannot be told", "state", state, "err", err)
	}
}

// untilSignal returns when the director has to stop: at a signal, after a failure, or when
// another process has taken its place.
func (r *serving) untilSignal(ctx context.Context) (gone bool, err error) {
	var next *upgrade.Next
	var ready <-chan error // of next
	for {
		select {
		case <-ctx.Done():
			if next != nil {
				next.End()
			}
			return false, nil
		case err := <-r.d.Failed():
			return false, err // next, if there is one, goes on alone
		case <-r.replace:
			if next != nil {
				r.log.Warn("an upgrade is under way already")
				continue
			}
			if next, err = r.begin(); err != nil {
				r.log.Error("the upgrade failed; this process goes on", "err", err)
				continue
			}
			r.log.Info("upgrading: the program was started anew", "pid", next.PID())
			ready = next.Ready()
		case err := <-ready:
			if err != nil {
				r.log.Error("the upgrade failed; this process goes on", "err", err)
				next, ready = nil, nil
				continue
			}
			r.d.Release()
			r.notify("MAINPID=" + strconv.Itoa(next.PID()))
			if err := next.Released(); err != nil {
				r.log.Warn("the new process cannot be told that this one has let go", "err", err)
			}
			return true, nil
		}
	}
}

// begin starts the program anew, with this director's sockets.
func (r *serving) begin() (*upgrade.Next, error) {
	if r.unknown != nil {
		return nil, r.unknown
	}
	sockets, err := r.d.Sockets()
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, f := range sockets {
			_ = f.Close()
		}
	}()
	return r.program.Start(sockets)
}

// start reads the file and starts what it describes.
func (c *serveCmd) start(file string, log *slog.Logger, o service.Options) (*service.Service, *service.Reloader, error) {
	read := func() (*config.Settings, error) { return c.read(file) }
	r := service.NewReloader(file, read)
	s, err := read()
	if err != nil {
		return nil, nil, err
	}
	log.Info("starting", "version", version.Current().Version, "config", file)
	d, err := service.Start(s, o)
	return d, r, err
}

// read loads the file, and overrides it by flags and environment.
func (c *serveCmd) read(file string) (*config.Settings, error) {
	l, err := config.Load(file)
	if err != nil {
		return nil, err
	}
	if len(c.Listen) > 0 {
		l.Listen.HTTP = c.Listen
	}
	if c.Admin != "" {
		l.Admin.Listen = c.Admin
	}
	if len(c.GeoDatabase) > 0 {
		l.Geo.Databases = c.GeoDatabase
	}
	if c.StateDir != "" {
		l.StateDir = c.StateDir
	}
	if c.Name != "" {
		l.Store.Name = c.Name
	}
	return l.Settings()
}

func (c *serveCmd) records(out *console) io.Writer {
	switch c.Records {
	case "stderr":
		return out.err
	case "off":
		return nil
	default:
		return out.out
	}
}
