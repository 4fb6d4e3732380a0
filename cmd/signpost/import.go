package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/signpost-fm/signpost/cmd/signpost/azuracast"
	"github.com/signpost-fm/signpost/cmd/signpost/config"
	"github.com/signpost-fm/signpost/cmd/signpost/importer"
	"github.com/signpost-fm/signpost/director/wording"
	"github.com/signpost-fm/signpost/geo"
)

type importCmd struct {
	Sources []string `arg:"" optional:"" name:"source" help:"Any number of: icecast.xml files (HOST=FILE where listeners reach the server as HOST), lists of URLs (CSV, M3U, PLS, XSPF), and URLs of running Icecasts and SHOUTcasts."`
	importOptions
}

// importOptions are those of import and init.
type importOptions struct {
	AzuraCast    string   `name:"azuracast" placeholder:"URL" help:"An AzuraCast, whose stations and relays are read from its API."`
	AzuraCastKey string   `name:"azuracast-key" placeholder:"FILE" help:"A file with an API key of it, for stations and mounts that are not public."`
	Station      []string `placeholder:"NAME" help:"Only these of its stations, by their short names."`
	Credentials  string   `placeholder:"FILE" help:"A file with one line user:password, of the running Icecasts' administrator."`
	PublicURL    string   `name:"public-url" placeholder:"URL" help:"The URL that listeners will be given."`
	DefaultMount string   `placeholder:"MOUNT" help:"The mount that / stands for."`
	Listen       string   `placeholder:"ADDRESS" help:"Where the director listens. Default: :8000, or :8080 beside a server at that port."`
	Locate       bool     `default:"true" negatable:"" help:"Look up which country each server is in, by its address."`
	Out          string   `short:"o" env:"SIGNPOST_CONFIG" placeholder:"FILE" help:"The file to write. Default: /etc/signpost/signpost.yaml if that directory may be written to, as where a package is installed; otherwise signpost.yaml."`
	WriteSecrets bool     `name:"write-credentials" help:"Write the administrators' passwords of icecast.xml files and of --credentials, too: for each server a file NODE.secret beside the configuration, which only its owner may read."`
	Force        bool     `help:"Replace files that exist."`
	DryRun       bool     `help:"Print the file instead of writing it."`
}

// packaged is the file that the packages' unit reads.
const packaged = "/etc/signpost/signpost.yaml"

// configToRead returns which configuration file a command reads: the one that was named, or
// signpost.yaml, or where there is none that of the packages.
func configToRead(named, packaged string) string {
	const here = "signpost.yaml"
	if named != "" {
		return named
	}
	if _, err := os.Stat(here); errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(packaged); err == nil {
			return packaged
		}
	}
	return here
}

// setOut decides where to write if nobody said so.
func (c *importOptions) setOut() {
	if c.Out != "" {
		return
	}
	c.Out = "signpost.yaml"
	if unix.Access(filepath.Dir(packaged), unix.W_OK) == nil {
		c.Out = packaged
	}
}

// Run reads the sources and writes the file.
func (c *importCmd) Run(ctx context.Context, out *console) error {
	if len(c.Sources) == 0 && c.AzuraCast == "" {
		return errors.New("import: what? Name icecast.xml files, lists, or URLs of running servers, as in `signpost import /etc/icecast2/icecast.xml`, or --azuracast URL; `signpost init` asks")
	}
	c.setOut()
	if err := c.mayWrite(); err != nil {
		return err
	}
	found, err := c.read(ctx, c.Sources)
	if err != nil {
		return err
	}
	f := importer.Combine(found)
	c.locate(ctx, f)
	c.apply(f, "signpost import", c.Sources)
	return c.finish(f, out)
}

// mayWrite says early that the file is there, before anybody is asked.
func (c *importOptions) mayWrite() error {
	if _, err := os.Lstat(c.Out); err == nil && !c.Force && !c.DryRun {
		return exists(c.Out)
	}
	return nil
}

func exists(path string) error {
	return fmt.Errorf("%s exists, and stays as it is; --force replaces it, --out FILE writes another, and --dry-run prints", path)
}

