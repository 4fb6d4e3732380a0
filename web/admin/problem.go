package admin

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/signpost-fm/signpost/director/wording"
	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/web/admin/api"
)

func problem(status int, detail string) *api.Problem {
	return &api.Problem{Title: http.StatusText(status), Status: status, Detail: detail}
}

// statuses are the HTTP statuses of the store's errors.
var statuses = []struct {
	err    error
	status int
}{
	{store.ErrNotAdmitted, http.StatusForbidden},
	{store.ErrDeclared, http.StatusConflict},
	{store.ErrBadNode, http.StatusUnprocessableEntity},
	{store.ErrNotRegistered, http.StatusNotFound},
	{store.ErrTooMany, http.StatusServiceUnavailable},
	{store.ErrNoSuchChange, http.StatusNotFound},
	{store.ErrAway, http.StatusServiceUnavailable},
	{store.ErrClosed, http.StatusServiceUnavailable},
}

// problemOf makes a Problem of any error. A fault is one that nobody expected.
func problemOf(err error) (p *api.Problem, fault bool) {
	var held *store.HeldError
	var router *echo.HTTPError
	switch {
	case errors.As(err, &p):
		return p, false
	case errors.As(err, &held):
		p = problem(http.StatusConflict, err.Error())
		p.HeldBy = &api.Holder{Until: held.Until}
		return p, false
	case errors.As(err, &router) && router.Code < http.StatusInternalServerError:
		return problem(router.Code, "there is no such page, or it does not take this method"), false
	}
	for _, s := range statuses {
		if errors.Is(err, s.err) {
			return problem(s.status, wording.Text(err)), false
		}
	}
	return problem(http.StatusInternalServerError, "internal error; the log has more"), true
}

// refuse turns errors into answers, all of them.
func refuse(log *slog.Logger, err error, ctx echo.Context) {
	p, fault := problemOf(err)
	if fault && !gone(err, ctx) {
		log.Error("admin request failed", "err", err, "path", ctx.Request().URL.Path)
	}
	if !ctx.Response().Committed {
		h := ctx.Response().Header()
		h.Set("Content-Type", "application/problem+json")
		if p.Status == http.StatusUnauthorized {
			h.Set("WWW-Authenticate", `Bearer realm="signpost"`)
		}
		if p.RetryAfter > 0 {
			h.Set("Retry-After", strconv.Itoa(int(p.RetryAfter.Seconds())))
		}
		_ = ctx.JSON(p.Status, p) // the client may be gone
	}
}

// gone says that the client did not wait for the answer, which is nobody's fault.
func gone(err error, ctx echo.Context) bool {
	var broken *net.OpError
	return errors.As(err, &broken) || ctx.Request().Context().Err() != nil
}

// oneLine joins the lines of an error, and shortens it.
func oneLine(err error) string {
	const enough = 1000 // bytes
	text := strings.ReplaceAll(wording.Text(err), "\n", "; ")
	if len(text) > enough {
		text = strings.ToValidUTF8(text[:enough], "") + " ..."
	}
	return text
}
