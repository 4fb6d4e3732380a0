package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"text/tabwriter"
	"time"

	"github.com/signpost-fm/signpost/cmd/signpost/config"
	"github.com/signpost-fm/signpost/cmd/signpost/service"
	"github.com/signpost-fm/signpost/director/wording"
	"github.com/signpost-fm/signpost/web/acme"
)

type certificatesCmd struct {
	List    certificatesListCmd    `cmd:"" default:"withargs" help:"Show the accounts and certificates that directors share."`
	Export  certificatesExportCmd  `cmd:"" help:"Write all of them into one archive, which is not encrypted."`
	Import  certificatesImportCmd  `cmd:"" help:"Take them from an archive. Directors that run take them up."`
	Replace certificatesReplaceCmd `cmd:"" help:"Order a new certificate with a new key, whatever the old one's age. Directors must run."`
}

// vaultOf is where a command finds what directors share.
type vaultOf struct {
	Config   string `short:"c" env:"SIGNPOST_CONFIG" placeholder:"FILE" help:"The configuration file of one of the directors. Default: signpost.yaml, or /etc/signpost/signpost.yaml where there is none."`
	StateDir string `env:"SIGNPOST_STATE_DIR" placeholder:"DIR" help:"The directory that it was given instead of state_dir."`
}

// open opens it. The caller must call end.
func (c *vaultOf) open(writes bool) (v *acme.Vault, s *config.Settings, end func(), err error) {
	l, err := config.Load(configToRead(c.Config, packaged))
	if err != nil {
		return nil, nil, nil, err
	}
	l.StateDir = cmp.Or(c.StateDir, l.StateDir)
	if s, err = l.Settings(); err != nil {
		return nil, nil, nil, err
	}
	files, end, err := service.OpenCertificates(s, writes)
	if err != nil {
		return nil, nil, nil, err
	}
	a := *s.Listen.ACME
	a.Files = files
	if v, err = acme.OpenVault(a); err != nil {
		end()
	}
	return v, s, end, err
}

type certificatesListCmd struct {
	vaultOf
	JSON bool `help:"Print JSON."`
}

// heldMeaning is [acme.Held] in JSON.
type heldMeaning struct {
	Name      string     `json:"name,omitempty"`
	Account   string     `json:"account,omitempty"`
	Authority string     `json:"authority"`
	Issuer    string     `json:"issuer,omitempty"`
	Begins    *time.Time `json:"begins,omitempty"`
	Ends      *time.Time `json:"ends,omitempty"`
	Used      bool       `json:"used"`
	Error     string     `json:"error,omitempty"`
}

