// Package session remembers who plays HLS or DASH from which node. A player has no
// identity of its own: it is known by a signed token in the URL that it asks at, which each
// answer replaces. Time is passed in.
package session

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"time"

	"github.com/dchest/siphash"

	"github.com/signpost-fm/signpost/director"
)

// A Token is what a director has to know of a session. It travels with the player, so that
// any director goes on with it.
type Token struct {
	ID   uint64          // random; the session is placed by it
	Node director.NodeID // where it was sent
	At   time.Time       // when, in whole seconds, by the clock of the director that sent it
	By   uint32          // a mark of the director that made the token, of 24 bits
	// Moved says that the session was at another node before, and Roams that several
	// directors answer it in turn.
	Moved, Roams bool
	// Slow is how many of its last questions in a row told of too little throughput at Node, at
	// most MostSlow.
	Slow uint8
}

// MostSlow is as far as Token.Slow counts.
const MostSlow = 3

const (
	flagMoved = 1 << iota
	flagRoams

	slowShift = 2 // Slow has the next two bits

	// A token is its fields, then the signature, then the node's id in clear: it is the
	// pathway's name in the playlist, too.
	fieldBytes  = 16
	signedBytes = fieldBytes + 8
	// MaxToken is the length of the longest token.
	MaxToken = signedBytes*4/3 + 1 + maxNodeID

	maxNodeID = 64 // director.NodeID
)

// Keys sign tokens. They are the same at all directors that have the same secret. The
// signature is SipHash-2-4 (J.-P. Aumasson, D. Bernstein, 2012), of 64 bits: who guesses
// one has won a place at a node of their choice, which they could have asked for directly.
type Keys struct{ k0, k1 uint64 }

// NewKeys derives keys from a secret.
func NewKeys(secret []byte) Keys {
	sum := sha256.Sum256(append([]byte("signpost sessions "), secret...))
	return Keys{binary.LittleEndian.Uint64(sum[:]), binary.LittleEndian.Uint64(sum[8:])}
}

// Append appends a token for a mount: 33 characters and the node's id, which need no
// escaping in a URL.
func (k Keys) Append(dst []byte, mount string, t Token) []byte {
	var b [signedBytes]byte
	binary.LittleEndian.PutUint64(b[:], t.ID)
	binary.LittleEndian.PutUint32(b[8:], uint32(t.At.Unix()))
	binary.LittleEndian.PutUint32(b[12:], t.By<<8)
	if t.Moved {
		b[12] |= flagMoved
	}
	if t.Roams {
		b[12] |= flagRoams
	}
	b[12] |= min(t.Slow, MostSlow) << slowShift
	binary.LittleEndian.PutUint64(b[fieldBytes:], k.sign(b[:fieldBytes], mount, string(t.Node)))
	dst = base64.RawURLEncoding.AppendEncode(dst, b[:])
	dst = append(dst, '.')
	return append(dst, t.Node...)
}

// Parse reads a token for a mount. One that was not made by these keys for this mount is
// as good as none. The Token shares the memory of text.
func (k Keys) Parse(mount, text string) (t Token, ok bool) {
	signed, node, ok := strings.Cut(text, ".")
	if !ok || len(signed) != signedBytes*4/3 || len(node) > maxNodeID {
		return Token{}, false
	}
	var raw [signedBytes * 4 / 3]byte
	copy(raw[:], signed)
	var b [signedBytes]byte
	if n, err := base64.RawURLEncoding.Decode(b[:], raw[:]); err != nil || n != signedBytes {
		return Token{}, false
	}
	if k.sign(b[:fieldBytes], mount, node) != binary.LittleEndian.Uint64(b[fieldBytes:]) {
		return Token{}, false
	}
	return Token{
		ID: binary.LittleEndian.Uint64(b[:]), Node: director.NodeID(node),
		At:    time.Unix(int64(binary.LittleEndian.Uint32(b[8:])), 0),
		By:    binary.LittleEndian.Uint32(b[12:]) >> 8,
		Moved: b[12]&flagMoved != 0, Roams: b[12]&flagRoams != 0,
		Slow: b[12] >> slowShift & MostSlow,
	}, true
}

// sign signs the fields, the mount and the node. The node's length keeps what is signed
// apart.
func (k Keys) sign(fields []byte, mount, node string) uint64 {
	var room [256]byte
	b := append(room[:0], fields...)
	b = append(b, byte(len(node)))
	b = append(b, node...)
	b = append(b, mount...)
	return siphash.Hash(k.k0, k.k1, b)
}
