package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/signpost-fm/signpost/cmd/signpost/config"
	"github.com/signpost-fm/signpost/geo/fetch"
)

type geoCmd struct {
	Update geoUpdateCmd `cmd:"" help:"Ask once for newer databases and geofeeds, by geo.update of a configuration file."`
}

type geoUpdateCmd struct {
	Config string `short:"c" env:"SIGNPOST_CONFIG" placeholder:"FILE" help:"The configuration file. Default: signpost.yaml, or /etc/signpost/signpost.yaml where there is none."`
}

// Run fetches what is newer. A running director takes it up by itself. It fails if one
// of the files could not be fetched.
func (c *geoUpdateCmd) Run(ctx context.Context, out *console) error {
	file := configToRead(c.Config, packaged)
	s, err := config.Read(file)
	if err != nil {
		return err
	}
	if len(s.GeoUpdate.Sources) == 0 {
		return fmt.Errorf("%s: geo.update.files names no file to keep fresh", file)
	}
	u := s.GeoUpdate
	u.Log = slog.New(slog.DiscardHandler)
	failed := 0
	for _, r := range fetch.New(u).Update(ctx) {
		fmt.Fprintln(out.out, r)
		if r.Err != nil {
			failed++
		}
	}
	if failed > 0 {
		return errors.New("not all files could be updated")
	}
	return nil
}
