package dns

import (
	"encoding/binary"
	"net/netip"
)

// The numbers of the protocol (RFC 1035, RFC 6891 and IANA's registry).
const (
	headerSize = 12
	maxName    = 255 // bytes of a name on the wire

	typeA     = 1
	typeNS    = 2
	typeCNAME = 5
	typeSOA   = 6
	typeHINFO = 13
	typeMX    = 15
	typeTXT   = 16
	typeAAAA  = 28
	typeOPT   = 41
	typeHTTPS = 65
	typeTKEY  = 249
	typeIXFR  = 251
	typeAXFR  = 252
	typeANY   = 255
	typeCAA   = 257

	classIN = 1

	opQuery  = 0
	opNotify = 4
	opUpdate = 5

	rcodeNoError  = 0
	rcodeFormErr  = 1
	rcodeServFail = 2
	rcodeNXDomain = 3
	rcodeNotImp   = 4
	rcodeRefused  = 5
	rcodeBadVers  = 16

	flagQR = 1 << 15
	flagAA = 1 << 10
	flagTC = 1 << 9
	flagRD = 1 << 8
	flagCD = 1 << 4

	optSubnet = 8  // RFC 7871
	optCookie = 10 // RFC 7873

	// maxUDP is the largest answer over UDP, in bytes. No network needs to fragment it, and
	// all examined resolvers announce this size.
	maxUDP = 1232
	// plainUDP is the largest answer over UDP to a client without EDNS, in bytes.
	plainUDP = 512
)

// A request is a parsed query. Its slices point into the message.
type request struct {
	id, flags uint16
	opcode    int
	questions int
	question  []byte // the name as asked, followed by type and class
	qtype     uint16
	qclass    uint16

	lower  [maxName]byte // the name in lower case
	length int           // of the name, in bytes

	edns    bool
	version byte
	do      bool
	size    int // the largest UDP answer that the client accepts, in bytes

	subnet subnet
	cookie cookie
}

// subnet is an EDNS Client Subnet option.
type subnet struct {
	there  bool
	family uint16
	source byte
	addr   netip.Addr // of the network; not valid: the client wants no subnet to be used
}

// cookie is an EDNS cookie option.
type cookie struct {
	there  bool
	client [8]byte // a copy: the answer overwrites the query
	server []byte  // as the client sent it
}

// reading is the result of parsing a message.
type reading uint8

const (
	readable  reading = iota
	malformed         // answer FORMERR
	junk              // answer nothing
)

// read parses a message. A malformed message can be answered with what r then holds.
func (r *request) read(msg []byte) reading {
	*r = request{lower: r.lower, size: plainUDP}
	if len(msg) < headerSize {
		return junk
	}
	r.id = binary.BigEndian.Uint16(msg)
	r.flags = binary.BigEndian.Uint16(msg[2:])
	if r.flags&flagQR != 0 {
		return junk // answering answers could make two servers loop for ever
	}
	r.opcode = int(r.flags >> 11 & 0xf)
	r.questions = int(binary.BigEndian.Uint16(msg[4:]))
	others := int(binary.BigEndian.Uint16(msg[6:])) + int(binary.BigEndian.Uint16(msg[8:]))
	additional := int(binary.BigEndian.Uint16(msg[10:]))
	if r.questions > 1 {
		return malformed
	}
	at := headerSize
	if r.questions == 1 {
		if at = r.readQuestion(msg); at < 0 {
			r.questions = 0
			return malformed
		}
	}
	if r.opcode != opQuery {
		return readable // it is refused, whatever follows
	}
	for range others {
		if _, _, at = record(msg, at); at < 0 {
			return malformed
		}
	}
	for range additional {
		begin := at
		kind, data, next := record(msg, at)
		if next < 0 {
			return malformed
		}
		at = next
		if kind != typeOPT {
			continue
		}
		if r.edns || msg[begin] != 0 || !r.readOPT(msg[begin+1:], data) {
			return malformed
		}
	}
	if at != len(msg) || r.questions == 0 && !r.cookie.there {
		return malformed
	}
	return readable
}

// readQuestion parses the question and returns where it ends; -1: it is malformed.
func (r *request) readQuestion(msg []byte) int {
	at := headerSize
	for {
		if at >= len(msg) {
			return -1
		}
		n := int(msg[at])
		end := at + 1 + n
		if n > 63 || end-headerSize > maxName || end > len(msg) { // no name precedes it for a pointer
			return -1
		}
		if n == 0 {
			at = end
			break
		}
		at = end
	}
	if at+4 > len(msg) {
		return -1
	}
	name := msg[headerSize:at]
	r.length = len(name)
	for i, c := range name { // the lengths of labels are below 'A'
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		r.lower[i] = c
	}
	r.qtype = binary.BigEndian.Uint16(msg[at:])
	r.qclass = binary.BigEndian.Uint16(msg[at+2:])
	r.question = msg[headerSize : at+4]
	return at + 4
}

