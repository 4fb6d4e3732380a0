package web

import (
	"fmt"
	"strings"
)

// An Answer is the form in which a request is answered. Each has one stable name, the same
// in rules, explanations, logs and metrics.
type Answer uint8

// The answers.
const (
	Redirect Answer = iota // 302 to a node
	M3U
	PLS
	XSPF
	ASX
	JSON       // the nodes, for apps that connect to one by themselves
	Proxy      // the stream itself, carried inline
	Deny       // 403, by a rule
	HTTPS      // 302 to the same URL by https, for web browsers
	Pathways   // a playlist of HLS or an MPD of DASH with all nodes, between which the player can be moved
	Steer      // which of them such a player is to use
	NoAnswer   // an error, or the answer to OPTIONS: the status tells
	numAnswers = iota
)

var answerNames = [numAnswers]string{
	Redirect: "redirect", M3U: "m3u", PLS: "pls", XSPF: "xspf", ASX: "asx", JSON: "json",
	Proxy: "proxy", Deny: "deny", HTTPS: "https", Pathways: "pathways", Steer: "steer", NoAnswer: "none",
}

// String returns the answer's stable name, such as "redirect".
func (a Answer) String() string {
	if int(a) < len(answerNames) {
		return answerNames[a]
	}
	return "unknown"
}

// MarshalText writes the answer's stable name, for JSON and logs.
func (a Answer) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads the name of an answer. The error lists those that a rule may have.
func (a *Answer) UnmarshalText(b []byte) error {
	for i, name := range answerNames {
		if name == string(b) {
			*a = Answer(i)
			return nil
		}
	}
	return fmt.Errorf("%q is not an answer; use redirect, m3u, pls, xspf, asx, proxy, deny or https", b)
}

// playlist says whether the answer is a document that leads to the stream.
func (a Answer) playlist() bool { return a >= M3U && a <= JSON }

// playlistSuffixes are appended to a mount's name to ask for a playlist of it.
var playlistSuffixes = [...]struct {
	suffix string
	answer Answer
}{{".m3u", M3U}, {".pls", PLS}, {".xspf", XSPF}, {".asx", ASX}, {".json", JSON}}

// cutPlaylist splits "/live.mp3.m3u" into the mount and the playlist's format.
func cutPlaylist(name string) (mount string, a Answer, ok bool) {
	for _, s := range &playlistSuffixes {
		if mount, ok = strings.CutSuffix(name, s.suffix); ok {
			return mount, s.answer, true
		}
	}
	return name, Redirect, false
}
