package origin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/signpost-fm/signpost/web/hls"
)

// newClient returns a client without the environment's proxies, which follows a few
// redirects: a playlist may be at a CDN.
func newClient() *http.Client {
	return &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: timeout}).DialContext,
			MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true,
			MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(_ *http.Request, via []*http.Request) error {
			if len(via) > 3 {
				return errors.New("more than three redirects")
			}
			return nil
		},
	}
}

// read asks a node for its playlist, and returns when to ask again.
func (r *Reader) read(ctx context.Context, d *reading) (after time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	text, final, err := r.get(ctx, d)
	switch {
	case err != nil && errors.Is(ctx.Err(), context.Canceled):
		return r.retry // this director stops
	case err != nil:
		return r.refuse(d, err)
	case d.state.text != nil && (text == nil || bytes.Equal(text, d.state.text)):
		return r.confirm(d)
	}
	return r.use(d, text, final)
}

// get returns the playlist, nil if it is the same as before, and the URL where it was.
func (r *Reader) get(ctx context.Context, d *reading) (text []byte, final string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.from, nil)
	if err != nil {
		return nil, "", err
	}
	if r.cfg.Agent != "" {
		req.Header.Set("User-Agent", r.cfg.Agent)
	}
	if d.state.etag != "" {
		req.Header.Set("If-None-Match", d.state.etag)
	}
	if d.state.since != "" {
		req.Header.Set("If-Modified-Since", d.state.since)
	}
	resp, err := r.cfg.Client.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotModified && d.state.text != nil:
		return nil, "", nil
	case resp.StatusCode != http.StatusOK:
		return nil, "", fmt.Errorf("GET %s: %s", d.from, resp.Status)
	}
	text, err = io.ReadAll(io.LimitReader(resp.Body, hls.MaxText+1))
	if err != nil {
		return nil, "", fmt.Errorf("GET %s: %w", d.from, err)
	}
	if len(text) > hls.MaxText {
		return nil, "", fmt.Errorf("GET %s: more than %d MiB: is it a playlist at all?", d.from, hls.MaxText>>20)
	}
	d.state.etag, d.state.since = resp.Header.Get("Etag"), resp.Header.Get("Last-Modified")
	return text, resp.Request.URL.String(), nil
}

// parse reads a text, once for each scheme in which listeners reach the node. final is the
// URL where it was found.
func (p *place) parse(text []byte, final string) (lists [2]*Playlist, err error) {
	trimmed := bytes.TrimLeft(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")), " \t\r\n")
	for i, public := range p.at {
		if public == "" {
			continue
		}
		if final != p.from { // it redirected: listeners find the rest there
			public = final
		}
		at, err := url.Parse(public)
		if err != nil {
			return lists, err
		}
		l := &Playlist{}
		switch {
		case bytes.HasPrefix(trimmed, []byte("#EXTM3U")) && !hls.IsMultivariant(text):
			l.Kind = Media
			_, err = hls.ParseMedia(text, at)
		case bytes.HasPrefix(trimmed, []byte("#EXTM3U")):
			l.Kind = Multivariant
			l.Multivariant, err = hls.ParseMultivariant(text, at)
		case bytes.HasPrefix(trimmed, []byte("<?xml")), bytes.HasPrefix(trimmed, []byte("<MPD")):
			l.Kind = MPD
			l.MPD, err = hls.ParseMPD(text, at)
		default:
			err = errKind(trimmed)
		}
		if err != nil {
			return [2]*Playlist{}, err
		}
		lists[i] = l
	}
	return lists, nil
}
