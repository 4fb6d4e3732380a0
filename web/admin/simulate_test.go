package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// simulating is a director that plays whatever play says.
func simulating(t *testing.T, play func(context.Context, Simulation, func(float64)) (any, error)) string {
	t.Helper()
	r := fleetOf(t, director.Config{
		Nodes:   []director.Node{{ID: "fra1", URLs: []string{"http://fra1.example"}, Site: "fra", Target: 100}, {ID: "ams1", URLs: []string{"http://ams1.example"}}},
		Regions: []director.Region{{ID: "de", Match: director.Match{Default: true}, Row: []director.Weight{{Node: "fra1", Weight: 1, Given: true}}}},
	}, Config{Simulate: play})
	server := httptest.NewServer(r.h)
	t.Cleanup(server.Close)
	return server.URL + "/api/v1/whatif/simulation"
}

// begin asks for a simulation; the caller reads the answer, and leaves by cancel.
func begin(t *testing.T, url, question string) (*http.Response, context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(question))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer o")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp, cancel
}

// lastLine reads an answer to its end.
func lastLine(t *testing.T, lines *bufio.Scanner) (last api.SimulationLine) {
	t.Helper()
	for lines.Scan() {
		last = api.SimulationLine{}
		if err := json.Unmarshal(lines.Bytes(), &last); err != nil {
			t.Fatalf("%s: %v", lines.Bytes(), err)
		}
	}
	return last
}

// TestSimulation: what is proposed is played, with its progress, and the report comes last.
func TestSimulation(t *testing.T) {
	t.Parallel()
	got := make(chan Simulation, 1)
	told := make(chan struct{})
	url := simulating(t, func(_ context.Context, s Simulation, progress func(float64)) (any, error) {
		got <- s
		progress(0.5)
		<-told
		return map[string]any{"hash": "x"}, nil
	})
	resp, _ := begin(t, url, `{"rows":{"de":{"ams1":1}},"lost_sites":["fra"],"minutes":5,"lost_minutes":2}`)
	s := <-got
	if row := s.Then.Regions[0].Row; len(row) != 1 || row[0].Node != "ams1" || s.For != 5*time.Minute || s.LostFor != 2*time.Minute || len(s.LostSites) != 1 || len(s.Directors) != 1 || s.Now == nil {
		t.Errorf("%+v is played", s)
	}
	lines := bufio.NewScanner(resp.Body)
	for half := false; !half && lines.Scan(); { // the first may come before it is half played
		half = lines.Text() == `{"progress":0.5}`
		if !half && lines.Text() != `{"progress":0}` {
			t.Fatalf("a line is %s", lines.Text())
		}
	}
	close(told)
	if last := lastLine(t, lines); string(last.Report) != `{"hash":"x"}` || last.Progress != 1 || last.Error != "" {
		t.Errorf("the last line is %+v", last)
	}
}

// TestSimulationIsLeft: one is played at a time, and when its caller leaves, it ends and
// makes room for the next.
func TestSimulationIsLeft(t *testing.T) {
	t.Parallel()
	begun, ended := make(chan struct{}, 1), make(chan error, 1)
	url := simulating(t, func(ctx context.Context, s Simulation, _ func(float64)) (any, error) {
		if s.For == time.Minute {
			return nil, fmt.Errorf("of another kind")
		}
		begun <- struct{}{}
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	})
	_, leave := begin(t, url, "")
	<-begun
	busy, _ := begin(t, url, "")
	text, _ := io.ReadAll(busy.Body)
	if busy.StatusCode != http.StatusConflict || !strings.Contains(string(text), "this director plays one simulation at a time, and plays one of ops since ") {
		t.Errorf("a second one is answered %d: %s", busy.StatusCode, text)
	}
	leave()
	if err := <-ended; err != context.Canceled { //nolint:errorlint // it is ctx's own
		t.Errorf("it ended with %v", err)
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		resp, _ := begin(t, url, `{"minutes":1}`)
		if resp.StatusCode == http.StatusConflict && time.Now().Before(end) {
			continue // the one before is just leaving
		}
		if last := lastLine(t, bufio.NewScanner(resp.Body)); resp.StatusCode != http.StatusOK || last.Error != "of another kind" {
			t.Errorf("the next one is answered %d, %+v", resp.StatusCode, last)
		}
		return
	}
}

// TestSimulationFails: a fault in it is its own.
func TestSimulationFails(t *testing.T) {
	t.Parallel()
	url := simulating(t, func(context.Context, Simulation, func(float64)) (any, error) { panic("out of cheese") })
	for range 2 {
		resp, _ := begin(t, url, "")
		if last := lastLine(t, bufio.NewScanner(resp.Body)); last.Error != "the simulation failed; the director's log says why" {
			t.Errorf("%d, %+v", resp.StatusCode, last)
		}
		resp.Body.Close()
	}
}

// TestSimulationEnds: a director that stops waits for none, and begins none.
func TestSimulationEnds(t *testing.T) {
	t.Parallel()
	var s stage
	ctx, leave, err := s.enter(t.Context(), "anna", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s.close()
	<-ctx.Done()
	leave()
	if _, _, err := s.enter(t.Context(), "anna", time.Now()); err == nil || !strings.Contains(err.Error(), "the director stops") {
		t.Errorf("%v", err)
	}
}
