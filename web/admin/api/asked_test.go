package api

import "testing"

func TestParseAsked(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Asked{
		"/live.mp3":                              {Path: "/live.mp3"},
		"live.mp3":                               {Path: "/live.mp3"},
		"/live.mp3?token=a%20b&x":                {Path: "/live.mp3", Query: "token=a%20b&x"},
		"http://radio.example:8000/live.mp3?x=1": {Path: "/live.mp3", Query: "x=1"},
		"https://radio.example/a%20b.mp3":        {Path: "/a b.mp3", TLS: true},
		"https://radio.example":                  {Path: "/", TLS: true},
		"/live.mp3?back=http://player.example/x": {Path: "/live.mp3", Query: "back=http://player.example/x"},
		"/a/b://c":                               {Path: "/a/b://c"},
	} {
		if got, err := ParseAsked(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"ftp://radio.example/live.mp3", "http:///live.mp3", "http://radio.example:x/"} {
		if got, err := ParseAsked(text); err == nil {
			t.Errorf("%s: %+v", text, got)
		}
	}
}
