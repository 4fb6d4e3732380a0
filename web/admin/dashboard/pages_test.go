package dashboard_test

import (
	"io"
	"net/http"
	"testing"
)

// A page of 200 nodes and 30 regions is to be small enough for a bad line.
func TestLargePagesAreSmall(t *testing.T) {
	t.Parallel()
	config, reports := large(200, 30)
	r := play(t, config, reports)
	for _, path := range []string{"/", "/weights", "/clients", "/mounts", "/history", "/explain", "/directors", "/nodes/edge007", "/mounts/live.mp3"} {
		resp, err := http.Get(r.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %v\n%.500s", path, resp.StatusCode, err, body)
		}
		const most = 200_000
		if t.Logf("%-9s %7d bytes", path, len(body)); len(body) > most {
			t.Errorf("%s has %d bytes, more than %d", path, len(body), most)
		}
	}
}
