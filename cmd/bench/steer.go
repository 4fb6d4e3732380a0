package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/oschwald/geoip2-golang/v2"
)

const (
	steerMount = "/live.m3u8"
	steerPeer  = "echo + city database, the same JSON"
)

// steerCmd measures what it costs to answer players of HLS that ask which node to use.
type steerCmd struct {
	benchFlags
	MMDB     string  `name:"mmdb" required:"" type:"existingfile" help:"A city database, for both."`
	Nodes    int     `default:"10" help:"Nodes."`
	Sessions int     `default:"10000" help:"Players."`
	TTL      float64 `default:"10" help:"Seconds after which each asks again: with the number of players, the rate of the open loop."`
	Keep     bool    `help:"Measure connections that are kept open, too, as by a proxy in front of a Signpost with listen.keep_alive."`
	Requests int     `default:"10000" help:"Requests a round."`
	Rounds   int     `default:"5" help:"Rounds; parties take turns within each."`
	Clients  int     `default:"16" help:"Connections at once."`
}

// steerReport is the result of steerCmd: the rounds of each party, by mode.
type steerReport struct {
	Date    time.Time                   `json:"date"`
	Machine string                      `json:"machine"`
	Rounds  map[mode]map[string][]round `json:"rounds"`
}

// Run prints a table for each mode, and whether the goals are reached.
func (c *steerCmd) Run() error {
	if ran, err := inOwnNetwork(); ran || err != nil {
		return err
	}
	dir, err := openFolder()
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	origin, err := startOrigin()
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	peer, err := start("steer", proxyServerCore, func(line string) string { return line }, self, "peer", "steer", "--to", c.MMDB)
	if err != nil {
		return err
	}
	defer peer.stop()
	director, err := c.startDirector(dir, origin, false)
	if err != nil {
		return err
	}
	defer director.stop()
	peer.name, director.name = steerPeer, "signpost"
	paths := filepath.Join(dir, "paths")
	if err := c.open(director.addr, paths); err != nil {
		return err
	}
	parties := []*party{peer, director}
	if err := watch(parties); err != nil {
		return err
	}
	modes := []mode{hangUp, openLoop}
	var keeping *party
	if c.Keep {
		if keeping, err = c.startDirector(dir, origin, true); err != nil {
			return err
		}
		defer keeping.stop()
		keeping.name = "signpost"
		if err := c.open(keeping.addr, paths+"-kept"); err != nil {
			return err
		}
		if err := watch([]*party{keeping}); err != nil {
			return err
		}
		modes = append(modes, keepAlive)
	}
	rounds := contest{Requests: c.Requests, Rounds: c.Rounds, Clients: c.Clients, Rate: float64(c.Sessions) / c.TTL, Paths: paths, Status: http.StatusOK}
	report := steerReport{Date: time.Now().UTC(), Machine: machine(), Rounds: map[mode]map[string][]round{}}
	fmt.Printf("%s; %s; median (lowest to highest) of %d rounds of %d requests, ratios are medians of each round's\n\n",
		report.Machine, report.Date.Format("2006-01-02"), c.Rounds, c.Requests)
	for _, m := range modes {
		if m == keepAlive {
			parties[1], rounds.Paths = keeping, paths+"-kept"
		}
		took, err := rounds.run(m, parties)
		if err != nil {
			return err
		}
		report.Rounds[m] = took
		fmt.Printf("%s:\n\n| | CPU, us an answer | of it at rest | x echo | answers/s | RSS MB |\n|---|---|---|---|---|---|\n", m)
		for _, p := range parties {
			of := took[p.name]
			fmt.Printf("| %s | %s | %.1f | %.2f | %.0f | %.0f |\n", p.name, spread(cpus(of), "%.1f"), medianOf(of, func(r round) float64 { return r.Rest }),
				beside(of, took[steerPeer]), medianOf(of, func(r round) float64 { return r.PerSecond }), float64(p.resident())/1e6)
		}
		fmt.Println()
	}
	even := report.Rounds[openLoop]
	core := median(cpus(even[director.name])) * rounds.Rate / 1e6
	fmt.Println("| | is | at most | |\n|---|---|---|---|")
	printGoal(fmt.Sprintf("%d players that ask every %.0f s, %% of a core", c.Sessions, c.TTL), core*100, mostOfCore)
	printGoal("CPU beside echo", beside(even[director.name], even[steerPeer]), mostBesideEcho)
	return writeJSON(c.JSON, report)
}