// read reads all sources. The error has a line for each that could not be read.
func (c *importOptions) read(ctx context.Context, sources []string) (importer.Found, error) {
	var found importer.Found
	var errs []error
	var running []importer.Running
	admin, adminFile, err := c.admin()
	if err != nil {
		return found, err
	}
	for _, s := range sources {
		if strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://") {
			running = append(running, importer.Running{URL: s, Admin: admin, AdminFile: adminFile})
			continue
		}
		one, err := readSource(s)
		if err != nil {
			errs = append(errs, err)
		}
		found.Add(one)
	}
	if len(running) > 0 {
		one, err := importer.Ask(ctx, running)
		if err != nil {
			errs = append(errs, err)
		}
		found.Add(one)
	}
	if c.AzuraCast != "" {
		client, err := azuraClient(c.AzuraCast, c.AzuraCastKey)
		if err == nil {
			var one importer.Found
			one, err = importer.AzuraCast(ctx, client, c.Station)
			found.Add(one)
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	return found, errors.Join(errs...)
}

// maxSourceFile bounds what is read of a file; package importer says what is too large.
const maxSourceFile = 8 << 20

// readSource reads FILE or HOST=FILE.
func readSource(source string) (importer.Found, error) {
	host, name := "", source
	if _, err := os.Stat(source); err != nil {
		if h, file, ok := strings.Cut(source, "="); ok && !strings.ContainsAny(h, "/:") {
			host, name = h, file
		}
	}
	file, err := os.Open(name)
	if err != nil {
		hint := ""
		if errors.Is(err, fs.ErrNotExist) && !strings.Contains(source, "://") && strings.Contains(source, ":") {
			hint = "; a running server is given as http://" + source
		}
		return importer.Found{}, fmt.Errorf("%s: %s%s", name, wording.Text(pathCause(err)), hint)
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, maxSourceFile))
	if err != nil {
		return importer.Found{}, fmt.Errorf("%s: %s", name, wording.Text(pathCause(err)))
	}
	return importer.File(name, b, host)
}

// pathCause leaves the path aside, which is told already.
func pathCause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

func azuraClient(url, keyFile string) (*azuracast.Client, error) {
	c := &azuracast.Client{URL: url}
	if keyFile != "" {
		key, err := config.ReadKey(keyFile)
		if err != nil {
			return nil, err
		}
		c.Key = key
	}
	return c, nil
}

// admin reads the file of credentials. The path that it returns is as the file to be
// written has it.
func (c *importOptions) admin() (admin importer.Credentials, file string, err error) {
	if c.Credentials == "" {
		return admin, "", nil
	}
	if admin.User, admin.Password, err = config.ReadCredentials(c.Credentials); err != nil {
		return admin, "", err
	}
	file = c.Credentials
	if !filepath.IsAbs(file) {
		if rel, err := filepath.Rel(filepath.Dir(c.Out), file); err == nil {
			file = rel
		}
	}
	return admin, file, nil
}

// locateTimeout bounds the look-up of all names.
const locateTimeout = 4 * time.Second

// locate finds the countries of the servers' addresses, by the embedded database. A name
// that leads nowhere is told, and leaves the place open.
func (c *importOptions) locate(ctx context.Context, f *importer.Fleet) {
	if !c.Locate {
		return
	}
	db, err := geo.Open(geo.Config{})
	if err != nil {
		return // places are of use, and not needed
	}
	ctx, cancel := context.WithTimeout(ctx, locateTimeout)
	defer cancel()
	notes := make([]string, len(f.Nodes))
	var asked sync.WaitGroup
	for i := range f.Nodes {
		n := &f.Nodes[i]
		if n.Place != "" {
			continue
		}
		asked.Go(func() {
			addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", n.Host())
			if err != nil {
				notes[i] = fmt.Sprintf("%s: where it is is not known, for its name leads nowhere (%s); write `place` of %s, such as DE", n.Host(), wording.Text(err), n.ID)
				return
			}
			slices.SortFunc(addrs, netip.Addr.Compare)
			for _, a := range addrs {
				if p := db.Locate(a.Unmap()); p.Country.String() != "" {
					n.Place = p.Country.String()
					return
				}
			}
		})
	}
	asked.Wait()
	for i, text := range notes {
		if text != "" {
			f.Notes = append(f.Notes, importer.Note{At: f.Nodes[i].From, Text: text, Look: true, PlaceOf: f.Nodes[i].ID})
		}
	}
}

