package geo

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"sync"

	"github.com/signpost-fm/signpost/director"
)

//go:generate go run ./gen borders

// bordersFile is written by geo/gen from Natural Earth's borders (public domain). It
// holds the codes of countries and, for each row of cells from the south, runs of cells
// from the west: how many cells, and the country's number from 1, or 0 for the sea.
//
//go:embed borders.gz
var bordersFile []byte

const (
	cellsPerDegree = 20
	cellRows       = 180 * cellsPerDegree
	cellColumns    = 360 * cellsPerDegree
)

// bordersTable is the unpacked file, with the offset at which each row begins.
type bordersTable struct {
	codes []director.Code // by number less 1
	runs  []byte
	rows  [cellRows]uint32
}

// loadBorders unpacks the file once, at the first lookup.
var loadBorders = sync.OnceValue(func() *bordersTable {
	t, err := openBorders()
	if err != nil {
		panic(err) // the build is broken; a test opens the file
	}
	return t
})

func openBorders() (*bordersTable, error) {
	r, err := gzip.NewReader(bytes.NewReader(bordersFile))
	if err != nil {
		return nil, fmt.Errorf("embedded borders: %w", err)
	}
	raw, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("embedded borders: %w", err)
	}
	t := new(bordersTable)
	n, size := binary.Uvarint(raw)
	raw = raw[size:]
	for range n {
		t.codes = append(t.codes, director.Code(raw[:2]))
		raw = raw[2:]
	}
	t.runs = raw
	at := 0
	for row := range t.rows {
		t.rows[row] = uint32(at)
		for column := 0; column < cellColumns; {
			cells, size := binary.Uvarint(raw[at:])
			column += int(cells)
			at += size + 1
		}
	}
	return t, nil
}

// CountryAt returns the country at a point, in degrees, or the zero Code at sea
// and for invalid coordinates. Its resolution is a twentieth of a degree (at most
// 5.6 km), and a country reaches some 20 km into the sea: it is good enough for cities,
// not for houses on a border.
func CountryAt(lat, lon float32) director.Code {
	if !(lat >= -90 && lat <= 90 && lon >= -180 && lon <= 180) {
		return director.Code{}
	}
	t := loadBorders()
	row := min(int(math.Floor((float64(lat)+90)*cellsPerDegree)), cellRows-1)
	column := min(int(math.Floor((float64(lon)+180)*cellsPerDegree)), cellColumns-1)
	for run := t.runs[t.rows[row]:]; ; {
		cells, size := binary.Uvarint(run)
		if column -= int(cells); column < 0 {
			if run[size] == 0 {
				return director.Code{}
			}
			return t.codes[run[size]-1]
		}
		run = run[size+1:]
	}
}
