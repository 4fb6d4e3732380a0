package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// A Token is known by its hash only.
type Token struct {
	Name string // whose it is, for the history and the log; no secret
	Role api.Role
	Hash [sha256.Size]byte // SHA-256 of the token

	// IDs are the ids that an agent may register with it, each whole or the beginning of
	// ids with a star behind it; none: all that the configuration admits. Nodes is how
	// many of them may report at a time; 0: any number.
	IDs   []string
	Nodes int
	// Certificates are the names whose certificates, with their private keys, an agent may
	// fetch with it; none: it may fetch none.
	Certificates []string
}

// NewToken hashes a token.
func NewToken(name string, role api.Role, token string) Token {
	return Token{Name: name, Role: role, Hash: sha256.Sum256([]byte(token))}
}

// maxTokens bounds the comparisons for each request.
const maxTokens = 1000

// ParseTokens reads a file of tokens, one a line: a name, a role, and the SHA-256
// of the token in hexadecimal. Behind an agent's token may stand what it registers, as
// ids=edge-fra-*,edge-ams-1 and nodes=20, and what it may fetch, as
// certificates=go.radio.example. Empty lines and those that begin with # are skipped. Two
// lines of one name are one token that is being replaced: both hold. The error joins one for
// each bad line, with its number.
func ParseTokens(file string) ([]Token, error) {
	var all []Token
	var errs []error
	roles, hashes := map[string]api.Role{}, map[[sha256.Size]byte]int{}
	for i, line := range strings.Split(file, "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		t, err := parseToken(fields)
		switch {
		case err != nil:
		case roles[t.Name] != "" && roles[t.Name] != t.Role:
			err = fmt.Errorf("%s has the role %s on a line before; two lines of one name are the old token and the new one: give both one role", t.Name, roles[t.Name])
		case hashes[t.Hash] > 0:
			err = fmt.Errorf("it is the token of line %d; make one for each", hashes[t.Hash])
		case len(all) == maxTokens:
			err = fmt.Errorf("there are more than %d tokens", maxTokens)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("line %d: %w", i+1, err))
			if len(errs) > 10 {
				break
			}
			continue
		}
		roles[t.Name], hashes[t.Hash] = t.Role, i+1
		all = append(all, t)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return all, nil
}

func parseToken(fields []string) (Token, error) {
	if len(fields) < 3 {
		return Token{}, errors.New("write a name, a role and the token's SHA-256; `printf %s TOKEN | sha256sum` prints it")
	}
	t := Token{Name: fields[0], Role: api.Role(fields[1])}
	if len(t.Name) > maxName || !utf8.ValidString(t.Name) {
		return Token{}, fmt.Errorf("the name is longer than %d bytes, or not UTF-8", maxName)
	}
	if t.Role != api.RoleAgent && t.Role != api.RoleView && t.Role != api.RoleOperate {
		return Token{}, fmt.Errorf("the second word is no role; write %s, %s or %s", api.RoleAgent, api.RoleView, api.RoleOperate)
	}
	hash, err := hex.DecodeString(fields[2])
	if err != nil || len(hash) != len(t.Hash) {
		return Token{}, errors.New("the third word is not a SHA-256 of 64 hexadecimal digits; `printf %s TOKEN | sha256sum` prints it, and the token itself does not belong here")
	}
	copy(t.Hash[:], hash)
	return t, t.limit(fields[3:])
}

// limit reads what an agent's token may register, and fetch.
func (t *Token) limit(fields []string) error {
	for _, field := range fields {
		key, value, _ := strings.Cut(field, "=")
		switch {
		case t.Role != api.RoleAgent:
			return fmt.Errorf("there are more than three words; only a token of the role %s has limits behind it", api.RoleAgent)
		case key == "ids" && t.IDs == nil:
			t.IDs = strings.Split(value, ",")
			for _, id := range t.IDs {
				c := checker{}
				if c.name("ids", strings.TrimSuffix(id, "*")); id != "*" && c.err() != nil {
					return fmt.Errorf("%w; write ids as edge-1, or their beginning as edge-*", c.err())
				}
			}
		case key == "nodes" && t.Nodes == 0:
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 || n > store.MaxRegistered {
				return fmt.Errorf("nodes: %.40q is no number from 1 to %d", value, store.MaxRegistered)
			}
			t.Nodes = n
		case key == "certificates" && t.Certificates == nil && value != "":
			t.Certificates = strings.Split(value, ",")
		default:
			return errors.New("behind an agent's token stand ids=, nodes= and certificates=, each once, without spaces")
		}
	}
	return nil
}

// admits says whether an agent may register a node under this id with the token.
func (t *Token) admits(id director.NodeID) bool {
	return len(t.IDs) == 0 || (&director.Config{MayRegister: t.IDs}).Admits(id)
}

// find returns the token with a hash. It compares all, each in constant time, so that
// the time taken says nothing about a token.
func find(tokens []Token, hash tokenHash) (Token, bool) {
	found, which := 0, 0
	for i := range tokens {
		same := subtle.ConstantTimeCompare(hash[:], tokens[i].Hash[:])
		found |= same
		which = subtle.ConstantTimeSelect(same, i, which)
	}
	if found == 0 {
		return Token{}, false
	}
	return tokens[which], true
}
