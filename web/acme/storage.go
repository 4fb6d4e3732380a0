package acme

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/signpost-fm/signpost/store"
)

const (
	// leaseLength is how long a lease outlives its holder. The holder extends it every
	// third of that.
	leaseLength = 15 * time.Second
	// leasePoll is how often a lease is asked for that another holds.
	leasePoll = time.Second
)

// storage is what certmagic keeps its files in: [store.Files], encrypted. A file's name
// in certmagic is its name there.
type storage struct {
	files  store.Files
	sealer *sealer // nil: not encrypted
	holder string  // of leases: this director's run

	mu     sync.Mutex
	leases map[string]context.CancelFunc // ends the extension of each lease
}

func newStorage(files store.Files, secret []byte) (*storage, error) {
	s := &storage{files: files, holder: rand.Text(), leases: map[string]context.CancelFunc{}}
	if len(secret) == 0 {
		return s, nil
	}
	var err error
	s.sealer, err = newSealer(secret)
	return s, err
}

// Store implements [certmagic.Storage].
func (s *storage) Store(ctx context.Context, name string, value []byte) error {
	return s.files.WriteFile(ctx, name, s.sealer.seal(name, value))
}

// Load implements [certmagic.Storage].
func (s *storage) Load(ctx context.Context, name string) ([]byte, error) {
	b, err := s.files.ReadFile(ctx, name)
	if err != nil {
		return nil, err
	}
	return s.sealer.open(name, b)
}

// Delete implements [certmagic.Storage].
func (s *storage) Delete(ctx context.Context, name string) error {
	names, err := s.List(ctx, name, true)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	errs := []error{s.files.RemoveFile(ctx, name)}
	for _, n := range names {
		errs = append(errs, s.files.RemoveFile(ctx, n))
	}
	return errors.Join(errs...)
}

// Exists implements [certmagic.Storage].
func (s *storage) Exists(ctx context.Context, name string) bool {
	_, err := s.Stat(ctx, name)
	return err == nil
}

// List implements [certmagic.Storage].
func (s *storage) List(ctx context.Context, path string, recursive bool) ([]string, error) {
	names, err := s.files.FileNames(ctx)
	if err != nil {
		return nil, err
	}
	var below []string
	for _, name := range names {
		rest, ok := strings.CutPrefix(name, path+"/")
		if path == "" {
			rest, ok = name, true
		}
		first, _, deeper := strings.Cut(rest, "/")
		switch {
		case !ok:
		case recursive || !deeper:
			below = append(below, name)
		default:
			dir := strings.TrimSuffix(name, rest) + first
			if len(below) == 0 || below[len(below)-1] != dir {
				below = append(below, dir)
			}
		}
	}
	if len(below) == 0 {
		return nil, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	}
	return below, nil
}

// Stat implements [certmagic.Storage].
func (s *storage) Stat(ctx context.Context, name string) (certmagic.KeyInfo, error) {
	b, err := s.files.ReadFile(ctx, name)
	if err == nil {
		return certmagic.KeyInfo{Key: name, Size: int64(len(b)), IsTerminal: true}, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := s.List(ctx, name, true); err == nil {
			return certmagic.KeyInfo{Key: name}, nil
		}
	}
	return certmagic.KeyInfo{}, err
}

// Lock implements [certmagic.Locker]: it waits until another holder has ended the lease,
// or has died.
func (s *storage) Lock(ctx context.Context, name string) error {
	for {
		ok, err := s.TryLock(ctx, name)
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(leasePoll):
		}
	}
}

// TryLock implements [certmagic.TryLocker]. Two in this process cannot have one lease
// either.
func (s *storage) TryLock(ctx context.Context, name string) (bool, error) {
	name = "lock/" + certmagic.StorageKeys.Safe(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leases[name] != nil {
		return false, nil
	}
	ok, err := s.files.Claim(ctx, name, s.holder, leaseLength)
	if !ok || err != nil {
		return false, err
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	s.leases[name] = end
	go s.extend(life, name)
	return true, nil
}

// extend keeps a lease until it is ended. If the store is away for longer than the lease,
// another director may order the same certificate: one too many is better than none.
func (s *storage) extend(life context.Context, name string) {
	tick := time.NewTicker(leaseLength / 3)
	defer tick.Stop()
	for {
		select {
		case <-life.Done():
			return
		case <-tick.C:
			_, _ = s.files.Claim(life, name, s.holder, leaseLength) // the next tick tries again
		}
	}
}

// Unlock implements [certmagic.Locker].
func (s *storage) Unlock(ctx context.Context, name string) error {
	name = "lock/" + certmagic.StorageKeys.Safe(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if end := s.leases[name]; end != nil {
		end()
		delete(s.leases, name)
	}
	_, err := s.files.Claim(context.WithoutCancel(ctx), name, s.holder, 0)
	return err
}

// A sealer encrypts files with AES-256-GCM under a key from a secret. A file's name is
// authenticated with it, so that one file cannot stand in for another.
type sealer struct{ aead cipher.AEAD }

// sealed begins every encrypted file, and tells the format.
const sealed = "signpost-sealed-1\n"

func newSealer(secret []byte) (*sealer, error) {
	key, err := hkdf.Key(sha256.New, secret, nil, "signpost certificates", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return &sealer{aead}, err
}

func (s *sealer) seal(name string, plain []byte) []byte {
	if s == nil {
		return plain
	}
	return s.aead.Seal([]byte(sealed), nil, plain, []byte(name)) //nolint:gosec // the first argument is what the text goes behind; the nonce is random
}

func (s *sealer) open(name string, b []byte) ([]byte, error) {
	body, isSealed := strings.CutPrefix(string(b), sealed)
	switch {
	case s == nil && isSealed:
		return nil, fmt.Errorf("the shared file %s is encrypted, and this director has no acme.secret_file; give it the other directors'", name)
	case s == nil:
		return b, nil
	case !isSealed:
		return nil, fmt.Errorf("the shared file %s is not one that signpost encrypted; remove it, and a new one takes its place", name)
	}
	plain, err := s.aead.Open(nil, nil, []byte(body), []byte(name))
	if err != nil {
		return nil, fmt.Errorf("the shared file %s cannot be decrypted: acme.secret_file is another than the other directors' have, or the file is damaged; in that case remove it, and a new one takes its place", name)
	}
	return plain, nil
}
