// Package idn writes URLs with the host names that DNS and HTTP have: people may
// write http://münchen.example, and what is sent is http://xn--mnchen-3ya.example.
// URLs are converted where they are read; whoever prints them finds them in ASCII.
package idn

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// profile is what browsers do with what somebody types (UTS #46, not transitional):
// letters are lowered, and what no registry admits is an error.
var profile = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.Transitional(false))

// URL returns the URL with its host name in ASCII (RFC 5891). The rest stays as it
// is, and so does a URL whose host has nothing but ASCII, right or wrong. The error
// names the URL.
func URL(raw string) (string, error) {
	from, to := host(raw)
	name := raw[from:to]
	if isASCII(name) {
		return raw, nil
	}
	ascii, err := profile.ToASCII(name)
	if err == nil && !utf8.ValidString(name) {
		err = errors.New("it is no UTF-8")
	}
	if err != nil {
		return "", fmt.Errorf("%q: the host %s is no name that DNS could have: %w", raw, name, err)
	}
	return raw[:from] + ascii + raw[to:], nil
}

// host returns where the host name stands in a URL, without user and port.
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
