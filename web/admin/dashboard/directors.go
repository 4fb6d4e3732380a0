package dashboard

import (
	"net/http"
	"time"

	"github.com/signpost-fm/signpost/web/admin/api"
)

// directorsPage is who answers listeners, and what this director works with.
type directorsPage struct {
	api.StatusAnswer
	Now time.Time
}

func (d *dashboard) directors(*http.Request) (any, error) {
	st, err := d.api.Status()
	return directorsPage{st, time.Now()}, err
}

// Age returns milliseconds in words.
func (p directorsPage) Age(ms int64) string {
	if ms < 10_000 {
		return rate(float64(ms)/1000) + " s"
	}
	return ago(p.Now.Add(-time.Duration(ms)*time.Millisecond), p.Now)
}

// Ending returns the level of a certificate by its end.
func (p directorsPage) Ending(c api.Certificate) string {
	switch left := c.Ends.Sub(p.Now); {
	case left <= 0 || c.Problem != "":
		return "bad"
	case left <= api.CertificateWarning:
		return "warn"
	}
	return ""
}

// Days returns how old something is, in days.
func (p directorsPage) Days(t time.Time) int { return int(p.Now.Sub(t).Hours() / 24) }
