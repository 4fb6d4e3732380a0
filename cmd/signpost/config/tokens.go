package config

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/signpost-fm/signpost/director/wording"
	"github.com/signpost-fm/signpost/web/admin"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// tokens reads the operators' tokens. A listener that other machines can reach needs one.
func (c *converter) tokens() []admin.Token {
	var tokens []admin.Token
	if name := c.Admin.TokensFile; name != "" {
		text, err := readSecret(c.path(name))
		if err == nil {
			tokens, err = admin.ParseTokens(text)
		}
		switch {
		case err != nil:
			c.fail(fmt.Sprintf("%s: %s", c.path(name), strings.ReplaceAll(wording.Text(err), "\n", "; ")), "admin", "tokens_file")
		case len(tokens) == 0:
			c.fail(c.path(name)+" holds no token", "admin", "tokens_file")
		}
	}
	if name := c.Admin.TokenFile; name != "" {
		token, err := readSecret(c.path(name))
		if err != nil {
			c.fail(wording.Text(err), "admin", "token_file")
		} else if len(token) < minSecret {
			c.fail(fmt.Sprintf("%s holds fewer than %d characters; `openssl rand -hex 32` makes a good token", c.path(name), minSecret), "admin", "token_file")
		}
		tokens = append(tokens, admin.NewToken("admin.token_file", api.RoleOperate, token))
	}
	host, _, err := net.SplitHostPort(c.Admin.Listen)
	addr, _ := netip.ParseAddr(host) // invalid for a name and for all interfaces
	guarded := c.Admin.TokenFile != "" || c.Admin.TokensFile != ""
	if err == nil && !guarded && host != "localhost" && !addr.IsLoopback() {
		c.fail(fmt.Sprintf("%s can be reached from other machines; give a token_file, or listen at 127.0.0.1", c.Admin.Listen), "admin", "listen")
	}
	return tokens
}
