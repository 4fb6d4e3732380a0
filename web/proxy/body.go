package proxy

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// framed is a body that declares its length: by Content-Length, or in chunks (RFC 9112,
// 7.1). Unlike net/http's reader it returns what has arrived and does not wait for a
// complete chunk, which may be as long as the stream.
type framed struct {
	br      *bufio.Reader
	chunked bool
	started bool   // a first chunk has begun
	left    uint64 // bytes to the end of the chunk, or of the body
}

func (f *framed) Read(p []byte) (int, error) {
	if f.left == 0 {
		if !f.chunked {
			return 0, io.EOF
		}
		if err := f.nextChunk(); err != nil {
			return 0, err
		}
	}
	n, err := f.br.Read(p[:min(uint64(len(p)), f.left)])
	f.left -= uint64(n)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// nextChunk reads the end of the previous chunk and the size of the next. It returns
// io.EOF at the last chunk. Trailers are not read, as nothing uses them.
func (f *framed) nextChunk() error {
	if f.started {
		if line, err := readLine(f.br); err != nil || len(line) > 0 {
			return chunkError(line, err)
		}
	}
	f.started = true
	line, err := readLine(f.br)
	if err != nil {
		return err
	}
	size, _, _ := strings.Cut(string(line), ";")
	if f.left, err = strconv.ParseUint(strings.TrimRight(size, " \t"), 16, 64); err != nil {
		return chunkError(line, nil)
	}
	if f.left == 0 {
		return io.EOF
	}
	return nil
}

func chunkError(line []byte, err error) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("%.40q where a chunk should begin or end", line)
}
