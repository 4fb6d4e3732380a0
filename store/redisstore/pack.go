package redisstore

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"sync"
)

// packFrom is the size in bytes from which a change is compressed. Reports are similar
// to each other: level 1 compresses them to a tenth, at a tenth of the cost of reading
// JSON.
const packFrom = 512

// maxUnpacked bounds the bytes of a change after decompression: 30 times 1,000 reports.
const maxUnpacked = 16 << 20

var (
	packers   = sync.Pool{New: func() any { w, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed); return w }}
	unpackers = sync.Pool{New: func() any { return new(gzip.Reader) }}
)

// pack returns c in the form that it has in Redis: JSON, compressed with gzip if it is
// long.
func pack(c change) ([]byte, error) {
	text, err := json.Marshal(c)
	if err != nil || len(text) < packFrom {
		return text, err
	}
	var out bytes.Buffer
	w := packers.Get().(*gzip.Writer)
	defer packers.Put(w)
	w.Reset(&out)
	_, err = w.Write(text)
	if err == nil {
		err = w.Close()
	}
	return out.Bytes(), err
}

// unpack reads what pack wrote.
func unpack(packed string) (c change, err error) {
	text := []byte(packed)
	if len(text) > 0 && text[0] != '{' {
		r := unpackers.Get().(*gzip.Reader)
		defer unpackers.Put(r)
		if err := r.Reset(bytes.NewReader(text)); err != nil {
			return c, err
		}
		if text, err = io.ReadAll(io.LimitReader(r, maxUnpacked+1)); err != nil {
			return c, err
		}
		if len(text) > maxUnpacked {
			return c, fmt.Errorf("it is larger than %d bytes", maxUnpacked)
		}
	}
	return c, json.Unmarshal(text, &c)
}
