package service

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/signpost-fm/signpost/cmd/signpost/config"
	"github.com/signpost-fm/signpost/web/admin"
)

// tokens has the operators' tokens, and follows their files. It is safe for concurrent
// use.
type tokens struct {
	mu      sync.Mutex
	inForce []admin.Token
	refused string // why the files cannot be used; empty: they can
}

func (t *tokens) list() []admin.Token {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.inForce
}

func (t *tokens) trouble() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.refused
}

// use takes the tokens of settings that are put in force: their files were read just now.
func (t *tokens) use(s *config.Settings) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.inForce, t.refused = s.Admin.Tokens, ""
}

// reload reads the files, and uses them if they are good. Otherwise the tokens before stay
// in force.
func (t *tokens) reload(files config.TokenFiles, log *slog.Logger) {
	now, err := files.Read()
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.refused = strings.Join(firstMistakes(err), "; ")
		return // it stands among the warnings, which are logged
	}
	t.refused = ""
	if slices.EqualFunc(now, t.inForce, sameToken) {
		return
	}
	log.Info("other tokens of operators are in force", "before", len(t.inForce), "now", len(now))
	t.inForce = now
}

func sameToken(a, b admin.Token) bool {
	return a.Name == b.Name && a.Role == b.Role && bytes.Equal(a.Hash[:], b.Hash[:]) && slices.Equal(a.IDs, b.IDs) && a.Nodes == b.Nodes
}

// followTokens reads the files of the settings in force until ctx is done, as often as
// those of certificates and for the same reason.
func (d *Service) followTokens(ctx context.Context) error {
	return every(ctx, certEvery, func() { d.tokens.reload(d.settings.Load().Admin.TokenFiles, d.log) })
}
