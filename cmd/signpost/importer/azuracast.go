package importer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/signpost-fm/signpost/cmd/signpost/azuracast"
)

// AzuraCast asks an AzuraCast for its stations, and with a key for what is not public
// too. stations are the short codes of those that are wanted; none: all.
func AzuraCast(ctx context.Context, c *azuracast.Client, stations []string) (Found, error) {
	public, err := c.Stations(ctx)
	if err != nil {
		return Found{}, err
	}
	var private []azuracast.Relayed
	if c.Key != "" {
		if private, err = c.Relayed(ctx); err != nil {
			return Found{}, err
		}
	}
	a := azura{from: c.URL, only: stations}
	for _, s := range public {
		a.station(s.Station.ID, s.Station.Name, s.Station.ShortCode, s.Station.Frontend).take(s.Station.Mounts, s.Station.Remotes, s.Station.HLS)
	}
	for _, s := range private {
		a.station(s.ID, s.Name, s.ShortCode, s.Type).take(s.Mounts, nil, "")
	}
	return a.found()
}

// azura collects what an AzuraCast tells.
type azura struct {
	from     string
	only     []string
	stations []*azuraStation
}

type azuraStation struct {
	id         int
	name, code string
	frontend   string                // what serves its own mounts
	mounts     []azuracast.MountInfo // its own, then those at relays
	hls        string
}

func (a *azura) station(id int, name, code, frontend string) *azuraStation {
	i := slices.IndexFunc(a.stations, func(s *azuraStation) bool { return s.id == id })
	if i < 0 {
		i = len(a.stations)
		a.stations = append(a.stations, &azuraStation{id: id, name: name, code: code, frontend: frontend})
	}
	return a.stations[i]
}

func (s *azuraStation) take(mounts, remotes []azuracast.MountInfo, hls string) {
	for _, m := range slices.Concat(mounts, remotes) {
		if !slices.ContainsFunc(s.mounts, func(have azuracast.MountInfo) bool { return have.URL == m.URL }) {
			s.mounts = append(s.mounts, m)
		}
	}
	s.hls = cmp.Or(s.hls, hls)
}

// listen is the path below which AzuraCast's web server serves a station's streams.
func (s *azuraStation) listen() string { return "/listen/" + s.code }

// found makes servers of it. A station's streams are served by an Icecast of its own, which
// is told of its listeners below the same path. Where one host serves several stations so,
// it is one node of kind http, whose streams are asked for one by one: as several nodes
// each would lack the others' mounts.
func (a *azura) found() (Found, error) {
	if err := a.choose(); err != nil {
		return Found{}, err
	}
	var out Found
	single := len(a.stations) == 1
	for _, s := range a.stations {
		if len(s.mounts) == 0 {
			out.Notes = append(out.Notes, Note{At: a.from, Text: fmt.Sprintf("the station %s, which shows no mount", cmp.Or(s.code, s.name))})
		}
		for _, m := range s.mounts {
			if server, ok := a.server(s, m, single); ok {
				out.Servers = append(out.Servers, server)
			} else {
				out.Notes = append(out.Notes, Note{At: a.from, Text: fmt.Sprintf("%s of %s: %q is no URL of a stream", m.Name, s.code, m.URL)})
			}
		}
		if s.hls != "" {
			out.Notes = append(out.Notes, Note{At: a.from, Text: fmt.Sprintf("HLS of %s (%s), whose listeners AzuraCast counts by itself", s.code, s.hls)})
		}
	}
	if len(out.Servers) == 0 {
		return Found{}, fmt.Errorf("%s: no station shows a mount; with an API key in a file (--azuracast-key) those are read that are not public", a.from)
	}
	return out, nil
}

// choose leaves the stations that are wanted.
func (a *azura) choose() error {
	var codes []string
	for _, s := range a.stations {
		codes = append(codes, s.code)
	}
	if len(codes) == 0 {
		return fmt.Errorf("%s: it has no station that is public; with an API key in a file (--azuracast-key) others are read too", a.from)
	}
	var errs []error
	for _, o := range a.only {
		if !slices.Contains(codes, o) {
			errs = append(errs, fmt.Errorf("%s: there is no station %q; there are %s", a.from, o, strings.Join(codes, ", ")))
		}
	}
	a.stations = slices.DeleteFunc(a.stations, func(s *azuraStation) bool { return len(a.only) > 0 && !slices.Contains(a.only, s.code) })
	return errors.Join(errs...)
}

// server returns the server of one URL of a station's, with that mount.
func (a *azura) server(s *azuraStation, m azuracast.MountInfo, single bool) (Server, bool) {
	u, err := url.Parse(m.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || strings.Trim(u.Path, "/") == "" {
		return Server{}, false
	}
	base := &url.URL{Scheme: u.Scheme, Host: strings.ToLower(u.Host)}
	out := Server{From: a.from}
	mount := Mount{Path: u.Path, Name: u.Path, Title: s.name, Type: mediaTypes[strings.ToLower(m.Format)], Kbit: m.Kbit}
	rest, below := strings.CutPrefix(u.Path, s.listen()+"/")
	switch {
	case below && single:
		// Its relays are sent listeners at this path too, so the director has it.
		base.Path, mount.Path = s.listen(), "/"+rest
		mount.Aliases = []string{mount.Path}
	case below:
		out.Kind = "http"
	case !single:
		mount.Name = "/" + s.code + u.Path
	}
	if own := m.Path != ""; own && out.Kind == "" && strings.HasPrefix(s.frontend, "shoutcast") { // a relay may be another server
		out.Kind = "shoutcast"
	}
	out.URLs, out.Mounts = []string{base.String()}, []Mount{mount}
	return out, true
}

var mediaTypes = map[string]string{"mp3": "audio/mpeg", "aac": "audio/aac", "ogg": "audio/ogg", "opus": "audio/ogg", "flac": "audio/ogg"}