// apply adds what the options say of the director itself.
func (c *importOptions) apply(f *importer.Fleet, command string, sources []string) {
	f.Command = strings.Join(append([]string{command}, sources...), " ")
	if c.AzuraCast != "" {
		f.Command += " --azuracast " + c.AzuraCast
	}
	f.PublicURL, f.DefaultMount = strings.TrimRight(c.PublicURL, "/"), c.DefaultMount
	f.Listen = cmp.Or(c.Listen, freeListen(f))
	if abs, err := filepath.Abs(c.Out); err == nil && strings.HasPrefix(abs, "/etc/") {
		f.StateDir = "/var/lib/signpost"
	}
}

// freeListen returns where the director may listen beside servers on this machine.
func freeListen(f *importer.Fleet) string {
	own, _ := os.Hostname()
	for i := range f.Nodes {
		for _, u := range f.Nodes[i].URLs {
			host := f.Nodes[i].Host()
			addr, err := netip.ParseAddr(host)
			here := host == "localhost" || err == nil && addr.IsLoopback() || own != "" && strings.EqualFold(host, own)
			if here && strings.HasSuffix(u, ":8000") {
				return ":8080"
			}
		}
	}
	return ":8000"
}

// finish checks what is to be written as `signpost check` does, writes it, and says what
// was understood.
func (c *importOptions) finish(f *importer.Fleet, out *console) error {
	// The check comes before files are named that are written with it.
	warnings, err := checked(c.Out, f.YAML())
	if err != nil {
		return fmt.Errorf("what was read makes no good configuration, so nothing is written:\n%w", err)
	}
	files, err := c.secrets(f)
	if err != nil {
		return err
	}
	b := f.YAML()
	to := out.out
	if c.DryRun {
		if _, err := out.out.Write(b); err != nil {
			return err
		}
		to = out.err
	} else {
		if err := writeFiles(append(files, newFile{path: c.Out, content: b, mode: 0o644, group: -1}), c.Force); err != nil {
			return err
		}
		fmt.Fprintf(to, "%s is written: %s, %s\n\n", c.Out, wording.Count(len(f.Nodes), "node"), wording.Count(len(f.Mounts), "mount"))
	}
	section(to, "Understood", f.Understood())
	var left, look []string
	for _, n := range f.Notes {
		if n.Look {
			look = append(look, n.String())
		} else {
			left = append(left, n.String())
		}
	}
	section(to, "Left out", left)
	section(to, "Look at", append(look, warnings...))
	if !c.DryRun {
		section(to, "Next", c.next())
	}
	return nil
}

// next returns the commands that follow.
func (c *importOptions) next() []string {
	lines := []string{"signpost check --probe " + c.Out, "signpost serve " + c.Out}
	_, noSystemd := os.Stat("/run/systemd/system")
	_, noPackage := os.Stat(filepath.Dir(packaged))
	switch {
	case noSystemd != nil || noPackage != nil:
	case c.Out == packaged:
		lines[1] = "systemctl start signpost"
	case c.Out == "signpost.yaml":
		lines = append(lines, "or, for the director that the system starts: sudo cp signpost.yaml "+packaged+", and sudo systemctl start signpost")
	}
	return lines
}

func section(w io.Writer, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintln(w, title)
	for _, l := range lines {
		fmt.Fprintln(w, "  "+l)
	}
}

// checked returns the warnings of a configuration, or its mistakes as an error.
func checked(name string, source []byte) ([]string, error) {
	d, err := config.Parse(name, source)
	if err != nil {
		return nil, err
	}
	s, err := d.Settings()
	if err != nil {
		return nil, err
	}
	return s.Warnings()
}