// record returns the type and data of the resource record at an offset, and where the next
// begins; -1: it is malformed. It skips names and follows no pointers.
func record(msg []byte, at int) (kind uint16, data []byte, next int) {
	for {
		if at >= len(msg) {
			return 0, nil, -1
		}
		n := int(msg[at])
		switch {
		case n == 0:
			at++
		case n >= 0xc0:
			at += 2
		case n > 63:
			return 0, nil, -1
		default:
			at += 1 + n
			continue
		}
		break
	}
	if at+10 > len(msg) {
		return 0, nil, -1
	}
	kind = binary.BigEndian.Uint16(msg[at:])
	next = at + 10 + int(binary.BigEndian.Uint16(msg[at+8:]))
	if next > len(msg) {
		return 0, nil, -1
	}
	return kind, msg[at+10 : next], next
}

// readOPT reads the OPT record of EDNS; fixed is what follows its name.
func (r *request) readOPT(fixed, options []byte) bool {
	r.edns = true
	r.size = max(int(binary.BigEndian.Uint16(fixed[2:])), plainUDP)
	r.version = fixed[5]
	r.do = fixed[6]&0x80 != 0
	if r.version != 0 {
		return true // the options of other versions are unknown
	}
	for len(options) > 0 {
		if len(options) < 4 {
			return false
		}
		code, n := binary.BigEndian.Uint16(options), int(binary.BigEndian.Uint16(options[2:]))
		if 4+n > len(options) {
			return false
		}
		data := options[4 : 4+n]
		options = options[4+n:]
		switch code {
		case optSubnet:
			if r.subnet.there || !r.subnet.read(data) {
				return false
			}
		case optCookie:
			if n != 8 && (n < 16 || n > 40) { // RFC 7873, 5.2.2
				return false
			}
			if !r.cookie.there { // of several, the first counts (RFC 7873, 5.2)
				r.cookie = cookie{true, [8]byte(data), data[8:]}
			}
		}
	}
	return true
}

// read reads an EDNS Client Subnet option by the rules of RFC 7871, 6 and 7.1.2.
func (s *subnet) read(b []byte) bool {
	if len(b) < 4 {
		return false
	}
	*s = subnet{there: true, family: binary.BigEndian.Uint16(b), source: b[2]}
	scope, network := b[3], b[4:]
	if scope != 0 || len(network) != (int(s.source)+7)/8 {
		return false
	}
	if s.source == 0 {
		return true // of whatever family: dig and others write 0 here
	}
	if rest := s.source % 8; rest != 0 && network[len(network)-1]<<rest != 0 {
		return false
	}
	switch {
	case s.family == 1 && s.source <= 32:
		var a [4]byte
		copy(a[:], network)
		s.addr = netip.AddrFrom4(a)
	case s.family == 2 && s.source <= 128:
		var a [16]byte
		copy(a[:], network)
		s.addr = netip.AddrFrom16(a)
	default:
		return false
	}
	return true
}

// A response is built after the question of the message that it answers, in the same
// memory. A record that does not fit is left out, as are all further ones, and full is set.
type response struct {
	b       []byte // so far
	limit   int    // largest size, in bytes
	reserve int    // part of it for the OPT record
	zone    int    // offset of the zone's name in the message; 0: it is not in the question
	full    bool
	counts  [3]uint16 // answers, authorities, additional records
}

// The sections of an answer.
const (
	inAnswer = iota
	inAuthority
	inAdditional
)

// begin begins a record with its owner's name, type, class IN and TTL in seconds, and
// returns the offset of its data's length; -1: it does not fit. size is the largest length
// of its data.
func (w *response) begin(owner *domain, kind uint16, ttl uint32, size int) int {
	if w.full || len(w.b)+owner.size(w)+10+size+w.reserve > w.limit {
		w.full = true
		return -1
	}
	w.name(owner)
	w.b = binary.BigEndian.AppendUint16(w.b, kind)
	w.b = binary.BigEndian.AppendUint16(w.b, classIN)
	w.b = binary.BigEndian.AppendUint32(w.b, ttl)
	w.b = append(w.b, 0, 0)
	return len(w.b) - 2
}

// end writes the length of the data and counts the record in its section.
func (w *response) end(length, section int) {
	binary.BigEndian.PutUint16(w.b[length:], uint16(len(w.b)-length-2))
	w.counts[section]++
}

// name writes a domain, compressed where it ends in the zone's name.
func (w *response) name(d *domain) {
	switch {
	case d == nil: // the name in the question
		w.b = append(w.b, 0xc0, headerSize)
	case d.inZone && w.zone > 0:
		w.b = append(w.b, d.labels...)
		w.b = binary.BigEndian.AppendUint16(w.b, 0xc000|uint16(w.zone))
	default:
		w.b = append(w.b, d.wire...)
	}
}

func (d *domain) size(w *response) int {
	switch {
	case d == nil:
		return 2
	case d.inZone && w.zone > 0:
		return len(d.labels) + 2
	}
	return len(d.wire)
}
