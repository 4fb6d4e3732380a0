// Package azuracast speaks with an AzuraCast: what its stations play, and the interface by
// which its relays tell it of themselves.
//
// The requests and answers are those of AzuraCast's own API (/api/nowplaying, described at
// https://www.azuracast.com/docs/developers/apis/) and of the interface that AzuraRelay
// uses (/api/internal/relays), read from the public source of both.
package azuracast

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/signpost-fm/signpost/director/wording"
)

const (
	maxAnswer = 4 << 20 // bytes; 200 stations with ten mounts each are about 1.5 MB
	timeout   = 10 * time.Second
)

// Client asks one AzuraCast. It may be used concurrently.
type Client struct {
	URL  string       // of the AzuraCast: "https://radio.example"
	Key  string       // an API key; empty: what is public
	HTTP *http.Client // nil: one with a time limit of 10 s
}

// A Station is one of /api/nowplaying.
type Station struct {
	Station struct {
		ID        int         `json:"id"`
		Name      string      `json:"name"`
		ShortCode string      `json:"shortcode"` // in paths: /listen/SHORTCODE
		Frontend  string      `json:"frontend"`  // what serves its mounts: "icecast", "shoutcast2", "rsas"; "remote": nothing of its own
		Mounts    []MountInfo `json:"mounts"`
		Remotes   []MountInfo `json:"remotes"` // at relays and other servers
		HLS       string      `json:"hls_url"`
	} `json:"station"`
}

// MountInfo is a mount of a station, or a remote one, which has no Path.
type MountInfo struct {
	Name    string `json:"name"` // for people
	URL     string `json:"url"`  // that listeners use
	Path    string `json:"path"` // at the station's own server: "/radio.mp3"
	Default bool   `json:"is_default"`
	Kbit    int    `json:"bitrate"` // 0: not known
	Format  string `json:"format"`  // "mp3", "ogg", "aac", "opus", "flac"
}

// Relayed is a station as a relay is told of it.
type Relayed struct {
	ID        int         `json:"id"`
	Name      string      `json:"name"`
	ShortCode string      `json:"shortcode"`
	Type      string      `json:"type"` // "icecast", "shoutcast2"
	Port      int         `json:"port"` // of its server; 0: not told
	Mounts    []MountInfo `json:"mounts"`
}

// Stations returns the stations that are public.
func (c *Client) Stations(ctx context.Context) (all []Station, err error) {
	return all, c.call(ctx, http.MethodGet, "/api/nowplaying", nil, &all)
}

// Relayed returns the stations that a relay with this key may relay. Without the right to
// any, an AzuraCast answers with none, which is an error here.
func (c *Client) Relayed(ctx context.Context) (all []Relayed, err error) {
	if err := c.call(ctx, http.MethodGet, relaysPath, nil, &all); err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("GET %s%s: the key may relay no station; give its user a role with %q for the stations, and see that these are enabled and have mounts", c.base(), relaysPath, "Manage Station Broadcasting")
	}
	return all, nil
}

const relaysPath = "/api/internal/relays"

func (c *Client) base() string { return strings.TrimRight(c.URL, "/") }

// A StatusError is an answer that is no success.
type StatusError struct {
	Status int
	text   string
}

// Error returns what was asked, the answer, and the remedy.
func (e *StatusError) Error() string { return e.text }

// call makes one request, and reads the answer into v, unless it is nil.
func (c *Client) call(ctx context.Context, method, path string, body, v any) error {
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		in = bytes.NewReader(b)
	}
	at := method + " " + c.base() + path
	req, err := http.NewRequestWithContext(ctx, method, c.base()+path, in)
	if err != nil {
		return fmt.Errorf("%s: %w; write the whole URL, such as https://radio.example", at, err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "Signpost")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.Key != "" {
		req.Header.Set("Authorization", "Bearer "+c.Key)
	}
	resp, err := c.client().Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // the URL is told already
		}
		return fmt.Errorf("%s: %s", at, wording.Text(err))
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return fmt.Errorf("%s: the answer breaks off: %s", at, wording.Text(err))
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return c.refused(at, resp, answer)
	case len(answer) > maxAnswer:
		return fmt.Errorf("%s: the answer is larger than %d MB; is it an AzuraCast?", at, maxAnswer>>20)
	case v == nil:
		return nil
	}
	if err := json.Unmarshal(answer, v); err != nil {
		return fmt.Errorf("%s: the answer is not an AzuraCast's: %s; give the URL under which its page opens", at, wording.Text(err))
	}
	return nil
}

// refused says why a request was refused, as far as the answer tells, and what helps.
func (c *Client) refused(at string, resp *http.Response, answer []byte) error {
	var said struct{ Message string }
	_ = json.Unmarshal(answer, &said) // another server's page says nothing
	text := cmp.Or(clip(said.Message), resp.Status)
	remedy := ""
	switch {
	case resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden:
		remedy = `; see that the file has an API key as AzuraCast showed it once (two parts with a colon between), and that its user may "Manage Station Broadcasting"`
		if c.Key == "" {
			remedy = "; give an API key in a file"
		}
	case resp.StatusCode == http.StatusNotFound:
		remedy = "; give the URL under which the AzuraCast's own page opens"
	case resp.StatusCode == http.StatusTooManyRequests:
		remedy = "; it limits how often it may be asked, so wait a minute"
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		text = fmt.Sprintf("%s to %s", resp.Status, clip(resp.Header.Get("Location")))
		remedy = "; give that URL instead, so that the key goes nowhere else"
	}
	return &StatusError{resp.StatusCode, fmt.Sprintf("%s: %d %s%s", at, resp.StatusCode, strings.TrimPrefix(text, fmt.Sprint(resp.StatusCode, " ")), remedy)}
}

// clip returns the first line of what another server says, as far as it fits into a message.
func clip(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	return s[:min(len(s), 200)]
}

// direct follows no redirect: the key is for one server.
var direct = &http.Client{
	Timeout:       timeout,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func (c *Client) client() *http.Client {
	if c.HTTP != nil {
		return c.HTTP
	}
	return direct
}
