package web

import (
	"net/textproto"
)

// Shadows says whether before holds for every request for which r holds, so that r is
// never reached behind it. It may miss that of rules with different regular expressions,
// and is otherwise exact in what it claims.
func Shadows(before, r Rule) bool {
	if before.Answer == HTTPS && r.Answer != HTTPS {
		return false // it holds for browsers alone
	}
	if before.UserAgentRegexp != "" && before.UserAgentRegexp != r.UserAgentRegexp {
		return false
	}
	if before.UserAgent != "" && !covers(before.UserAgent, r.UserAgent) {
		return false
	}
	if before.HTTP != "" && before.HTTP != r.HTTP {
		return false
	}
	for _, h := range before.Headers {
		if !implied(h, r.Headers) {
			return false
		}
	}
	return true
}

// implied says whether a condition holds whenever all the others do.
func implied(h HeaderMatch, others []HeaderMatch) bool {
	name := textproto.CanonicalMIMEHeaderKey(h.Name)
	for _, o := range others {
		if textproto.CanonicalMIMEHeaderKey(o.Name) != name || o.Absent != h.Absent {
			continue
		}
		if h.Absent || h.Glob == "" || covers(h.Glob, o.Glob) {
			return true
		}
	}
	return false
}

// covers says whether the glob wide matches all that narrow matches. An empty glob is no
// condition. It is sound: a star of narrow is only taken by a star of wide, and so is
// what narrow leaves open of a single byte, unless wide does too.
func covers(wide, narrow string) bool {
	w, err := parseGlob(wide)
	if err != nil || narrow == "" {
		return false
	}
	n, err := parseGlob(narrow)
	if err != nil {
		return false
	}
	p, i, run, from := 0, 0, -1, 0
	for i < len(n) {
		switch {
		case p < len(w) && w[p] == anyRun:
			run, from = p, i
			p++
		case p < len(w) && n[i] != anyRun && (w[p] == anyByte || w[p] == n[i]):
			p++
			i++
		case run >= 0:
			from++
			p, i = run+1, from
		default:
			return false
		}
	}
	for p < len(w) && w[p] == anyRun {
		p++
	}
	return p == len(w)
}
