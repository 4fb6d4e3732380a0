package dashboard_test

import (
	"cmp"
	"strings"
	"testing"

	"github.com/signpost-fm/signpost/web/admin/dashboard/browsertest"
)

func TestLook(t *testing.T) {
	t.Parallel()
	r := operated(t, nil)
	b := browsertest.Start(t)
	for name, look := range browsertest.Looks {
		b.As(look)
		for _, page := range []string{"", "weights", "clients", "mounts", "history", "explain?addr=91.0.0.1&mount=/live.mp3&ua=VLC/3.0.18", "login"} {
			b.Go(r.URL + "/" + page)
			page, _, _ = strings.Cut(cmp.Or(page, "fleet"), "?")
			b.Screenshot(page + "-" + name)
		}
	}
	t.Log(b.Faults())
}
