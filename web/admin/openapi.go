package admin

import (
	_ "embed"
	"net/http"

	"github.com/labstack/echo/v4"
)

//go:generate go test -run=TestOpenAPIDocument -update .

// openapiDocument describes the API. It is made from the routes, the types and
// their comments, and held to what is really answered, by tests.
//
//go:embed openapi.json
var openapiDocument []byte

func (a *API) openapi(ctx echo.Context) error {
	return ctx.Blob(http.StatusOK, echo.MIMEApplicationJSON, openapiDocument)
}
