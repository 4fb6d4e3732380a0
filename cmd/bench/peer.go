package main

import (
	"fmt"
	"net"
	"net/http"

	"github.com/labstack/echo/v4"
)

// peerCmd is a bare handler that writes a constant 302: what a redirect costs
// when nothing is decided.
type peerCmd struct {
	Kind string `arg:"" enum:"echo,nethttp"`
}

const constantTarget = "http://127.0.0.1:8000/live.mp3"

// Run serves until it is killed. It prints its address first.
func (c *peerCmd) Run() error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	return http.Serve(ln, c.handler())
}

func (c *peerCmd) handler() http.Handler {
	if c.Kind == "nethttp" {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", constantTarget)
			w.WriteHeader(http.StatusFound)
		})
	}
	e := echo.New()
	e.GET("/live.mp3", func(c echo.Context) error { return c.Redirect(http.StatusFound, constantTarget) })
	return e
}
