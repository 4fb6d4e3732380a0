package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/signpost-fm/signpost/director"
)

// An ask is a request to a node.
type ask struct {
	upstream Upstream
	req      Request
	header   http.Header
	query    string // what one listener adds to the URL: it may be secret, and it may be wrong
}

// shows reports whether the node gets something from the listener that may be wrong.
func (a *ask) shows() bool { return a.query != "" || a.header["Authorization"] != nil }

// product is the director's User-Agent toward nodes.
const product = "Signpost"

// newAsk makes the request for a stream. It always asks for metadata, whether the first
// listener wants them or not. Over a personal upstream the node is told who listens. A
// Range is never passed on: a live stream has none, and a 206 answer makes players open
// another connection.
func (p *Proxy) newAsk(u Upstream, req Request) ask {
	a := ask{upstream: u, req: req, header: http.Header{"Accept": {"*/*"}, "Icy-MetaData": {"1"}, "User-Agent": {product}}}
	if req.personal {
		a.query = req.Query
		if req.Authorization != "" {
			a.header["Authorization"] = []string{req.Authorization}
		}
		a.header["User-Agent"] = []string{req.UserAgent} // "" sends none
		if req.Client.IsValid() {
			a.header["X-Forwarded-For"] = []string{req.Client.Unmap().WithZone("").String()}
		}
	}
	return a
}

// url returns the URL to request.
func (a *ask) url() (*url.URL, error) {
	u, err := url.Parse(a.upstream.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, refuse(WhyURL, "not an absolute http or https URL")
	}
	switch {
	case a.query == "":
	case u.RawQuery == "":
		u.RawQuery = a.query
	default:
		u.RawQuery += "&" + a.query
	}
	return u, nil
}

// blames reports whether a failure counts against the node. The cause may instead be what
// one listener sends: a wrong token is answered with 403, like a listener at a full node.
func (a *ask) blames(w Why) bool {
	switch w {
	case WhyMembers, WhyOwn:
		return false
	case WhyFull, WhyStatus, WhyRedirect, WhyNotAudio:
		return !a.shows()
	}
	return true
}

// nodeAt returns the node of the fleet at u's scheme, host and port. If there are several,
// it returns the one whose path is the longest prefix of u's.
func (p *Proxy) nodeAt(a ask, u *url.URL) (found director.NodeID, ok bool) {
	most := -1
	consider := func(node director.NodeID, at string) {
		v, err := url.Parse(at)
		if err != nil || v.Scheme != u.Scheme || !strings.EqualFold(hostPort(v), hostPort(u)) {
			return
		}
		common := 0
		if path := strings.TrimSuffix(v.Path, "/"); u.Path == path || strings.HasPrefix(u.Path, path+"/") {
			common = len(path)
		}
		if common > most {
			found, most = node, common
		}
	}
	for _, up := range a.req.Upstreams {
		consider(up.Node, up.URL)
	}
	if p.cfg.Nodes != nil {
		for node, at := range p.cfg.Nodes() {
			consider(node, at)
		}
	}
	return found, most >= 0
}

// refusal is why a node does not play, before it is made a Failure.
type refusal struct {
	why        Why
	detail     string
	code       int      // the answer's status, if that is the reason
	challenges []string // WWW-Authenticate of a 401
}

func (r *refusal) Error() string { return r.detail }

func refuse(why Why, format string, args ...any) error {
	return &refusal{why: why, detail: fmt.Sprintf(format, args...)}
}

// openOne asks one node. It follows one redirect if that leads to a node of the fleet:
// the operator has not approved any other destination.
func (p *Proxy) openOne(ctx context.Context, a ask) (*upstream, error) {
	first, err := a.url()
	if err != nil {
		return nil, err
	}
	up, err := p.get(ctx, a, first)
	if err != nil {
		return nil, err
	}
	up.node = a.upstream.Node
	if !isRedirect(up.head.code) {
		return up.begin()
	}
	location := up.head.get("Location")
	up.close()
	next, err := follow(first, location)
	if err != nil || location == "" {
		return nil, refuse(WhyRedirect, "redirects to %.100q, which is no URL", location)
	}
	node, ok := p.nodeAt(a, next)
	switch {
	case !ok:
		return nil, refuse(WhyRedirect, "redirects to %.100q, which is no node of the fleet", location)
	case next.String() == first.String():
		return nil, refuse(WhyRedirect, "redirects to itself")
	}
	if up, err = p.get(ctx, a, next); err != nil {
		return nil, fmt.Errorf("redirects to %.100q: %w", location, err)
	}
	up.node = node
	if isRedirect(up.head.code) {
		up.close()
		return nil, refuse(WhyRedirect, "redirects to %.100q, which redirects again", location)
	}
	return up.begin()
}

// follow returns where a Location leads, with its host as the fleet's URLs have it.
func follow(from *url.URL, location string) (*url.URL, error) {
	to, err := from.Parse(location)
	if err != nil {
		return nil, err
	}
	to.Fragment = ""
	to.Host, err = httpguts.PunycodeHostPort(strings.ToLower(to.Host))
	return to, err
}

func isRedirect(code int) bool {
	switch code {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// get sends the request and reads the head of the answer. The connection must deliver
// audio within HeaderTimeout. It is closed as soon as ctx ends, even after get returned.
func (p *Proxy) get(ctx context.Context, a ask, u *url.URL) (*upstream, error) {
	conn, err := p.dial(ctx, u)
	switch {
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return nil, refuse(WhyOwn, "%v", err)
	case err != nil:
		return nil, refuse(WhyConnect, "%v", err)
	}
	up := &upstream{conn: conn}
	up.hook(ctx)
	_ = conn.SetDeadline(time.Now().Add(p.cfg.HeaderTimeout))
	// HTTP/1.1 and not 1.0, because some balancers and CDNs answer 1.0 with 426. A node
	// that chunks its answer is understood.
	r := http.Request{Method: http.MethodGet, URL: u, Host: u.Host, Header: a.header, Close: true}
	if err := r.Write(conn); err != nil {
		up.close()
		return nil, refuse(WhyConnect, "%v", err)
	}
	up.br = bufio.NewReader(conn)
	if up.head, err = readHead(up.br); err != nil {
		up.close()
		return nil, openingError(WhyHeader, err)
	}
	return up, nil
}

func openingError(why Why, err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return refuse(WhyTimeout, "connected, but no audio came in time")
	}
	return refuse(why, "%v", err)
}

// dial connects within ConnectTimeout, TLS included.
func (p *Proxy) dial(ctx context.Context, u *url.URL) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.ConnectTimeout)
	defer cancel()
	if u.Scheme == "https" {
		return (&tls.Dialer{Config: p.cfg.TLS}).DialContext(ctx, "tcp", hostPort(u))
	}
	return new(net.Dialer).DialContext(ctx, "tcp", hostPort(u))
}

func hostPort(u *url.URL) string {
	return net.JoinHostPort(u.Hostname(), director.PortOf(u))
}
