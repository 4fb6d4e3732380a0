// Package idn converts the host names in URLs to the form that DNS and HTTP use: people
// may write http://münchen.example, and Signpost sends http://xn--mnchen-3ya.example.
// URLs are converted where they are read, so whatever prints them has them in ASCII.
package idn

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// profile is how browsers convert a typed name (UTS #46, not transitional): letters become
// lower case, and a name that no registry admits is an error.
var profile = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.Transitional(false))

// URL returns the URL with its host name in ASCII (RFC 5891). The rest is unchanged. A
// URL whose host is all ASCII, valid or not, is returned as it is. The error names the
// URL.
func URL(raw string) (string, error) {
	from, to := host(raw)
	name := raw[from:to]
	if plain, err := url.PathUnescape(name); err == nil && !strings.HasPrefix(name, "[") {
		name = plain // as a browser's address line copies it: http://m%C3%BCnchen.test
	}
	if isASCII(name) {
		return raw, nil
	}
	ascii, err := profile.ToASCII(name)
	if err == nil && !utf8.ValidString(name) {
		err = errors.New("it is not UTF-8")
	}
	if err != nil {
		return "", fmt.Errorf("%q: the host %s is not a name that DNS could have: %w", raw, name, err)
	}
	return raw[:from] + ascii + raw[to:], nil
}

// host returns the position of the host name in a URL, without user and port.
func host(raw string) (from, to int) {
	i := strings.Index(raw, "//")
	if i < 0 {
		return 0, 0
	}
	from, to = i+2, len(raw)
	if n := strings.IndexAny(raw[from:], "/?#{\\"); n >= 0 { // "{mount}" stands for a path
		to = from + n
	}
	if n := strings.LastIndexByte(raw[from:to], '@'); n >= 0 {
		from += n + 1
	}
	if n := strings.LastIndexByte(raw[from:to], ':'); n >= 0 {
		to = from + n
	}
	return from, to
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
