package admin

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/signpost-fm/signpost/web/admin/api"
)

type identityKey struct{}

// IdentityOf returns who made a request that has passed [API], as for the dashboard.
func IdentityOf(r *http.Request) (api.Identity, bool) {
	id, ok := r.Context().Value(identityKey{}).(api.Identity)
	return id, ok
}

// caller returns who made a request that allow has let through.
func caller(ctx echo.Context) api.Identity {
	id, _ := IdentityOf(ctx.Request())
	return id
}

// localOperator is everybody where no token is set: only this machine can ask.
var localOperator = api.Identity{Name: "local", Role: api.RoleOperate}

// allow lets through callers with one of the roles, and operators.
func (a *API) allow(roles ...api.Role) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(ctx echo.Context) error {
			id, err := a.identify(ctx.Request())
			if err != nil {
				return err
			}
			if !id.Role.May(roles...) {
				return problem(http.StatusForbidden, fmt.Sprintf("the token %q has the role %s, and this needs %s; use another token, or change its role in admin.tokens_file", id.Name, id.Role, orOperate(roles)))
			}
			ctx.SetRequest(ctx.Request().WithContext(context.WithValue(ctx.Request().Context(), identityKey{}, id)))
			return next(ctx)
		}
	}
}

// orOperate lists roles, and that of operators, who may do everything.
func orOperate(roles []api.Role) string {
	names := []string{string(api.RoleOperate)}
	for _, r := range roles {
		if r != api.RoleOperate {
			names = append(names, string(r))
		}
	}
	return strings.Join(names, " or ")
}

// allowPages lets through callers who may see the dashboard, and sends all others to
// its login page.
func (a *API) allowPages(next echo.HandlerFunc) echo.HandlerFunc {
	allowed := a.allow(api.RoleView)(next)
	return func(ctx echo.Context) error {
		r := ctx.Request()
		if r.URL.Path == loginPath || strings.HasPrefix(r.URL.Path, "/assets/") {
			return next(ctx)
		}
		if strings.HasPrefix(r.URL.Path, "/api/") {
			return echo.ErrNotFound
		}
		err := allowed(ctx)
		var p *api.Problem
		if errors.As(err, &p) && p.Status == http.StatusUnauthorized && r.Method == http.MethodGet {
			return ctx.Redirect(http.StatusSeeOther, loginPath+"?next="+url.QueryEscape("/"+strings.TrimLeft(r.URL.RequestURI(), "/")))
		}
		return err
	}
}

const loginPath = "/login"

// identify returns the caller, by a token or by a session's cookie.
func (a *API) identify(r *http.Request) (api.Identity, error) {
	tokens := a.cfg.Tokens()
	if len(tokens) == 0 {
		return localOperator, nil
	}
	if given := r.Header.Get("Authorization"); given != "" {
		scheme, token, _ := strings.Cut(given, " ")
		if !strings.EqualFold(scheme, "Bearer") {
			token = "" // nobody's
		}
		t, err := a.check(r, tokens, token)
		return api.Identity{Name: t.Name, Role: t.Role}, err
	}
	if c, err := r.Cookie(sessionCookie); err == nil {
		if hash, ok := a.sessions.use(c.Value, a.cfg.Now()); ok {
			if t, ok := find(tokens, hash); ok {
				return api.Identity{Name: t.Name, Role: t.Role, Session: true}, nil
			}
			a.sessions.close(c.Value)
		}
	}
	return api.Identity{}, unknownToken()
}

// check finds a token. An address that has shown many unknown ones must wait.
func (a *API) check(r *http.Request, tokens []Token, token string) (Token, error) {
	hash, from, now := sha256.Sum256([]byte(token)), a.addressOf(r.RemoteAddr), a.cfg.Now()
	if wait := a.throttle.wait(from, hash, now); wait > 0 {
		p := problem(http.StatusTooManyRequests, "too many unknown tokens came from this address: wait, and find out who sends them")
		p.RetryAfter = time.Duration(math.Ceil(wait.Seconds())) * time.Second
		return Token{}, p
	}
	t, ok := find(tokens, hash)
	if !ok {
		a.throttle.wrong(from, now)
		return Token{}, unknownToken()
	}
	a.throttle.right(from, hash)
	return t, nil
}

func unknownToken() *api.Problem {
	return problem(http.StatusUnauthorized, "give a valid token as Authorization: Bearer: one of admin.tokens_file, or that of admin.token_file")
}
