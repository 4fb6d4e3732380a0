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

// IdentityOf returns who asks. It is known to what stands behind [API], such as
// the dashboard.
func IdentityOf(r *http.Request) (api.Identity, bool) {
	id, ok := r.Context().Value(identityKey{}).(api.Identity)
	return id, ok
}

// asking is who asks; allow has let them in.
func asking(ctx echo.Context) api.Identity {
	id, _ := IdentityOf(ctx.Request())
	return id
}

// anybody asks where no token is set: only this machine can.
var anybody = api.Identity{Name: "local", Role: api.RoleOperate}

// allow lets through who has one of the roles.
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

// orOperate lists roles with that of operators, who may do everything.
func orOperate(roles []api.Role) string {
	names := []string{string(api.RoleOperate)}
	for _, r := range roles {
		if r != api.RoleOperate {
			names = append(names, string(r))
		}
	}
	return strings.Join(names, " or ")
}

// allowPages lets through who may look at the dashboard, and sends everybody else
// to its page for logging in.
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

// identify says who asks: by a token, or by the cookie that one was given for.
func (a *API) identify(r *http.Request) (api.Identity, error) {
	tokens := a.cfg.Tokens()
	if len(tokens) == 0 {
		return anybody, nil
	}
	if given := r.Header.Get("Authorization"); given != "" {
		scheme, token, _ := strings.Cut(given, " ")
		if !strings.EqualFold(scheme, "Bearer") {
			token = "" // which is nobody's
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

// check looks a token up. Who has shown many that are unknown must wait.
func (a *API) check(r *http.Request, tokens []Token, token string) (Token, error) {
	hash, from, now := sha256.Sum256([]byte(token)), addressOf(r.RemoteAddr), a.cfg.Now()
	if wait := a.throttle.wait(from, hash, now); wait > 0 {
		p := problem(http.StatusTooManyRequests, "too many unknown tokens came from this address; wait, and look at who sends them")
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
	return problem(http.StatusUnauthorized, "give a token that is known here as Authorization: Bearer; it is one of the directors' admin.tokens_file, or that of admin.token_file")
}