// Run lists what is kept. It fails if something cannot be read.
func (c *certificatesListCmd) Run(ctx context.Context, out *console) error {
	v, _, end, err := c.open(false)
	if err != nil {
		return err
	}
	defer end()
	held, err := v.Held(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		all := []heldMeaning{}
		for _, h := range held {
			m := heldMeaning{Name: h.Name, Account: h.Account, Authority: h.Authority, Issuer: h.Issuer, Used: h.Used}
			if !h.Ends.IsZero() {
				m.Begins, m.Ends = &h.Begins, &h.Ends
			}
			if h.Err != nil {
				m.Error = wording.Text(h.Err)
			}
			all = append(all, m)
		}
		return errors.Join(printJSON(out.out, all), unreadable(held, out.err))
	}
	if len(held) == 0 {
		fmt.Fprintln(out.out, "There is no certificate, and no account.")
		return nil
	}
	w := tabwriter.NewWriter(out.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tAUTHORITY\tENDS\tUSED")
	for _, h := range held {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", cmp.Or(h.Name, "account "+h.Account), h.Authority, endOf(h), map[bool]string{true: "yes", false: "no"}[h.Used])
	}
	return errors.Join(w.Flush(), unreadable(held, out.err))
}

// endOf says when a certificate ends.
func endOf(h acme.Held) string {
	if h.Ends.IsZero() {
		return "-"
	}
	return h.Ends.UTC().Format(time.RFC3339)
}

// unreadable names what cannot be read, and returns an error if there is such a thing.
func unreadable(held []acme.Held, w io.Writer) error {
	n := 0
	for _, h := range held {
		if h.Err != nil {
			n++
			fmt.Fprintf(w, "%s cannot be used: %s\n", h, wording.Text(h.Err))
		}
	}
	if n > 0 {
		return fmt.Errorf("%s cannot be used, of %d that are kept", wording.Count(n, "thing"), len(held))
	}
	return nil
}

type certificatesExportCmd struct {
	Archive string `arg:"" help:"The file to write, which must not exist; - is standard output."`
	vaultOf
}

// Run writes the archive. Only its owner may read it.
func (c *certificatesExportCmd) Run(ctx context.Context, out *console) error {
	v, _, end, err := c.open(false)
	if err != nil {
		return err
	}
	defer end()
	to, say := out.out, out.err
	if c.Archive != "-" {
		f, err := os.OpenFile(c.Archive, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%s is there already, and is not replaced; name another file", c.Archive)
		}
		if err != nil {
			return err
		}
		defer f.Close()
		to, say = f, out.out
	}
	held, err := v.Export(ctx, to)
	whole := 0
	for _, h := range held {
		if h.Err == nil {
			whole++
		}
	}
	if err == nil && whole == 0 {
		err = errors.Join(errors.New("there is no certificate and no account to export"), unreadable(held, out.err))
	}
	if f, ok := to.(*os.File); ok && c.Archive != "-" {
		if err == nil {
			err = errors.Join(f.Sync(), f.Close())
		}
		if err != nil {
			return errors.Join(err, os.Remove(c.Archive))
		}
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(say, "The archive has, in the clear:")
	for _, h := range held {
		if h.Err == nil {
			fmt.Fprintf(say, "  %s%s\n", h, until(h))
		}
	}
	fmt.Fprintln(say, "Whoever reads it can pretend to be these hosts. Encrypt it if it is to be kept.")
	return unreadable(held, out.err)
}

func until(h acme.Held) string {
	if h.Ends.IsZero() {
		return ""
	}
	text := ", until " + endOf(h)
	if time.Now().After(h.Ends) {
		text += " (it has ended)"
	}
	return text
}

type certificatesImportCmd struct {
	Archive        string `arg:"" help:"The file that export wrote; - is standard input."`
	ReplaceAccount bool   `help:"Take the archive's account in place of the one that is there."`
	vaultOf
}

// Run imports an archive. It fails if something in it was not taken.
func (c *certificatesImportCmd) Run(ctx context.Context, out *console) error {
	from := out.in
	if c.Archive != "-" {
		f, err := os.Open(c.Archive)
		if err != nil {
			return err
		}
		defer f.Close()
		from = f
	}
	v, _, end, err := c.open(true)
	if err != nil {
		return err
	}
	defer end()
	all, err := v.Import(ctx, from, c.ReplaceAccount)
	stored, refused := 0, 0
	for _, one := range all {
		text := one.Text
		switch {
		case one.Used:
		case one.Name == "":
			text += "; not used here: listen.acme has another email or directory"
		default:
			text += "; not used here: listen.acme has another directory, or names without it"
		}
		fmt.Fprintf(out.out, "%s%s: %s\n", one.Held, until(one.Held), text)
		if one.Stored {
			stored++
		} else if one.Name == "" {
			refused++
		}
	}
	switch {
	case err != nil:
		return err
	case stored > 0:
		fmt.Fprintf(out.out, "Directors that run take up what is new within %v.\n", acme.TakeUp)
	}
	if refused > 0 {
		return fmt.Errorf("%s of the archive was not taken", wording.Count(refused, "account"))
	}
	return nil
}

type certificatesReplaceCmd struct {
	Name      string `arg:"" help:"The host, one of listen.acme.names."`
	KeyLeaked bool   `help:"Then revoke the old certificate: somebody else may have its key."`
	vaultOf
}

// Run replaces a certificate.
func (c *certificatesReplaceCmd) Run(ctx context.Context, out *console) error {
	v, s, end, err := c.open(true)
	if err != nil {
		return err
	}
	defer end()
	if s.Listen.ACME.Challenge == acme.DNS01 {
		fmt.Fprintln(out.err, "This takes some ten seconds, until all directors answer with the new record.")
	}
	if err := v.Replace(ctx, c.Name, c.KeyLeaked); err != nil {
		return err
	}
	fmt.Fprintf(out.out, "There is a new certificate of %s. Directors that run take it up within %v.\n", c.Name, acme.TakeUp)
	if c.KeyLeaked {
		fmt.Fprintln(out.out, "The old one is revoked.")
	}
	return nil
}
