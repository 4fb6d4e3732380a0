package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/signpost-fm/signpost/web/admin/api"
)

// A Token is known by its hash only.
type Token struct {
	Name string // whose it is, for the history and the log; no secret
	Role api.Role
	Hash [sha256.Size]byte // SHA-256 of the token
}

// NewToken hashes a token.
func NewToken(name string, role api.Role, token string) Token {
	return Token{name, role, sha256.Sum256([]byte(token))}
}

// maxTokens bounds the comparisons for each request.
const maxTokens = 1000

// ParseTokens reads a file of tokens, one a line: a name, a role, and the SHA-256
// of the token in hexadecimal. It skips empty lines and those that begin with #. The
// error joins one for each bad line, with its number.
func ParseTokens(file string) ([]Token, error) {
	var all []Token
	var errs []error
	names, hashes := map[string]int{}, map[[sha256.Size]byte]int{}
	for i, line := range strings.Split(file, "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		t, err := parseToken(fields)
		switch {
		case err != nil:
		case names[t.Name] > 0:
			err = fmt.Errorf("%s is already the name on line %d; give each token its own", t.Name, names[t.Name])
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
		names[t.Name], hashes[t.Hash] = i+1, i+1
		all = append(all, t)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return all, nil
}

func parseToken(fields []string) (Token, error) {
	if len(fields) != 3 {
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
	return t, nil
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
