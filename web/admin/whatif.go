package admin

import (
	"github.com/labstack/echo/v4"

	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// WhatIf forecasts what a change would do. Nothing is changed.
func (a *API) WhatIf(q api.WhatIfQuestion) (out api.WhatIfAnswer, err error) {
	prospect, err := a.cfg.Syncer.WhatIf(proposalOf(&q), a.cfg.Mix)
	if err != nil {
		return out, whatIfProblem(err)
	}
	return api.WhatIfAnswer(prospect), nil
}

func proposalOf(q *api.WhatIfQuestion) store.Proposal {
	return store.Proposal{Rows: q.Rows, Overflows: q.Overflows, Nodes: q.Nodes, LostNodes: q.LostNodes, LostSites: q.LostSites}
}

func (a *API) whatIf(ctx echo.Context) error {
	var q api.WhatIfQuestion
	if err := readRows(ctx, &q); err != nil {
		return err
	}
	out, err := a.WhatIf(q)
	return answer(ctx, out, err)
}
