package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/signpost-fm/signpost/cmd/signpost/client"
	"github.com/signpost-fm/signpost/web/admin/api"
)

const (
	// certificateEvery is how often a certificate is asked for. Directors renew it weeks
	// before its end.
	certificateEvery = time.Hour
	// certificateAgain is the same after a failure.
	certificateAgain   = time.Minute
	certificateTimeout = 10 * time.Second
	reloadTimeout      = time.Minute
)

// A Certificate follows one that the directors get, for the streaming server of a node.
type Certificate struct {
	Name      string   // the host
	File      string   // where key and chain are written
	Reload    string   // a command for the shell, run after each change; empty: none
	Directors []string // base URLs; the first that answers counts
	Token     string   // empty: none
	Log       *slog.Logger
}

// Follow keeps the file as the directors have the certificate, until ctx is done.
func (c *Certificate) Follow(ctx context.Context) {
	last := ""
	for {
		pause := certificateEvery
		err := c.update(ctx)
		text := ""
		if err != nil {
			pause, text = certificateAgain, err.Error()
		}
		if err != nil && text != last && ctx.Err() == nil {
			c.Log.Error("the certificate is not brought up to date", "name", c.Name, "file", c.File, "err", err)
		}
		last = text
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// update asks for the certificate, and writes a new one.
func (c *Certificate) update(ctx context.Context) error {
	directors := client.Directors{URLs: c.Directors, Token: c.Token, Timeout: certificateTimeout}
	answer, err := directors.Ask(ctx, client.Call{Method: http.MethodGet, Path: "/api/v1/certificates/" + url.PathEscape(c.Name)})
	if err != nil {
		return err
	}
	var b api.Bundle
	if err := json.Unmarshal(answer.Body, &b); err != nil || b.PEM == "" {
		return errors.New("the answer is not a director's")
	}
	if have, err := os.ReadFile(c.File); err == nil && string(have) == b.PEM {
		return nil
	}
	if err := replace(c.File, []byte(b.PEM)); err != nil {
		return err
	}
	c.Log.Info("a new certificate is in the file", "name", c.Name, "file", c.File, "ends", b.Ends)
	return c.reload(ctx)
}

// replace replaces a file as a whole. It keeps who may read it; a new one is its owner's.
func replace(name string, content []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // after the renaming there is none
	if old, err := os.Stat(name); err == nil {
		if s, ok := old.Sys().(*syscall.Stat_t); ok {
			_ = tmp.Chown(int(s.Uid), int(s.Gid)) // who may not give files away leaves it theirs
		}
		if err := tmp.Chmod(old.Mode().Perm()); err != nil {
			return errors.Join(err, tmp.Close())
		}
	}
	_, err = tmp.Write(content)
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), name)
}

// reload runs the command.
func (c *Certificate) reload(ctx context.Context) error {
	if c.Reload == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, reloadTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, "/bin/sh", "-c", c.Reload).CombinedOutput() //nolint:gosec // the operator of the node says what runs
	if err != nil {
		return fmt.Errorf("the file is new, and %q failed: %w: %.200s", c.Reload, err, strings.TrimSpace(string(out)))
	}
	return nil
}
