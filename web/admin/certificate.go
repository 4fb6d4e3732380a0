package admin

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/signpost-fm/signpost/director/wording"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// getCertificate answers an agent with a certificate and its private key.
func (a *API) getCertificate(ctx echo.Context) error {
	r := ctx.Request()
	name, err := url.PathUnescape(ctx.Param("name"))
	switch {
	case err != nil:
		return problem(http.StatusBadRequest, "the name in the path is badly encoded")
	case r.TLS == nil && !local(r):
		return problem(http.StatusUpgradeRequired, "a private key does not travel over plain http: give this director admin.cert_file, and ask by https")
	case !a.mayFetch(r, name):
		return problem(http.StatusForbidden, fmt.Sprintf("the token %q may not fetch the certificate of %s; write certificates=%s behind it in admin.tokens_file", caller(ctx).Name, api.Clip(name), api.Clip(name)))
	case a.cfg.Bundle == nil:
		return problem(http.StatusNotFound, "this director gets no certificates; see listen.acme")
	}
	pem, ends, err := a.cfg.Bundle(r.Context(), name)
	if err != nil {
		return problem(http.StatusNotFound, wording.Text(err))
	}
	return answer(ctx, api.Bundle{Name: name, PEM: string(pem), Ends: ends.UTC()}, nil)
}

// local says whether a request comes from this machine.
func local(r *http.Request) bool {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && from.Addr().Unmap().IsLoopback()
}

// mayFetch says whether who asks may have the certificate of a name: an operator any, an
// agent those behind its token.
func (a *API) mayFetch(r *http.Request, name string) bool {
	id, _ := IdentityOf(r)
	if id.Role == api.RoleOperate {
		return true
	}
	_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	t, ok := find(a.cfg.Tokens(), sha256.Sum256([]byte(token)))
	return ok && slices.Contains(t.Certificates, name)
}