// The goals: the load of 10,000 players in percent of a core, and the CPU beside steerPeer.
const (
	mostOfCore     = 5
	mostBesideEcho = 0.6
)

func printGoal(what string, is, most float64) {
	verdict := "reached"
	if is > most {
		verdict = "NOT reached"
	}
	fmt.Printf("| %s | %.2f | %.2f | %s |\n", what, is, most, verdict)
}

// startOrigin starts the server behind every node.
func startOrigin() (addr string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	srv := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.apple.mpegurl")
		_, _ = io.WriteString(w, "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=128000,CODECS=\"mp4a.40.2\"\n128/index.m3u8\n") // the client may be gone
	})}
	go srv.Serve(l) //nolint:errcheck // it ends with the process
	return l.Addr().String(), nil
}

func (c *steerCmd) startDirector(dir, origin string, keeps bool) (*party, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "listen: {http: ['127.0.0.1:0'], trusted_proxies: [127.0.0.0/8], max_per_key: 0, max_per_address: 0, keep_alive: %t}\nadmin: {listen: '127.0.0.1:0'}\n"+
		"geo: {databases: [%q]}\nprobe: {interval: 30s}\nmounts: [%s]\nnodes:\n", keeps, c.MMDB, steerMount)
	var row []string
	for i := range c.Nodes {
		fmt.Fprintf(&b, "  - {id: n%d, urls: ['http://%s'], kind: http, probe: {path: /}, target: 1000000}\n", i, origin)
		row = append(row, fmt.Sprintf("n%d: %d", i, 1+i%3))
	}
	fmt.Fprintf(&b, "regions: [{id: world, match: default, weights: {%s}}]\n", strings.Join(row, ", "))
	file := filepath.Join(dir, fmt.Sprintf("steer-%t.yaml", keeps))
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		return nil, err
	}
	return start("signpost", proxyServerCore, listeningFor("http"), c.Signpost, "serve", "--config", file)
}

var steersAt = regexp.MustCompile(`SERVER-URI="http://[^/]*([^"]*)".*PATHWAY-ID="([^"]*)"`)

// open has every player get its playlist, and writes what each asks for then.
func (c *steerCmd) open(addr, file string) error {
	var b strings.Builder
	for deadline := time.Now().Add(time.Minute); strings.Count(b.String(), "\n") < c.Sessions; {
		resp, err := http.Get("http://" + addr + steerMount)
		if err != nil {
			return err
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			return err
		}
		m := steersAt.FindSubmatch(text)
		switch {
		case m != nil:
			fmt.Fprintf(&b, "%s&_HLS_pathway=%s&_HLS_throughput=1200000\n", m[1], m[2])
		case time.Now().After(deadline):
			return errors.New("signpost has no playlist with all nodes after a minute")
		default:
			time.Sleep(200 * time.Millisecond)
		}
	}
	return os.WriteFile(file, []byte(b.String()), 0o600)
}

// steering returns a handler that looks the listener up in a city database, orders ten nodes
// by their weights, and writes the JSON that steers the player.
func steering(file string) (echo.HandlerFunc, error) {
	db, err := geoip2.Open(file)
	if err != nil {
		return nil, err
	}
	type manifest struct {
		Version  int      `json:"VERSION"`
		TTL      int      `json:"TTL"`
		Reload   string   `json:"RELOAD-URI"`
		Priority []string `json:"PATHWAY-PRIORITY"`
	}
	nodes := make([]string, 10)
	for i := range nodes {
		nodes[i] = fmt.Sprintf("n%d", i)
	}
	return func(c echo.Context) error {
		addr, place, err := lookUp(db, c)
		if err != nil {
			return err
		}
		at := int(addr.As16()[15]) % len(nodes)
		if place.Continent.Code == "EU" {
			at = (at + 1) % len(nodes)
		}
		return c.JSON(http.StatusOK, manifest{
			Version: 1, TTL: 10, Reload: "http://" + c.Request().Host + c.Request().URL.Path + "?s=" + c.QueryParam("s"),
			Priority: append(append(make([]string, 0, len(nodes)), nodes[at:]...), nodes[:at]...),
		})
	}, nil
}
