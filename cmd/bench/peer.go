package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"

	"github.com/labstack/echo/v4"
	"github.com/oschwald/geoip2-golang/v2"
	"github.com/redis/go-redis/v9"
)

// peerCmd runs a handler to compare with: a constant 302, which is what a redirect costs
// when nothing is decided (echo, nethttp); one that decides as a first version of a
// director would (geo, redis); the standard library's reverse proxy; or a constant DNS
// answer.
type peerCmd struct {
	Kind string `arg:"" enum:"echo,nethttp,geo,redis,steer,reverseproxy,dns"`
	TLS  string `name:"tls" help:"Serve https, with the certificate in this folder."`
	To   string `help:"What a reverse proxy stands in front of, the address of a Redis, or a database of cities."`
}

const constantTarget = "http://127.0.0.1:8000/live.mp3"

// Run serves until it is killed. It prints its address first.
func (c *peerCmd) Run() error {
	if c.Kind == "dns" {
		return constantDNS()
	}
	h, err := c.handler()
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	if c.TLS != "" {
		return http.ServeTLS(ln, h, filepath.Join(c.TLS, "cert.pem"), filepath.Join(c.TLS, "key.pem"))
	}
	return http.Serve(ln, h)
}

func (c *peerCmd) handler() (http.Handler, error) {
	answer := func(c echo.Context) error { return c.Redirect(http.StatusFound, constantTarget) }
	var err error
	switch c.Kind {
	case "reverseproxy":
		return reverseProxy(c.To)
	case "nethttp":
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", constantTarget)
			w.WriteHeader(http.StatusFound)
		}), nil
	case "geo":
		answer, err = byContinent(c.To)
	case "redis":
		answer = askingRedis(c.To)
	case "steer":
		answer, err = steering(c.To)
	}
	e := echo.New()
	e.GET("/live.mp3", answer)
	e.GET(steerMount+".steer", answer)
	return e, err
}

// lookUp returns the listener's address, and what a city database has of it.
func lookUp(db *geoip2.Reader, c echo.Context) (netip.Addr, *geoip2.City, error) {
	addr, err := netip.ParseAddr(c.Request().Header.Get("X-Forwarded-For"))
	if err != nil {
		return addr, nil, echo.ErrBadRequest
	}
	place, err := db.City(addr)
	return addr, place, err
}

// byContinent returns a handler that looks the listener up in a city database, and scans
// the weights of ten nodes.
func byContinent(file string) (echo.HandlerFunc, error) {
	db, err := geoip2.Open(file)
	if err != nil {
		return nil, err
	}
	type node struct {
		url    string
		weight map[string]int // by continent
	}
	nodes := make([]node, 10)
	for i := range nodes {
		nodes[i] = node{fmt.Sprintf("http://n%d.example:8000", i), map[string]int{"EU": 1 + i%3, "": 1}}
	}
	return func(c echo.Context) error {
		addr, place, err := lookUp(db, c)
		if err != nil {
			return err
		}
		continent := place.Continent.Code
		if continent != "EU" {
			continent = ""
		}
		sum := 0
		for _, n := range nodes {
			sum += n.weight[continent]
		}
		at := int(addr.As16()[15]) % sum
		for _, n := range nodes {
			if at -= n.weight[continent]; at < 0 {
				return c.Redirect(http.StatusFound, n.url+c.Request().URL.Path)
			}
		}
		return echo.ErrInternalServerError
	}, nil
}

// askingRedis returns a handler that sends one command to Redis for each request, the
// least that a director that keeps its nodes there would do.
func askingRedis(addr string) echo.HandlerFunc {
	client := redis.NewClient(&redis.Options{Addr: addr})
	return func(c echo.Context) error {
		target, err := client.Get(c.Request().Context(), redisKey).Result()
		if err != nil {
			return err
		}
		return c.Redirect(http.StatusFound, target)
	}
}

const redisKey = "bench:target"

// fill sets the key in Redis that askingRedis reads.
func fill(addr string) error {
	client := redis.NewClient(&redis.Options{Addr: addr})
	defer client.Close()
	return client.Set(context.Background(), redisKey, constantTarget, 0).Err()
}
