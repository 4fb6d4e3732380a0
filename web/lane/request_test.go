package lane

import (
	"bufio"
	"bytes"
	"net/http"
	"net/textproto"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/net/http/httpguts"
)

// seeds are requests that are read here, and such as resemble them.
var seeds = []string{
	"GET /live.mp3 HTTP/1.1\r\nHost: radio.example\r\nUser-Agent: VLC/3.0.20 LibVLC/3.0.20\r\nicy-metadata: 1\r\nRange: bytes=0-\r\nConnection: close\r\n\r\n",
	"GET /live.mp3?token=a%20b&x=1#y HTTP/1.1\r\nHost: radio.example:8000\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 198.51.100.7 \r\n\r\nGET / HTTP/1.1\r\n",
	"GET /;stream.mp3 HTTP/1.0\r\n\r\n",
	"GET /a/b-c._~,=&+$@: HTTP/1.0\r\nHost: [2001:db8::1]:80\r\nConnection: keep-alive\r\n\r\n",
	"GET /live.mp3 HTTP/1.1\r\nhost: x\r\nAccept:\t */* \r\nEmpty:\r\n\r\n",
	"GET /a HTTP/1.1\r\nHost: x\r\nConnection: Keep-Alive\r\n\r\n",
	"GET /a HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
	"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nConnection: keep-alive\r\n\r\n",
	"GET /a HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
	"GET /a HTTP/1.1\r\n\r\n",
	"GET /a HTTP/1.1\r\nHost: x y\r\n\r\n",
	"GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
	"GET /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"GET /a HTTP/1.1\r\nHost: x\r\nPragma: no-cache\r\n\r\n",
	"GET /a HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
	"GET /a HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n",
	"GET /a HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n",
	"GET /a HTTP/1.1\nHost: x\n\n",
	"GET /a HTTP/1.1\r\nHost: x\r\nA: b\nC: d\r\n\r\n",
	"GET /a HTTP/1.1\r\nHost: x\r\nA: \xff\x01\r\n\r\n",
	"GET http://x/a HTTP/1.1\r\nHost: y\r\n\r\n",
	"GET //x/a HTTP/1.1\r\nHost: y\r\n\r\n",
	"GET /a? HTTP/1.1\r\nHost: y\r\n\r\n",
	"GET /%2fa HTTP/1.1\r\nHost: y\r\n\r\n",
	"GET /a  HTTP/1.1\r\nHost: y\r\n\r\n",
	"GET /a HTTP/1.1 \r\nHost: y\r\n\r\n",
	"GET /a\r\n\r\n",
	"HEAD /a HTTP/1.1\r\nHost: y\r\n\r\n",
	"OPTIONS * HTTP/1.1\r\nHost: y\r\n\r\n",
	"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	"GET /a HTTP/1.1\r\nHost: y\r\n",
}

// What is read here, net/http reads in the same way. A request is read after
// another, whose remains must not show.
func FuzzRead(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var d reader
		d.init(&http.Request{})
		d.read([]byte("GET /before?q HTTP/1.0\r\nHost: before\r\nBefore: x\r\nCookie: y\r\n\r\n"))
		size := d.read(b)
		if size == 0 {
			return
		}
		in := bytes.NewReader(b)
		buffered := bufio.NewReader(in)
		want, err := http.ReadRequest(buffered)
		if err != nil {
			t.Fatalf("net/http refuses %q: %v", b, err)
		}
		if got := len(b) - in.Len() - buffered.Buffered(); got != size {
			t.Errorf("the request has %d bytes, want %d", size, got)
		}
		if diff := cmp.Diff(want, d.req, cmpopts.IgnoreUnexported(http.Request{})); diff != "" {
			t.Errorf("%q: net/http's -, ours +\n%s", b, diff)
		}
		// What a server looks at besides.
		if want.ProtoMinor == 1 && want.Host == "" || !httpguts.ValidHostHeader(want.Host) {
			t.Errorf("a server refuses the host %q", want.Host)
		}
		for name, values := range want.Header {
			if !httpguts.ValidHeaderFieldName(name) || name != textproto.CanonicalMIMEHeaderKey(name) {
				t.Errorf("a server refuses the header %q", name)
			}
			for _, v := range values {
				if !httpguts.ValidHeaderFieldValue(v) {
					t.Errorf("a server refuses %s: %q", name, v)
				}
			}
		}
	})
}

// What players send is read here, and everything with a meaning beyond that is not.
func TestWhatIsRead(t *testing.T) {
	t.Parallel()
	for i, s := range seeds {
		var d reader
		d.init(&http.Request{})
		want := i < 3 || i == 4 || i == 5
		if got := d.read([]byte(s)) > 0; got != want {
			t.Errorf("%q is read: %t, want %t", s, got, want)
		}
	}
}

func TestReadingAllocates(t *testing.T) {
	var d reader
	d.init(&http.Request{})
	request := []byte(seeds[0])
	d.read(request)
	if n := testing.AllocsPerRun(100, func() { d.read(request) }); n > 1 { // its text
		t.Errorf("reading a request takes %v allocations", n)
	}
}
