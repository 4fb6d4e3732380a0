package acme

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"

	"github.com/signpost-fm/signpost/store"
)

const (
	// maxArchived bounds the files of an archive: three for each of some thousand names.
	maxArchived = 10_000
	// maxArchive bounds an archive, in bytes.
	maxArchive = 64 << 20
	// lockPatience is how long an import waits for a director that orders a certificate.
	lockPatience = 30 * time.Second
)

// A Vault is what directors share of their certificates, for those who look after it while
// directors run, or do not.
type Vault struct {
	c       Config
	storage *storage
	issuer  string // the authority of c in names of files
}

// Held is an account or a certificate that is kept.
type Held struct {
	Name      string    // the host; empty: it is an account
	Account   string    // the account's e-mail address, as in the files' names
	Authority string    // whose it is, as in the files' names
	Begins    time.Time // of a certificate
	Ends      time.Time
	Issuer    string // who signed the certificate
	// Used says that the directors of this configuration use it.
	Used bool
	// Err says why it cannot be used, with the remedy; nil: it can.
	Err error
}

// String says in words which account or certificate it is.
func (h Held) String() string {
	if h.Name == "" {
		return fmt.Sprintf("the account %s at %s", h.Account, h.Authority)
	}
	return "the certificate of " + h.Name
}

// Imported says what became of something in an archive.
type Imported struct {
	Held
	Stored bool   // it was written, or was there already
	Text   string // what was done, and why
}

// OpenVault returns the vault of a configuration, of which it needs Names, Email,
// Directory, Files and Secret; and for [Vault.Replace] all that directors need.
func OpenVault(c Config) (*Vault, error) {
	s, err := newStorage(c.Files, c.Secret)
	if err != nil {
		return nil, err
	}
	return &Vault{c, s, certmagic.StorageKeys.Safe((&certmagic.ACMEIssuer{CA: c.Directory}).IssuerKey())}, nil
}

// things are the files of each account and certificate by their directory, and then by
// their names in it.
type things map[string]map[string][]byte

// add adds a file, and says whether it belongs to an account or a certificate.
func (t things) add(name string, content []byte) bool {
	dir, file := path.Split(name)
	dir = strings.TrimSuffix(dir, "/")
	switch parts := strings.Split(dir, "/"); {
	case len(parts) == 3 && parts[0] == "certificates":
	case len(parts) == 4 && parts[0] == "acme" && parts[2] == "users":
	default:
		return false
	}
	if t[dir] == nil {
		t[dir] = map[string][]byte{}
	}
	t[dir][file] = content
	return true
}

// what says what a thing is. [Held.Err] is set if it is not whole.
func (v *Vault) what(dir string, files map[string][]byte) Held {
	parts := strings.Split(dir, "/")
	h := Held{Authority: parts[1]}
	if parts[0] == "acme" {
		h.Account = parts[3]
		h.Used = h.Authority == v.issuer && h.Account == certmagic.StorageKeys.Safe(v.c.Email)
		h.Err = checkAccount(files)
		return h
	}
	site := parts[2]
	h.Name = strings.Replace(site, "wildcard_", "*", 1)
	h.Used = h.Authority == v.issuer && slices.Contains(v.c.Names, h.Name)
	pair, err := tls.X509KeyPair(files[site+".crt"], files[site+".key"])
	switch {
	case err != nil:
		h.Err = fmt.Errorf("the files of %s are no certificate with its key: %w", h.Name, err)
		return h
	case pair.Leaf.VerifyHostname(strings.Replace(h.Name, "*", "any", 1)) != nil:
		h.Err = fmt.Errorf("the certificate among the files of %s is for %s", h.Name, strings.Join(pair.Leaf.DNSNames, ", "))
	case !json.Valid(files[site+".json"]):
		h.Err = fmt.Errorf("the file %s.json of %s is missing or damaged", site, h.Name)
	}
	h.Begins, h.Ends, h.Issuer = pair.Leaf.NotBefore, pair.Leaf.NotAfter, pair.Leaf.Issuer.CommonName
	return h
}

// checkAccount says what is wrong with the files of an account.
func checkAccount(files map[string][]byte) error {
	var key, about bool
	for name, b := range files {
		switch path.Ext(name) {
		case ".key":
			_, err := certmagic.PEMDecodePrivateKey(b)
			key = err == nil
		case ".json":
			var account acme.Account
			about = json.Unmarshal(b, &account) == nil && account.Location != ""
		}
	}
	if len(files) != 2 || !key || !about {
		return errors.New("an account has a private key in PEM and a description with its location, and here is something else")
	}
	return nil
}

