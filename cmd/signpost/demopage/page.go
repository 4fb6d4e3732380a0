// Package demopage is a page of the demo, on which a browser plays HLS and shows which node
// it hears.
package demopage

import (
	_ "embed"
	"html/template"
	"net/http"
	"strings"
)

//go:generate ./hls.js.sh

// hlsJS is hls.js, compressed: most browsers play HLS by a library only, or without asking
// for another node.
//
//go:embed hls.js.gz
var hlsJS []byte

//go:embed page.html
var page string

var pageTemplate = template.Must(template.New("page").Parse(page))

// A Node is one that the page may hear.
type Node struct{ Name, Host, Plays string }

// Options say what the page plays.
type Options struct {
	Stream    string // the URL of the stream at the director
	Dashboard string // the URL of the operators' pages
	Nodes     []Node // Host is host:port, by which the page knows them
}

// New returns the page: / and its script.
func New(o Options) (http.Handler, error) {
	var text strings.Builder
	if err := pageTemplate.Execute(&text, o); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(text.String()))
	})
	mux.HandleFunc("GET /hls.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
		w.Header().Set("Content-Encoding", "gzip") // each browser that runs it takes that
		_, _ = w.Write(hlsJS)
	})
	return mux, nil
}
