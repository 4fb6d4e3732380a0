package admin

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/signpost-fm/signpost/web/admin/api"
)

const (
	sessionCookie = "signpost_session"
	// sessionIdle is how long a session lasts without a request: more than a shift.
	sessionIdle = 12 * time.Hour
	// maxSessions bounds sessions; the one that was idle for longest is dropped first.
	maxSessions = 1000
)

// sessions are the browsers that have logged in at this director, by the hash of
// their cookie. Each ends with the token it was opened with, or after sessionIdle. The
// zero value is ready, and safe for concurrent use.
type sessions struct {
	mu  sync.Mutex
	all map[[sha256.Size]byte]*session
}

type session struct {
	token tokenHash
	used  time.Time
}

// open opens a session and returns the value of its cookie.
func (s *sessions) open(token tokenHash, now time.Time) string {
	secret := rand.Text() + rand.Text() // 260 bit
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[[sha256.Size]byte]*session{}
	}
	if len(s.all) >= maxSessions {
		s.evictOldest()
	}
	s.all[sha256.Sum256([]byte(secret))] = &session{token, now}
	return secret
}

// evictOldest drops the session that was idle for longest. s.mu is held.
func (s *sessions) evictOldest() {
	var idle *session
	var key [sha256.Size]byte
	for k, one := range s.all {
		if idle == nil || one.used.Before(idle.used) {
			idle, key = one, k
		}
	}
	delete(s.all, key)
}

// use returns the token of a live session, and notes that it was used.
func (s *sessions) use(secret string, now time.Time) (tokenHash, bool) {
	key := sha256.Sum256([]byte(secret))
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.all[key]
	if one == nil {
		return tokenHash{}, false
	}
	if now.Sub(one.used) > sessionIdle {
		delete(s.all, key)
		return tokenHash{}, false
	}
	one.used = now
	return one.token, true
}

func (s *sessions) close(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, sha256.Sum256([]byte(secret)))
}

func (a *API) login(ctx echo.Context) error {
	var l api.Login
	if err := readEdit(ctx, &l); err != nil {
		return err
	}
	tokens := a.cfg.Tokens()
	if len(tokens) == 0 {
		return ctx.NoContent(http.StatusNoContent) // no token is needed
	}
	t, err := a.check(ctx.Request(), tokens, l.Token)
	if err != nil {
		return err
	}
	if !t.Role.May(api.RoleView) {
		return problem(http.StatusForbidden, fmt.Sprintf("the token %q has the role %s, which may not see pages; log in with one of the role %s or %s", t.Name, t.Role, api.RoleView, api.RoleOperate))
	}
	ctx.SetCookie(cookie(ctx, a.sessions.open(t.Hash, a.cfg.Now()), 0))
	return ctx.NoContent(http.StatusNoContent)
}

func (a *API) logout(ctx echo.Context) error {
	if c, err := ctx.Cookie(sessionCookie); err == nil {
		a.sessions.close(c.Value)
	}
	ctx.SetCookie(cookie(ctx, "", -1))
	return ctx.NoContent(http.StatusNoContent)
}

// cookie returns the session's cookie. A maxAge below 0 deletes it; 0 keeps it until the
// browser is closed.
func cookie(ctx echo.Context, value string, maxAge int) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // Secure goes by the scheme: on loopback there is no TLS
		Name: sessionCookie, Value: value, Path: "/", MaxAge: maxAge, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: ctx.Scheme() == "https", // here, or at a proxy in front that says so
	}
}

func (a *API) whoami(ctx echo.Context) error {
	return answer(ctx, caller(ctx), nil)
}
