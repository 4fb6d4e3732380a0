package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/signpost-fm/signpost/web/admin/api"
)

const (
	// maxBody bounds what an agent may send: 2,000 mounts take some 600 KB. So it
	// does what carries rows: 30 regions' with 200 nodes each take some 100 KB.
	maxBody = 1 << 20
	// maxEdit bounds any other edit: a rule with a reason takes some 10 KB.
	maxEdit = 64 << 10
)

// read reads an agent's body; an empty one leaves v as it is. Fields that are not
// known are passed over, for agents may be newer than directors.
func read(ctx echo.Context, v any) error { return readJSON(ctx, v, maxBody, false) }

// readEdit reads an operator's body. A field that is not known is refused: it may
// be a mistyped one without which the edit means something else.
func readEdit(ctx echo.Context, v any) error { return readJSON(ctx, v, maxEdit, true) }

// readRows reads an operator's body that carries rows of weights.
func readRows(ctx echo.Context, v any) error { return readJSON(ctx, v, maxBody, true) }

func readJSON(ctx echo.Context, v any, most int64, strict bool) error {
	r := ctx.Request()
	d := json.NewDecoder(http.MaxBytesReader(ctx.Response(), r.Body, most))
	if strict {
		d.DisallowUnknownFields()
	}
	err := d.Decode(v)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.Join(more, errors.New("something follows the JSON"))
		}
	}
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return problem(http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than the %d KB that are taken here", most>>10))
	case err != nil:
		return problem(http.StatusBadRequest, "the body is not the JSON that belongs here: "+api.Clip(err.Error()))
	}
	return nil
}