// load reads everything that is kept. Files that cannot be decrypted are in bad. If none
// can be, the secret is another, and the error says so.
func (v *Vault) load(ctx context.Context) (all things, bad map[string]error, err error) {
	names, err := v.c.Files.FileNames(ctx)
	if err != nil {
		return nil, nil, err
	}
	all, bad = things{}, map[string]error{}
	good := 0
	var first error
	for _, name := range names {
		if !(things{}).add(name, nil) {
			continue
		}
		b, err := v.storage.Load(ctx, name)
		switch {
		case errors.Is(err, store.ErrAway):
			return nil, nil, err
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			first = cmp.Or(first, err)
			dir, _ := path.Split(name)
			bad[strings.TrimSuffix(dir, "/")] = err
		default:
			good++
		}
		all.add(name, b)
	}
	if good == 0 && first != nil {
		return nil, nil, first
	}
	return all, bad, nil
}

// Held returns what is kept, ordered by its files' names.
func (v *Vault) Held(ctx context.Context) ([]Held, error) {
	all, bad, err := v.load(ctx)
	if err != nil {
		return nil, err
	}
	var held []Held
	for _, dir := range slices.Sorted(maps.Keys(all)) {
		h := v.what(dir, all[dir])
		if bad[dir] != nil {
			h.Err = bad[dir]
		}
		held = append(held, h)
	}
	return held, nil
}

// Export writes everything that is whole to w, as a tar archive that is not encrypted, and
// returns what there is. What cannot be read is left out: its Err says why.
func (v *Vault) Export(ctx context.Context, w io.Writer) ([]Held, error) {
	all, bad, err := v.load(ctx)
	if err != nil {
		return nil, err
	}
	var held []Held
	out := tar.NewWriter(w)
	for _, dir := range slices.Sorted(maps.Keys(all)) {
		h := v.what(dir, all[dir])
		if bad[dir] != nil {
			h.Err = bad[dir]
		}
		held = append(held, h)
		if h.Err != nil {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(all[dir])) {
			b := all[dir][name]
			err := out.WriteHeader(&tar.Header{Name: dir + "/" + name, Mode: 0o600, Size: int64(len(b)), ModTime: time.Now()})
			if err == nil {
				_, err = out.Write(b)
			}
			if err != nil {
				return nil, err
			}
		}
	}
	return held, out.Close()
}

// Import reads an archive that [Vault.Export] wrote, under this secret or another, and keeps
// what is in it. Nothing is written if there is a mistake in the archive. A certificate that
// ends later than the archive's stays; so does another account, unless replaceAccount.
// Directors that run take up what is new.
func (v *Vault) Import(ctx context.Context, r io.Reader, replaceAccount bool) ([]Imported, error) {
	fresh, err := readArchive(r)
	if err != nil {
		return nil, err
	}
	dirs := slices.Sorted(maps.Keys(fresh))
	for _, dir := range dirs {
		if h := v.what(dir, fresh[dir]); h.Err != nil {
			return nil, fmt.Errorf("the archive is damaged: %w; export it again", h.Err)
		}
	}
	there, bad, err := v.load(ctx)
	if err != nil {
		return nil, err
	}
	var all []Imported
	for _, dir := range dirs {
		one := Imported{Held: v.what(dir, fresh[dir])}
		old := v.what(dir, there[dir])
		switch broken := bad[dir] != nil || old.Err != nil; {
		case there[dir] == nil:
			one.Stored, one.Text = true, "stored"
		case maps.EqualFunc(there[dir], fresh[dir], bytes.Equal):
			one.Stored, one.Text = true, "there already"
			all = append(all, one)
			continue
		case broken:
			one.Stored, one.Text = true, "stored in place of one that could not be read"
		case one.Name == "" && replaceAccount:
			one.Stored, one.Text = true, "stored in place of another"
		case one.Name == "":
			one.Text = "another account is there, and stays: certificates are renewed by it as well; to have the archive's, say --replace-account"
		case !old.Ends.Before(one.Ends):
			one.Text = fmt.Sprintf("one is there that ends later, at %s, and stays", old.Ends.UTC().Format(time.RFC3339))
		default:
			one.Stored, one.Text = true, "stored in place of one that ends earlier"
		}
		if one.Stored {
			if err := v.write(ctx, dir, one.Held, fresh[dir]); err != nil {
				return all, err
			}
		}
		all = append(all, one)
	}
	return all, nil
}

