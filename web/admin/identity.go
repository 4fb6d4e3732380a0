package admin

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"
)

// Identity is who asks.
type Identity struct {
	Name    string `json:"name"` // of the token; "local" where no token is set
	Role    Role   `json:"role"`
	Session bool   `json:"session"` // by a browser's cookie, and not by a token
}

type identityKey struct{}

// IdentityOf returns who asks. It is known to what stands behind [API], such as
// the dashboard.
func IdentityOf(r *http.Request) (Identity, bool) {
	id, ok := r.Context().Value(identityKey{}).(Identity)
	return id, ok
}

func withIdentity(r *http.Request, id Identity) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), identityKey{}, id))
}

// May says whether somebody of this role may do what needs one of roles. An
// operator may do everything.
func (r Role) May(roles ...Role) bool {
	for _, needed := range roles {
		if r == needed {
			return true
		}
	}
	return r == RoleOperate
}

// asking is who asks; allow has let them in.
func asking(ctx echo.Context) Identity {
	id, _ := IdentityOf(ctx.Request())
	return id
}
