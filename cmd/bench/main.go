// Command bench measures Signpost beside its peers, in one run.
//
// It starts all parties itself on loopback addresses, lets them take turns, and
// prints medians, spreads and ratios. The ratios matter: absolute numbers depend on
// the machine. It imports nothing of Signpost and sees only the wire.
package main

import (
	"fmt"
	"os"

	"github.com/alecthomas/kong"
)

type cli struct {
	Redirect redirectCmd `cmd:"" help:"CPU, time and memory of redirects, beside other ways to answer them."`
	Steer    steerCmd    `cmd:"" help:"CPU of answers to players of HLS that ask which node to use, beside the same JSON written by echo with a city database."`
	Decide   decideCmd   `cmd:"" help:"How the cost of a redirect grows with nodes, regions, mounts and rules."`
	Proxy    proxyCmd    `cmd:"" help:"CPU and memory per listener of a stream carried inline, beside other proxies."`
	DNS      dnsCmd      `cmd:"" name:"dns" help:"CPU of answers in DNS, beside other authoritative servers that look at where a client is."`
	Flood    floodCmd    `cmd:"" help:"What others notice of hostile clients of DNS."`
	Peer     peerCmd     `cmd:"" hidden:"" help:"Serve as a peer: started by the benchmarks themselves."`
	Ask      askCmd      `cmd:"" hidden:"" help:"Be the clients: started by the benchmarks themselves."`
	AskDNS   askDNSCmd   `cmd:"" name:"askdns" hidden:"" help:"Be the client of DNS: started by the benchmark itself."`
}

func main() {
	ctx := kong.Parse(&cli{}, kong.Name("bench"), kong.UsageOnError(),
		kong.Description("Measures Signpost beside its peers, in one run."))
	if err := ctx.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
