package admin

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/signpost-fm/signpost/director/wording"
	"github.com/signpost-fm/signpost/web/admin/api"
	"github.com/signpost-fm/signpost/web/strictjson"
)

const (
	// maxBody bounds bodies of agents (2,000 mounts take some 600 KB) and those with
	// rows of weights (30 regions with 200 nodes each take some 100 KB).
	maxBody = 1 << 20
	// maxEdit bounds any other edit: a rule with a reason takes some 10 KB.
	maxEdit = 64 << 10
)

// read reads an agent's body; an empty one leaves v as it is. It ignores unknown
// fields, for agents may be newer than directors.
func read(ctx echo.Context, v any) error { return readJSON(ctx, v, maxBody, false) }

// readEdit reads an operator's body. It refuses unknown fields: without a mistyped
// one, the edit might mean something else.
func readEdit(ctx echo.Context, v any) error { return readJSON(ctx, v, maxEdit, true) }

// readRows reads an operator's body with rows of weights.
func readRows(ctx echo.Context, v any) error { return readJSON(ctx, v, maxBody, true) }

// readJSON reads a body as strictly as the configuration file is read: a key that
// occurs twice is as little taken as one in another case.
func readJSON(ctx echo.Context, v any, most int64, known bool) error {
	b, err := io.ReadAll(http.MaxBytesReader(ctx.Response(), ctx.Request().Body, most))
	if err == nil && len(bytes.TrimSpace(b)) == 0 {
		return nil
	}
	if err == nil {
		err = strictjson.Unmarshal(b, v, known)
	}
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return problem(http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d KB", most>>10))
	case err != nil:
		return problem(http.StatusBadRequest, "the body is not the JSON that is expected here: "+api.Clip(wording.Text(err)))
	}
	return nil
}
