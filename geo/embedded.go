package geo

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"fmt"
	"io"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"
)

//go:generate go run ./gen countries
//go:generate go run ./gen database

// defaultDatabase is written by geo/gen: countries only, in the layout of
// GeoLite2-Country. Packed it is half as large, and unpacking takes some 50 ms.
//
//go:embed default.mmdb.gz
var defaultDatabase []byte

// Embedded describes the database that is used when none is given. Its
// description names source, date and licence.
func Embedded() Source {
	r, err := openEmbedded()
	if err != nil {
		panic(err) // the build is broken; a test opens it
	}
	defer r.Close()
	return describe(r, Source{Embedded: true})
}

func openEmbedded() (*maxminddb.Reader, error) {
	r, err := gzip.NewReader(bytes.NewReader(defaultDatabase))
	if err != nil {
		return nil, fmt.Errorf("embedded geo database: %w", err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("embedded geo database: %w", err)
	}
	return openDatabase(data)
}

// describe completes s by what the database says of itself.
func describe(r *maxminddb.Reader, s Source) Source {
	s.Type, s.Built, s.Description = r.Metadata.DatabaseType, r.Metadata.BuildTime().UTC(), r.Metadata.Description["en"]
	return s
}

func (l *Locator) useEmbedded() error {
	begun := time.Now()
	r, err := openEmbedded()
	if err != nil {
		return err
	}
	defer r.Close()
	ix, err := compile(r)
	if err != nil {
		return fmt.Errorf("embedded geo database: %w", err)
	}
	source := describe(r, Source{Embedded: true})
	l.current.Store(&set{indexes: []*index{ix}, sources: []Source{source}})
	l.log.Info("geography comes from the embedded database: countries only, as old as this program; "+
		"configure a City and an ASN database for more",
		"source", source.Description, "built", source.Built.Format(time.DateOnly), "took", time.Since(begun).Round(time.Millisecond))
	return nil
}
