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
	// sessionIdle is after how long without a request a browser must log in again:
	// more than a shift.
	sessionIdle = 12 * time.Hour
	// maxSessions bounds them; the one that was idle for longest goes first.
	maxSessions = 1000
)

// sessions are the browsers that have logged in at this director, by the hash of
// their cookie. Each lives by the token it was made with: without that, or after
// sessionIdle, it is void. The zero value is ready, and safe for concurrent use.
type sessions struct {
	mu  sync.Mutex
	all map[[sha256.Size]byte]*session
}

type session struct {
	token tokenHash
	used  time.Time
}

// open returns the cookie's value of a new session.
func (s *sessions) open(token tokenHash, now time.Time) string {
	secret := rand.Text() + rand.Text() // 260 bit
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[[sha256.Size]byte]*session{}
	}
	if len(s.all) >= maxSessions {
		s.forgetOne()
	}
	s.all[sha256.Sum256([]byte(secret))] = &session{token, now}
	return secret
}

// forgetOne makes room. s.mu is held.
func (s *sessions) forgetOne() {
	var idle *session
	var key [sha256.Size]byte
	for k, one := range s.all {
		if idle == nil || one.used.Before(idle.used) {
			idle, key = one, k
		}
	}
	delete(s.all, key)
}

// use returns the token of a session that lives, and notes that it was used.
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
		return ctx.NoContent(http.StatusNoContent) // everybody is in already
	}
	t, err := a.check(ctx.Request(), tokens, l.Token)
	if err != nil {
		return err
	}
	if !t.Role.May(api.RoleView) {
		return problem(http.StatusForbidden, fmt.Sprintf("the token %q has the role %s, which has nothing to look at; log in with one of the role %s or %s", t.Name, t.Role, api.RoleView, api.RoleOperate))
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

// cookie makes the session's; a maxAge below 0 deletes it, and 0 keeps it until the
// browser ends.
func cookie(ctx echo.Context, value string, maxAge int) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // Secure goes by the scheme: on loopback there is no TLS
		Name: sessionCookie, Value: value, Path: "/", MaxAge: maxAge, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: ctx.Scheme() == "https", // here, or at a proxy before it, which says so
	}
}

func (a *API) whoami(ctx echo.Context) error {
	return answer(ctx, asking(ctx), nil)
}
