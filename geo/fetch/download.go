package fetch

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

const (
	maxMindHost = "https://download.maxmind.com"
	dbipHost    = "https://download.db-ip.com"

	maxBytes    = 1 << 30 // of a file: MaxMind's largest are some 400 MB
	maxSumBytes = 1 << 10 // of a file with a checksum
)

// ask is one file to fetch.
type ask struct {
	url            string
	account, key   string
	sum            string // as Source.SHA256
	missingIsOlder bool   // a 404 means that this month's is not published yet
}

// asks returns the files to try, the newest first.
func (s *Source) asks(now time.Time) ([]ask, error) {
	switch {
	case s.MaxMind != "":
		account, key, err := readAccount(s.AccountFile)
		if err != nil {
			return nil, err
		}
		base := orDefault(s.Host, maxMindHost) + "/geoip/databases/" + url.PathEscape(s.MaxMind) + "/download?suffix=tar.gz"
		return []ask{{url: base, account: account, key: key, sum: base + ".sha256"}}, nil
	case s.DBIP != "":
		var all []ask
		first := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
		for back := range 2 {
			month := first.AddDate(0, -back, 0).Format("2006-01")
			all = append(all, ask{url: orDefault(s.Host, dbipHost) + "/free/dbip-" + s.DBIP + "-lite-" + month + ".mmdb.gz", missingIsOlder: back == 0})
		}
		return all, nil
	}
	return []ask{{url: s.URL, sum: s.SHA256}}, nil
}

func orDefault(s, def string) string {
	if s == "" {
		return def
	}
	return strings.TrimSuffix(s, "/")
}

var errMissing = errors.New("there is none")

// fetch installs a newer file, if there is one, and records it in m.
func (u *Updater) fetch(ctx context.Context, s Source, m *memo) (changed bool, err error) {
	asks, err := s.asks(u.cfg.Now().UTC())
	if err != nil {
		return false, err
	}
	for _, a := range asks {
		if s.DBIP != "" && m.URL == a.url {
			return false, nil // a month's file does not change
		}
		changed, err = u.try(ctx, s, a, m)
		if a.missingIsOlder && errors.Is(err, errMissing) {
			continue
		}
		break
	}
	return changed, err
}

func (u *Updater) try(ctx context.Context, s Source, a ask, m *memo) (changed bool, err error) {
	conditional := http.Header{}
	if m.URL == a.url && m.ETag != "" {
		conditional.Set("If-None-Match", m.ETag)
	}
	if m.URL == a.url && m.LastModified != "" {
		conditional.Set("If-Modified-Since", m.LastModified)
	}
	r, err := u.get(ctx, a, a.url, conditional)
	if err != nil {
		return false, err
	}
	defer r.Body.Close()
	if r.StatusCode == http.StatusNotModified {
		return false, nil
	}
	raw, err := os.CreateTemp(filepath.Dir(s.File), ".download.*")
	if err != nil {
		return false, err
	}
	defer os.Remove(raw.Name())
	sum, err := save(raw, r)
	if err = errors.Join(err, raw.Close()); err != nil {
		return false, err
	}
	if err := u.checkSum(ctx, a, sum); err != nil {
		return false, err
	}
	if err := install(s, raw.Name()); err != nil {
		return false, err
	}
	*m = memo{URL: a.url, ETag: r.Header.Get("ETag"), LastModified: r.Header.Get("Last-Modified")}
	return true, nil
}

// get sends a request, and returns an error that explains any answer that is not a file.
// Credentials do not follow a redirect to another host: MaxMind redirects to a store of
// its own.
func (u *Updater) get(ctx context.Context, a ask, at string, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, err
	}
	req.Header = header
	req.Header.Set("User-Agent", "signpost")
	req.Header.Set("Accept-Encoding", "identity") // unpacked once, after the checksum is verified
	if a.account != "" {
		req.SetBasicAuth(a.account, a.key)
	}
	r, err := u.cfg.Client.Do(req)
	if err != nil {
		return nil, err
	}
	switch r.StatusCode {
	case http.StatusOK, http.StatusNotModified:
		return r, nil
	}
	r.Body.Close()
	name := req.URL.Redacted()
	switch r.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return nil, fmt.Errorf("%s answers %s: check the account, its key, and what the licence covers", name, r.Status)
	case http.StatusNotFound:
		return nil, fmt.Errorf("%s answers %s: %w", name, r.Status, errMissing)
	case http.StatusTooManyRequests:
		return nil, fmt.Errorf("%s answers %s: ask less often (geo.update.every)", name, r.Status)
	}
	return nil, fmt.Errorf("%s answers %s", name, r.Status)
}

// save writes the body to f, and returns its SHA-256.
func save(f *os.File, r *http.Response) (sum string, err error) {
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, h), io.LimitReader(r.Body, maxBytes+1))
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "", fmt.Errorf("the download broke off after %d of %d bytes", n, r.ContentLength)
	case err != nil:
		return "", err
	case n > maxBytes:
		return "", fmt.Errorf("the file is larger than %d MB", maxBytes>>20)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// checkSum compares the checksum of the fetched file with the publisher's, if that is
// known.
func (u *Updater) checkSum(ctx context.Context, a ask, got string) error {
	want := a.sum
	if strings.Contains(want, "://") {
		r, err := u.get(ctx, a, want, http.Header{})
		if err != nil {
			return fmt.Errorf("checksum: %w", err)
		}
		defer r.Body.Close()
		b, err := io.ReadAll(io.LimitReader(r.Body, maxSumBytes))
		if err != nil {
			return fmt.Errorf("checksum: %w", err)
		}
		want, _, _ = strings.Cut(strings.TrimSpace(string(b)), " ") // "sum  name", as sha256sum writes it
	}
	if want != "" && !strings.EqualFold(want, got) {
		return fmt.Errorf("the checksum of what was fetched is %s, and should be %.64s", got, want)
	}
	return nil
}

// unpack writes the content of the file at from: as it is, or, if it is compressed with
// gzip, the decompressed content, or the database in it if that is a tar archive.
func unpack(from string, into io.Writer) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	r := bufio.NewReader(f)
	if magic, _ := r.Peek(2); string(magic) != "\x1f\x8b" {
		_, err := io.Copy(into, r)
		return err
	}
	z, err := gzip.NewReader(r)
	if err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	inner := bufio.NewReaderSize(z, 1<<10)
	if header, _ := inner.Peek(512); len(header) < 512 || string(header[257:262]) != "ustar" {
		return copyUnpacked(into, inner)
	}
	for archive := tar.NewReader(inner); ; {
		h, err := archive.Next()
		if err != nil {
			return fmt.Errorf("unpack: no .mmdb file in the archive: %w", err)
		}
		if path.Ext(h.Name) == ".mmdb" {
			return copyUnpacked(into, archive)
		}
	}
}

// copyUnpacked copies at most maxBytes: a small file could unpack to any size.
func copyUnpacked(into io.Writer, r io.Reader) error {
	n, err := io.Copy(into, io.LimitReader(r, maxBytes+1))
	if err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	if n > maxBytes {
		return fmt.Errorf("unpack: the file is larger than %d MB", maxBytes>>20)
	}
	return nil
}
