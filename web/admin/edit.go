package admin

import (
	"net/http"
	"time"

	"github.com/signpost-fm/signpost/web/admin/api"
)

const (
	maxNote = 4000                      // bytes of a note
	maxFor  = 10 * 365 * 24 * time.Hour // nobody plans further
)

// untilOf checks an edit made at now, and returns when it expires; zero: never.
func untilOf(e *api.Edit, now time.Time) (time.Time, error) {
	c := checker{}
	c.text("why", e.Why, api.MaxText)
	until := e.Until
	switch {
	case e.For != "" && !e.Until.IsZero():
		c.fail("for", "give until or for, not both")
	case e.For != "":
		d, err := time.ParseDuration(e.For)
		if err != nil || d <= 0 || d > maxFor {
			c.fail("for", "%.40q is no duration; write it as 2h or 90m", e.For)
		}
		until = now.Add(d).Truncate(time.Millisecond)
	case !until.IsZero() && (!until.After(now) || until.Sub(now) > maxFor):
		c.fail("until", "%s is past, or too far away; it is now %s", until.Format(time.RFC3339), now.Format(time.RFC3339))
	}
	if err := c.err(); err != nil {
		return until, problem(http.StatusUnprocessableEntity, err.Error())
	}
	return until.UTC(), nil
}