// write replaces the files of a thing, while no director orders a certificate of this name.
func (v *Vault) write(ctx context.Context, dir string, h Held, files map[string][]byte) (err error) {
	if h.Name != "" {
		// certmagic's own lock: see lockKey in its config.go.
		lock := "issue_cert_" + h.Name
		limited, cancel := context.WithTimeout(ctx, lockPatience)
		defer cancel()
		if err := v.storage.Lock(limited, lock); errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("a director orders a certificate of %s at this moment; try again in a minute", h.Name)
		} else if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, v.storage.Unlock(ctx, lock)) }()
	}
	for name := range files {
		if _, err := v.c.Files.ReadFile(ctx, dir+"/"+name); errors.Is(err, store.ErrAway) {
			return err // before the first is written
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := v.storage.Store(ctx, dir+"/"+name, files[name]); err != nil {
			return err
		}
	}
	return nil
}

// readArchive reads an archive of accounts and certificates.
func readArchive(r io.Reader) (things, error) {
	whole, err := io.ReadAll(io.LimitReader(r, maxArchive))
	if err != nil {
		return nil, err
	}
	// Two blocks of zeros end every archive. The reader does not miss them.
	if len(whole) > 0 && !bytes.HasSuffix(whole, make([]byte, 1024)) {
		return nil, errors.New("this is no archive of certificates, or it is cut short; `signpost certificates export` writes one")
	}
	all, n := things{}, 0
	in := tar.NewReader(bytes.NewReader(whole))
	for {
		h, err := in.Next()
		switch {
		case errors.Is(err, io.EOF) && n == 0:
			return nil, errors.New("there is no certificate and no account in this archive")
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, fmt.Errorf("this is no archive of certificates: %w; `signpost certificates export` writes one", err)
		case h.Typeflag == tar.TypeDir:
			continue
		}
		name := path.Clean(h.Name)
		if n++; n > maxArchived || h.Size > store.MaxFileSize {
			return nil, fmt.Errorf("%.80q is too large, or one of too many: this is no archive that `signpost certificates export` wrote", name)
		}
		b, err := io.ReadAll(in)
		if err != nil {
			return nil, fmt.Errorf("the archive is damaged: %w", err)
		}
		if h.Typeflag != tar.TypeReg || store.CheckFile(name, b) != nil || !all.add(name, b) {
			return nil, fmt.Errorf("the archive has %.80q, which belongs to no certificate and no account: `signpost certificates export` wrote no such archive", name)
		}
	}
}

// clear returns a name's certificate in PEM; nil: there is none. Files that cannot be read are
// removed, unless that is so of all, because of the secret.
func (v *Vault) clear(ctx context.Context, name string) ([]byte, error) {
	all, bad, err := v.load(ctx)
	if err != nil {
		return nil, err
	}
	cert := certmagic.StorageKeys.SiteCert(v.issuer, name)
	dir, file := path.Split(cert)
	dir = strings.TrimSuffix(dir, "/")
	if all[dir] == nil || bad[dir] == nil && v.what(dir, all[dir]).Err == nil {
		return all[dir][file], nil
	}
	for other := range all[dir] {
		if err := v.c.Files.RemoveFile(ctx, dir+"/"+other); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// Replace orders a new certificate of a name, with a new key, whatever the old one's age.
// Directors that run answer the authority, and take up what is new. If leaked, the old one
// is revoked after that, for its key is known to others.
func (v *Vault) Replace(ctx context.Context, name string, leaked bool) error {
	if !slices.Contains(v.c.Names, name) {
		return fmt.Errorf("%q is none of listen.acme.names: %s", name, strings.Join(v.c.Names, ", "))
	}
	// The port is in use, so that certmagic leaves the answer to the directors.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	c := v.c
	c.Port = l.Addr().(*net.TCPAddr).Port
	c.Copy, c.Log, c.insists = nil, slog.New(slog.DiscardHandler), true
	m, err := New(c)
	if err != nil {
		return err
	}
	defer m.cache.Stop()
	m.magic.DisableARI = true // the order does not refer to the old one, which an authority that was set up anew does not know
	old, err := v.clear(ctx, name)
	if err != nil {
		return err
	}
	err = remedy(m.magic.RenewCertSync(ctx, name, true))
	if errors.Is(err, errAccountAnew) {
		err = remedy(m.magic.RenewCertSync(ctx, name, true))
	}
	if err != nil {
		return err
	}
	if !leaked || old == nil {
		return nil
	}
	if err := m.issuer.Revoke(ctx, certmagic.CertificateResource{CertificatePEM: old}, acme.ReasonKeyCompromise); err != nil {
		return fmt.Errorf("the new certificate of %s is there, and the old one could not be revoked: %w", name, remedy(err))
	}
	return nil
}
