package ring

import (
	"encoding/binary"
	"hash/crc32"
)

// Sealed gives b, without its last bytes, a checksum that holds: a fuzzer does not find one.
func Sealed(b []byte) []byte {
	body := max(0, len(b)-crc32.Size)
	b = append([]byte{}, b[:body]...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}
