package main

import "time"

type listenSection struct {
	// Addresses for plain HTTP.
	HTTP []string `yaml:"http" default:":8000"`
	// Where listeners reach the directors from outside, such as `https://listen.example`. Playlists that name the director use the first; a node URL that points at one is refused.
	PublicURLs []string `yaml:"public_urls"`
}

type rulesSection struct {
}

type storeSection struct {
	// How often this director takes part: what it sent away goes out, what others sent comes in, and a new snapshot is built.
	Tick time.Duration `yaml:"tick" default:"250ms"`
}

type probeSection struct {
}

type proxySection struct {
}

type privacySection struct {
}

type adminSection struct {
}
