package web

// ShippedRules returns the rules that follow the operator's own: what real players need, as
// measured or documented. A client for which no rule holds is redirected to a URL of its own
// scheme, and watched (see [Escalate]).
func ShippedRules() []Rule {
	const (
		literal    = "compares the status and \"http://\" literally: measured, and in the source of Icecast's relay"
		sameScheme = "refuses redirects between http and https"
		slim       = "follows an absolute 302 only; the name is in its source"
		guess      = "follows a 302 and knows ASX: no measurement, believed from its documentation"
		icy        = "wants \"ICY 200 OK\" from a server it streams from, says Icecast-KH's list of clients"
	)
	return []Rule{
		{
			Name: "esp8266 radio", Answer: Proxy, HTTP: "1.1",
			Headers: []HeaderMatch{
				{Name: "User-Agent", Absent: true},
				{Name: "Icy-MetaData", Glob: "1"},
				{Name: "Connection", Glob: "close"},
				{Name: "Accept", Absent: true},
			},
			Reason: "old ESP8266 radios cannot follow redirects, says their maintainer; the request's shape is from their source",
		},
		{Name: "mpg321", UserAgent: "xmms/1.2.7*", HTTPOnly: true, Reason: literal},
		{Name: "cmus", UserAgent: "cmus/*", HTTPOnly: true, Reason: literal},
		{Name: "streamripper", UserAgent: "Streamripper/*", HTTPOnly: true, Reason: literal},
		{Name: "icecast relay", UserAgent: "Icecast *", HTTPOnly: true, Relay: true, Reason: literal},
		{Name: "liquidsoap", UserAgent: "Liquidsoap/*", Relay: true, Reason: "a server that plays on what it hears, with input.http: it follows a 302 and comes back here after a drop: measured"},
		{Name: "mpd", UserAgent: "Music Player Daemon *", Relay: true, Reason: "a server that plays on what it hears, where its output is httpd or shout: it follows a 302 and, told to repeat, comes back here after a drop: measured"},
		{Name: "xine", UserAgent: "xine/*", SameScheme: true, Reason: sameScheme},
		{Name: "exoplayer", UserAgent: "*ExoPlayerLib/*", SameScheme: true, Reason: sameScheme},
		{Name: "media3", UserAgent: "*AndroidXMedia3/*", SameScheme: true, Reason: sameScheme},
		{Name: "applecoremedia", UserAgent: "AppleCoreMedia/*", SameScheme: true, Reason: sameScheme},
		{
			Name: "squeezebox", Reason: slim,
			UserAgentRegexp: `^iTunes/4\.7\.1 \(.*(SlimServer|SqueezeCenter|Squeezebox|Logitech Media Server)`,
		},
		{
			Name: "esp32 audio", UserAgent: "VLC/3.0.21 LibVLC/3.0.21 AppleWebKit*",
			Reason: "a library for ESP32 that calls itself VLC and knows 302, but neither 307 nor 308: its source",
		},
		{Name: "nsplayer", UserAgent: "NSPlayer/*", Reason: guess},
		{Name: "wmplayer", UserAgent: "WMPlayer/*", Reason: guess},
		{Name: "windows media player", UserAgent: "Windows-Media-Player/*", ICY: true, Reason: guess + "; " + icy},
		{Name: "shoutcastsource", UserAgent: "shoutcastsource*", ICY: true, Reason: icy},
		{Name: "realmedia", UserAgent: "RealMedia*", ICY: true, Reason: icy},
		{Name: "blackberry", UserAgent: "BlackBerry*", ICY: true, Reason: icy},
	}
}
