package main

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/oschwald/maxminddb-golang/v2"
)

// startRedis starts a Redis on the clients' core: it is not measured.
func startRedis() (*party, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	ready := func(line string) string {
		if strings.Contains(line, "Ready to accept connections") {
			return addr
		}
		return ""
	}
	_, port, _ := strings.Cut(addr, ":")
	return start("redis", clientCore, ready, "redis-server", "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no")
}

// startNginxRedirects starts an nginx that knows the continent of every network. It
// splits European listeners among nine nodes by weight, and all others evenly among ten.
// Its access log is buffered.
func startNginxRedirects(dir, geo string, secure bool) (*party, error) {
	return startConfigured(dir, "nginx", []string{"-c"}, func(addr string) string {
		return fmt.Sprintf(`daemon off; master_process off; pid %[1]s/nginx.pid; error_log stderr crit; worker_rlimit_nofile 20000;
events { worker_connections 10000; }
http {
 access_log %[1]s/access.log combined buffer=64k flush=1s;
 client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
 keepalive_requests 100000000;
 geo $http_x_forwarded_for $continent { ranges; default none; include %[2]s; }
 split_clients "$http_x_forwarded_for$http_user_agent" $european { 20%% n0; 20%% n1; 20%% n2; 10%% n3; 10%% n4; 5%% n5; 5%% n6; 5%% n7; * n8; }
 split_clients "$http_user_agent$http_x_forwarded_for" $other { 10%% n0; 10%% n1; 10%% n2; 10%% n3; 10%% n4; 10%% n5; 10%% n6; 10%% n7; 10%% n8; * n9; }
 map $continent $node { EU $european; default $other; }
 server { %[3]s location = /live.mp3 { add_header Cache-Control no-store always; return 302 http://$node.example:8000$request_uri; } }
}
`, dir, geo, nginxListen(dir, addr, secure))
	})
}

// startHAProxyRedirects starts a HAProxy that finds the continent with map_ip and picks one
// of ten nodes by a hash of the address, without weights. It writes no log.
func startHAProxyRedirects(dir, geo string) (*party, error) {
	return startConfigured(dir, "haproxy", []string{"-db", "-f"}, func(addr string) string {
		return fmt.Sprintf(`global
 maxconn 9000
 nbthread 1
defaults
 mode http
 timeout connect 5s
 timeout client 60s
 timeout server 60s
frontend f
 bind %s
 http-request set-var(txn.c) req.hdr(X-Forwarded-For),map_ip(%s,none)
 http-request set-var(txn.h) req.hdr(X-Forwarded-For),crc32,mod(10)
 http-request redirect code 302 location http://n%%[var(txn.h)].%%[var(txn.c)].example:8000%%[capture.req.uri]
`, addr, geo)
	})
}

// continentFiles writes the continents of a database's IPv4 networks to two files: as
// ranges for nginx, and as prefixes for HAProxy.
func continentFiles(dir, mmdb string) (ranges, prefixes string, err error) {
	db, err := maxminddb.Open(mmdb)
	if err != nil {
		return "", "", err
	}
	defer db.Close()
	var forNginx, forHAProxy strings.Builder // entries for runs of networks on one continent
	known := map[uintptr]string{}
	var first, last netip.Addr
	var before string
	flush := func() {
		if before == "" {
			return
		}
		fmt.Fprintf(&forNginx, "%s-%s %s;\n", first, last, before)
		for _, p := range prefixes4(first, last) {
			fmt.Fprintf(&forHAProxy, "%s %s\n", p, before)
		}
	}
	for result := range db.NetworksWithin(netip.MustParsePrefix("0.0.0.0/0")) {
		continent, ok := known[result.Offset()]
		if !ok {
			if err := result.DecodePath(&continent, "continent", "code"); err != nil {
				return "", "", err
			}
			known[result.Offset()] = continent
		}
		p := result.Prefix()
		if continent != before || last.Next() != p.Addr() {
			flush()
			first, before = p.Addr(), continent
		}
		last = lastOf(p)
	}
	flush()
	ranges, prefixes = filepath.Join(dir, "continents.ranges"), filepath.Join(dir, "continents.prefixes")
	if err := os.WriteFile(ranges, []byte(forNginx.String()), 0o600); err != nil {
		return "", "", err
	}
	return ranges, prefixes, os.WriteFile(prefixes, []byte(forHAProxy.String()), 0o600)
}

// prefixes4 returns the fewest prefixes that cover a range of IPv4 addresses.
func prefixes4(first, last netip.Addr) (all []netip.Prefix) {
	for from, to := number(first), number(last); from <= to; {
		size := min(bits.TrailingZeros64(from|1<<32), bits.Len64(to-from+1)-1)
		all = append(all, netip.PrefixFrom(address(from), 32-size))
		from += 1 << size
	}
	return all
}

func number(a netip.Addr) uint64 {
	b := a.As4()
	return uint64(binary.BigEndian.Uint32(b[:]))
}

func address(n uint64) netip.Addr {
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(n))))
}

func lastOf(p netip.Prefix) netip.Addr {
	return address(number(p.Addr()) + 1<<(32-p.Bits()) - 1)
}
