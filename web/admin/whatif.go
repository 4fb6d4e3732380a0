package admin

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// WhatIf forecasts what a change would do. Nothing is changed.
func (a *API) WhatIf(q api.WhatIfQuestion) (out api.WhatIfAnswer, err error) {
	p := store.Proposal{Rows: q.Rows, Overflows: q.Overflows, Nodes: q.Nodes, LostNodes: q.LostNodes, LostSites: q.LostSites}
	prospect, err := a.cfg.Syncer.WhatIf(p, a.cfg.Mix)
	switch {
	case errors.Is(err, store.ErrNoSnapshot):
		return out, problem(http.StatusServiceUnavailable, starting)
	case err != nil:
		return out, problem(http.StatusUnprocessableEntity, oneLine(err))
	}
	return api.WhatIfAnswer(prospect), nil
}

func (a *API) whatIf(ctx echo.Context) error {
	var q api.WhatIfQuestion
	if err := readRows(ctx, &q); err != nil {
		return err
	}
	out, err := a.WhatIf(q)
	return answer(ctx, out, err)
}
