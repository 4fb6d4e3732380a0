package geo

import (
	"bufio"
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"

	"github.com/signpost-fm/signpost/director"
)

//go:generate go run ./gen countries
//go:generate go run ./gen database

// defaultDatabase is written by geo/gen: a line of JSON with a Source, followed by the runs
// of addresses of each country. It loads several times as fast as a search tree, which
// matters at every start.
//
//go:embed default.gz
var defaultDatabase []byte

// Embedded describes the database that is used when none is configured. Its
// description names the sources, their licences and the credits that these demand.
func Embedded() Source {
	_, s, err := openEmbedded()
	if err != nil {
		panic(err) // the build is broken; a test opens the file
	}
	return s
}

// Attribution is what pages made with the embedded database have to show, and
// AttributionLink what it has to link to (CC BY 4.0).
const (
	Attribution     = "IP geolocation by DB-IP"
	AttributionLink = "https://db-ip.com"
)

// openEmbedded returns the description of the embedded database, and a reader of what
// follows it.
func openEmbedded() (*bufio.Reader, Source, error) {
	s := Source{Embedded: true}
	packed, err := gzip.NewReader(bytes.NewReader(defaultDatabase))
	if err != nil {
		return nil, s, fmt.Errorf("embedded geo database: %w", err)
	}
	r := bufio.NewReaderSize(packed, 1<<16)
	line, err := r.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &s)
	}
	if err != nil {
		return nil, s, fmt.Errorf("embedded geo database: %w", err)
	}
	s.Embedded = true
	return r, s, nil
}

// readEmbedded builds an index from what openEmbedded returns.
func readEmbedded(r *bufio.Reader) (*index, error) {
	n, err := r.ReadByte()
	if err != nil {
		return nil, err
	}
	places := []director.Place{{}}
	for range n {
		var code director.Code
		if _, err := io.ReadFull(r, code[:]); err != nil {
			return nil, err
		}
		places = append(places, Complete(director.Place{Country: code}))
	}
	v4, err4 := readRuns[uint32](r)
	v6, err6 := readRuns[uint64](r)
	if err := errors.Join(err4, err6); err != nil {
		return nil, err
	}
	c := compiler{v4: v4, v6: v6, places: places}
	return c.index(), nil
}

// readRuns reads the runs of one address family.
func readRuns[S uint32 | uint64](r *bufio.Reader) (runs[S], error) {
	size, err := binary.ReadUvarint(r)
	if err != nil {
		return runs[S]{}, err
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(r, data); err != nil {
		return runs[S]{}, err
	}
	var out runs[S]
	start := S(0)
	for len(data) > 0 {
		n, size := binary.Uvarint(data)
		if size <= 0 || size == len(data) {
			return runs[S]{}, io.ErrUnexpectedEOF
		}
		out.set(start, uint32(data[size]))
		start, data = start+S(n), data[size+1:]
	}
	if start != 0 { // the rest of the space
		out.set(start, 0)
	}
	return out, nil
}

// describe fills in s from the database's metadata.
func describe(r *maxminddb.Reader, s Source) Source {
	s.Type, s.Built, s.Description = r.Metadata.DatabaseType, r.Metadata.BuildTime().UTC(), r.Metadata.Description["en"]
	return s
}

// embedded returns the layer of the embedded database.
func (l *Locator) embedded() (layer, error) {
	begun := time.Now()
	r, source, err := openEmbedded()
	if err != nil {
		return layer{}, err
	}
	ix, err := readEmbedded(r)
	if err != nil {
		return layer{}, fmt.Errorf("embedded geo database: %w", err)
	}
	l.log.Info("geography comes from the embedded database: countries only, as old as this program; "+
		"configure a City and an ASN database for more",
		"source", source.Description, "built", source.Built.Format(time.DateOnly), "took", time.Since(begun).Round(time.Millisecond))
	return layer{index: ix, source: source}, nil
}
