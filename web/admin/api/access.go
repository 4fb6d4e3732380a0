package api

import (
	"slices"
	"time"
)

// A Role says what a token may do.
type Role string

// The roles.
const (
	RoleAgent   Role = "agent"   // register, drain and deregister the agent's own node
	RoleView    Role = "view"    // read everything
	RoleOperate Role = "operate" // everything
)

// May says whether r may do what needs one of roles. Operators may do everything.
func (r Role) May(roles ...Role) bool {
	return r == RoleOperate || slices.Contains(roles, r)
}

// Login is the body of POST /api/v1/session.
type Login struct {
	Token string `json:"token"`
}

// Identity is the caller.
type Identity struct {
	Name    string `json:"name"` // of the token; "local" where no token is set
	Role    Role   `json:"role"`
	Session bool   `json:"session"` // known by a browser's cookie
}

// Problem is an error as RFC 9457 has it, "application/problem+json".
type Problem struct {
	Title  string `json:"title"` // of the status
	Status int    `json:"status"`
	Detail string `json:"detail"` // what is wrong, and the remedy

	HeldBy *Holder `json:"held_by,omitempty"` // with 409: until when somebody has the id

	// With a stale edit: the current entry, as its GET gives it, and who made it when.
	Now any       `json:"now,omitempty"`
	By  string    `json:"by,omitempty"`
	At  time.Time `json:"at,omitzero"`

	RetryAfter time.Duration `json:"-"` // of that header; 0: none
}

// Error returns the detail.
func (p *Problem) Error() string { return p.Detail }
