package main

import (
	"fmt"
	"net"
	"net/http"

	"github.com/labstack/echo/v4"
)

// peerCmd is a bare handler that writes a constant 302, which is what a redirect
// costs when nothing is decided; or the standard library's reverse proxy.
type peerCmd struct {
	Kind string `arg:"" enum:"echo,nethttp,reverseproxy"`
	To   string `help:"What a reverse proxy stands in front of."`
}

const constantTarget = "http://127.0.0.1:8000/live.mp3"

// Run serves until it is killed. It prints its address first.
func (c *peerCmd) Run() error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	h, err := c.handler()
	if err != nil {
		return err
	}
	return http.Serve(ln, h)
}

func (c *peerCmd) handler() (http.Handler, error) {
	switch c.Kind {
	case "reverseproxy":
		return reverseProxy(c.To)
	case "nethttp":
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", constantTarget)
			w.WriteHeader(http.StatusFound)
		}), nil
	}
	e := echo.New()
	e.GET("/live.mp3", func(c echo.Context) error { return c.Redirect(http.StatusFound, constantTarget) })
	return e, nil
}
