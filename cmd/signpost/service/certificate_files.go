package service

import (
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/signpost-fm/signpost/cmd/signpost/config"
	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/store/redisstore"
)

// certificatesDir is where this director keeps certificates, or copies of shared ones;
// empty: nowhere.
func certificatesDir(s *config.Settings) string {
	if s.StateDir == "" {
		return ""
	}
	return filepath.Join(s.StateDir, "certificates")
}

// OpenCertificates opens what directors share of the certificates of listen.acme, for a
// command beside them, which may be about to write. The caller must call end.
func OpenCertificates(s *config.Settings, writes bool) (files store.Files, end func(), err error) {
	switch {
	case s.Listen.ACME == nil:
		return nil, nil, fmt.Errorf("%s gets no certificates from an authority, which are what is kept; see listen.acme", s.Name)
	case s.Store.Redis == nil:
		if writes {
			err = checkOwner(s.StateDir, certificatesDir(s))
		}
		return store.OpenDir(certificatesDir(s)), func() {}, err
	}
	c := *s.Store.Redis
	c.Log = slog.New(slog.DiscardHandler) // the error says it
	shared, err := redisstore.Open(c)
	if err != nil {
		return nil, nil, fmt.Errorf("store.redis: %w", err)
	}
	return shared, func() { _ = shared.Close() }, nil
}

// checkOwner refuses to write into directories that belong to another user, who could not
// read what is written. Those that do not exist belong to nobody.
func checkOwner(dirs ...string) error {
	for _, dir := range dirs {
		info, err := os.Stat(dir)
		if err != nil {
			continue
		}
		owner, ok := info.Sys().(*syscall.Stat_t)
		if !ok || int(owner.Uid) == os.Geteuid() {
			continue
		}
		name := "#" + strconv.Itoa(int(owner.Uid))
		if u, err := user.LookupId(name[1:]); err == nil {
			name = u.Username
		}
		return fmt.Errorf("%s belongs to another user, who runs the director and could not read what is written; do this as that user, as in `sudo -u '%s' signpost ...`", dir, name)
	}
	return nil
}
