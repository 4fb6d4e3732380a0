package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A steering is an answer of a steering server.
type steering struct {
	Version  int      `json:"VERSION"`
	TTL      int      `json:"TTL"`
	Reload   string   `json:"RELOAD-URI"`
	Priority []string `json:"PATHWAY-PRIORITY"`
}

// A scriptedSession does what a player does that obeys at once, without sound.
type scriptedSession struct {
	pathway, url string
	last         steering
	next         time.Time // to ask
	moves        []time.Time
}

var contentSteering = regexp.MustCompile(`#EXT-X-CONTENT-STEERING:.*SERVER-URI="([^"]+)".*`)

var firstPathway = regexp.MustCompile(`PATHWAY-ID="([^"]+)"`)

// ask loads the playlist, or asks the steering server.
func (s *scriptedSession) ask(ctx context.Context, client *http.Client, playlist, address string) error {
	get := func(url string) (string, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return "", err
		}
		r.Header.Set("X-Forwarded-For", address)
		r.Header.Set("User-Agent", "scripted")
		resp, err := client.Do(r)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("GET %s: %s: %.200s", url, resp.Status, text)
		}
		return string(text), err
	}
	if s.url == "" {
		text, err := get(playlist)
		if err != nil {
			return err
		}
		tag := contentSteering.FindStringSubmatch(text)
		if tag == nil {
			return fmt.Errorf("%s: no steering: %.500s", playlist, text)
		}
		s.url, s.pathway = tag[1], firstPathway.FindStringSubmatch(tag[0])[1]
	}
	joint := "?"
	if strings.Contains(s.url, "?") {
		joint = "&"
	}
	text, err := get(fmt.Sprintf("%s%s_HLS_pathway=%s&_HLS_throughput=1000000", s.url, joint, s.pathway))
	if err != nil {
		return err
	}
	s.last = steering{}
	if err := json.Unmarshal([]byte(text), &s.last); err != nil || s.last.TTL < 5 || !strings.HasPrefix(s.last.Reload, "http") || len(s.last.Priority) == 0 {
		return fmt.Errorf("steering answer %q: %v", text, err)
	}
	s.url, s.next = s.last.Reload, time.Now().Add(time.Duration(s.last.TTL)*time.Second)
	if to := s.last.Priority[0]; to != s.pathway {
		s.pathway, s.moves = to, append(s.moves, time.Now())
	}
	return nil
}

// An hlsAudience is scripted sessions that come back when they are told to.
type hlsAudience struct {
	t        *testing.T
	playlist string
	client   *http.Client

	mu       sync.Mutex
	sessions []*scriptedSession
	asked    atomic.Int64
}

// attend lets n sessions begin, within a TTL, and come back until the test ends.
func attend(t *testing.T, playlist string, n int) *hlsAudience {
	a := &hlsAudience{t: t, playlist: playlist, client: &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 500}}}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	t.Cleanup(func() { cancel(); wg.Wait(); a.client.CloseIdleConnections() })
	for i := range n {
		s := &scriptedSession{next: time.Now().Add(rand.N(defaultTTL))}
		a.sessions = append(a.sessions, s)
		wg.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-time.After(time.Until(s.next)):
				}
				one := *s
				err := one.ask(ctx, a.client, playlist, fmt.Sprintf("203.%d.%d.7", i/250, i%250))
				if ctx.Err() != nil {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				a.mu.Lock()
				*s = one
				a.mu.Unlock()
				a.asked.Add(1)
			}
		})
	}
	return a
}

// pathways returns where each session plays.
func (a *hlsAudience) pathways() (all []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.sessions {
		all = append(all, s.pathway)
	}
	return all
}

// shares returns the part of the sessions that is at each node.
func (a *hlsAudience) shares() map[string]float64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := map[string]float64{}
	for _, s := range a.sessions {
		n[s.pathway] += 1 / float64(len(a.sessions))
	}
	return n
}

// moves returns how many sessions have moved, and the shortest time between two moves of one.
func (a *hlsAudience) moves() (moved int, shortest time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	shortest = math.MaxInt64
	for _, s := range a.sessions {
		moved += len(s.moves)
		for i := 1; i < len(s.moves); i++ {
			shortest = min(shortest, s.moves[i].Sub(s.moves[i-1]))
		}
	}
	return moved, shortest
}
