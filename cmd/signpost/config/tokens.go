package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/wording"
	"github.com/signpost-fm/signpost/web/admin"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// TokenFiles are the paths of the files with operators' tokens; empty: there is none.
type TokenFiles struct {
	Tokens string // any number, by their hashes
	Token  string // the older key: one, as it is
}

// Read reads the tokens. The error joins one *[director.ConfigError] for each file that is
// refused.
func (f TokenFiles) Read() (tokens []admin.Token, err error) {
	var errs []error
	fail := func(key, text string) {
		errs = append(errs, &director.ConfigError{Path: []any{"admin", key}, Msg: text})
	}
	if f.Tokens != "" {
		text, err := readSecret(f.Tokens)
		if err == nil {
			tokens, err = admin.ParseTokens(text)
		}
		switch {
		case err != nil:
			fail("tokens_file", f.Tokens+": "+strings.ReplaceAll(strings.TrimPrefix(wording.Text(err), f.Tokens+": "), "\n", "; "))
		case len(tokens) == 0:
			fail("tokens_file", f.Tokens+" holds no token")
		}
	}
	if f.Token != "" {
		token, err := readSecret(f.Token)
		if err != nil {
			fail("token_file", wording.Text(err))
		} else if len(token) < minSecret {
			fail("token_file", fmt.Sprintf("%s holds fewer than %d characters; `openssl rand -hex 32` makes a good token", f.Token, minSecret))
		}
		tokens = append(tokens, admin.NewToken("admin.token_file", api.RoleOperate, token))
	}
	return tokens, errors.Join(errs...)
}

// tokens reads the operators' tokens. A listener that other machines can reach needs one.
func (c *converter) tokens() (TokenFiles, []admin.Token) {
	files := TokenFiles{c.path(c.Admin.TokensFile), c.path(c.Admin.TokenFile)}
	tokens, err := files.Read()
	if err != nil {
		c.errs = append(c.errs, err)
	}
	host, _, err := net.SplitHostPort(c.Admin.Listen)
	addr, _ := netip.ParseAddr(host) // invalid for a name and for all interfaces
	if err == nil && files == (TokenFiles{}) && host != "localhost" && !addr.IsLoopback() {
		c.fail(fmt.Sprintf("%s can be reached from other machines; give a tokens_file, or listen at 127.0.0.1", c.Admin.Listen), "admin", "listen")
	}
	return files, tokens
}

// tokenWarnings says what takes the place of the older key.
func (s *Settings) tokenWarnings() []string {
	if s.Admin.TokenFiles.Token == "" {
		return nil
	}
	return []string{fmt.Sprintf("admin.token_file is an older key, and still works: tokens_file has a name for each person, can be rotated, and holds only hashes; "+
		"to move, add a line to it with `printf 'operator operate %%s\\n' \"$(tr -d '[:space:]' <%s | sha256sum | cut -c1-64)\" >>tokens`", s.Admin.TokenFiles.Token)}
}
