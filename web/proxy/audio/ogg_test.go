package audio

import (
	"encoding/binary"
	"testing"
)

// oggPage makes a page of one packet of less than 255 bytes.
func oggPage(flags byte, granule int64, sequence uint32, packet string) []byte {
	b := append([]byte(oggMark), flags)
	b = binary.LittleEndian.AppendUint64(b, uint64(granule))
	b = binary.LittleEndian.AppendUint32(b, 7)
	b = binary.LittleEndian.AppendUint32(b, sequence)
	b = append(b, 0, 0, 0, 0, 1, byte(len(packet)))
	b = append(b, packet...)
	binary.LittleEndian.PutUint32(b[22:], oggCRC(b))
	return b
}

func TestX(t *testing.T) {}
