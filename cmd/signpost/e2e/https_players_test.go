package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director/probe/probetest"
	"github.com/signpost-fm/signpost/web/admin/dashboard/browsertest"
)

// A trusting player plays a URL by https, with a root that only the test knows.
type trusting struct {
	player
	sessions
}

// sessions says how a player comes a second time.
type sessions uint8

const (
	resumes sessions = iota // the session of the first connection
	anew
	once // it plays one URL only
)

// trustingPlayers are players with their own ways to trust a root. Chromium is apart.
func trustingPlayers(roots string) []trusting {
	return []trusting{
		{player{
			name: "curl", program: "curl",
			args: func(url, out string, seconds int) []string {
				return []string{"-sL", "--cacert", roots, "--max-time", strconv.Itoa(seconds), "-o", os.DevNull, url, "-o", out, url}
			},
		}, resumes},
		{player{
			name: "ffmpeg", program: "ffmpeg",
			args: func(url, out string, seconds int) []string {
				trust := []string{"-tls_verify", "1", "-ca_file", roots, "-t", strconv.Itoa(seconds), "-i", url}
				args := append([]string{"-v", "error", "-y"}, trust...)
				return append(append(args, trust...), "-filter_complex", "[0:a][1:a]concat=n=2:v=0:a=1", out)
			},
		}, anew},
		{player{
			name: "mpv", program: "mpv",
			args: func(url, out string, seconds int) []string {
				return []string{"--no-config", "--no-video", "--ao=pcm", "--ao-pcm-file=" + out, "--tls-verify=yes", "--tls-ca-file=" + roots, "--length=" + strconv.Itoa(seconds), url, url}
			},
		}, anew},
		{player{
			name: "vlc", program: "cvlc", notRoot: true,
			args: func(url, out string, seconds int) []string {
				return []string{
					"-q", "--run-time=" + strconv.Itoa(seconds), "--no-video", "--no-gnutls-system-trust", "--gnutls-dir-trust=" + filepath.Dir(roots),
					"--sout", "#gather:transcode{acodec=s16l,channels=1,samplerate=44100}:std{access=file,mux=wav,dst=" + out + "}", "--sout-keep", url, url, "vlc://quit",
				}
			},
		}, anew},
		{player{
			name: "gstreamer", program: "gst-launch-1.0", script: `
gst-launch-1.0 -q souphttpsrc num-buffers=20 ssl-ca-file=$3 location=$1 ! icydemux ! decodebin ! audioconvert ! wavenc ! filesink location="$2"
`,
			args: func(url, out string, _ int) []string { return []string{url, out, roots} },
		}, once},
	}
}

// By https, real players play the node that they are sent to, which has a certificate, too, and
// what is carried inline. Which of them resume a session is seen from outside.
func TestPlayersOverHTTPS(t *testing.T) {
	t.Parallel()
	ca := probetest.NewAuthority(t)
	shown := ca.Issue("localhost", time.Now().Add(24*time.Hour))
	node := probetest.Icecast(t, probetest.Options{Certificate: &shown, Mounts: []probetest.Mount{{Path: "/live.mp3", Hz: tones[1], Kbit: 64, Title: "Tone"}}})
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "roots"), 0o755); err != nil {
		t.Fatal(err)
	}
	reachable(t, filepath.Join(dir, "roots")) // VLC is another user
	files := map[string][]byte{"roots/root.pem": ca.PEM(), "bundle.pem": probetest.Bundle(t, shown)}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	roots := filepath.Join(dir, "roots", "root.pem")
	direct := func(rest string) *signpost {
		s := directLimited(t, 0, `listen: {http: ['127.0.0.1:0'], https: ['127.0.0.1:0'], cert_file: '`+dir+`/bundle.pem', key_file: '`+dir+`/bundle.pem', max_per_key: 0, max_per_address: 0}
admin: {listen: '127.0.0.1:0'}
mounts: [/live.mp3]
nodes: [{id: n1, urls: ['`+node.URL()+`', 'https://localhost:`+node.SecurePort()+`']}]
`+quickProbes+rest, "SSL_CERT_FILE="+roots)
		s.eventually(patience, "it answers by https", func() bool { return statusOver(t, s, ca.Pool) != http.StatusServiceUnavailable })
		return s
	}
	ways := map[string]*signpost{"redirect": direct("rules: {scheme_mismatch: deny}\n"), "inline": direct(inline)}
	for way, s := range ways {
		for _, p := range trustingPlayers(roots) {
			t.Run(p.name+"/"+way, func(t *testing.T) {
				t.Parallel()
				w := watchHandshakes(t, s.secure)
				if got := heard(t, play(t, p.player, w.url+"/live.mp3", 2), tones); got != tones[1] {
					t.Errorf("heard %d Hz, want %d", got, tones[1])
				}
				w.judge(t, p.sessions)
			})
		}
	}
	t.Run("chromium", func(t *testing.T) {
		t.Parallel()
		tab := browsertest.StartTrusting(t, ca.PEM())
		for way, s := range ways {
			w := watchHandshakes(t, s.secure)
			tab.Go(w.url + "/healthz")
			for range 2 {
				const begin = "window.radio = Object.assign(new Audio('/live.mp3'), {autoplay: true})"
				browsertest.Eval[bool](tab, "Boolean("+begin+")")
				// What breaks off, as a stream does that is read too slowly, is begun again.
				tab.Await(way+" plays", "(() => { if (window.radio.error || window.radio.ended) "+begin+"; return window.radio.currentTime > 1 })()")
				w.cut() // over HTTP/2, all requests are on one connection
			}
			w.judge(t, resumes)
		}
	})
}

// statusOver asks for the stream by https, and returns the answer's status.
func statusOver(t *testing.T, s *signpost, roots *x509.CertPool) int {
	t.Helper()
	c := *client
	c.Transport = &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "localhost"}}
	resp, err := c.Get("https://" + s.secure + "/live.mp3")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// handshakes are what passes between players and a director, as far as it can be read.
type handshakes struct {
	url string

	mu   sync.Mutex
	all  []*handshake
	open []net.Conn
}

// handshake is how the two sides of a connection begin.
type handshake struct{ client, server []byte }

// watchHandshakes stands between a player and an https listener.
func watchHandshakes(t *testing.T, to string) *handshakes {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &handshakes{url: fmt.Sprintf("https://localhost:%d", l.Addr().(*net.TCPAddr).Port)}
	t.Cleanup(func() {
		l.Close()
		w.cut()
	})
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go w.pass(c, to)
		}
	}()
	return w
}

// cut ends all connections.
func (w *handshakes) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.open {
		c.Close()
	}
	w.open = nil
}

func (w *handshakes) pass(from net.Conn, addr string) {
	defer from.Close()
	to, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer to.Close()
	h := new(handshake)
	w.mu.Lock()
	w.all = append(w.all, h)
	w.open = append(w.open, from, to)
	w.mu.Unlock()
	go func() {
		_, _ = io.Copy(to, io.TeeReader(from, &beginning{w, &h.client}))
		_ = to.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(from, io.TeeReader(to, &beginning{w, &h.server}))
}

// beginning keeps the beginning of what one side sends.
type beginning struct {
	w    *handshakes
	kept *[]byte
}

func (b *beginning) Write(p []byte) (int, error) {
	b.w.mu.Lock()
	defer b.w.mu.Unlock()
	*b.kept = append(*b.kept, p[:min(len(p), max(0, 4096-len(*b.kept)))]...)
	return len(p), nil
}

// judge fails the test if a player's connections were not as they should be.
func (w *handshakes) judge(t *testing.T, want sessions) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	all, resumed := 0, 0
	for _, h := range w.all {
		if len(h.server) == 0 {
			continue // who comes ahead of need, as browsers do
		}
		all++
		offered, taken := hasPSK(h.client), hasPSK(h.server)
		if offered != taken {
			t.Errorf("a session was offered: %t, and resumed: %t", offered, taken)
		}
		if taken {
			resumed++
		}
	}
	t.Logf("%d connections, %d of them resumed", all, resumed)
	if want == resumes && resumed == 0 || want == anew && (resumed > 0 || all < 2) {
		t.Errorf("%d connections, %d of them resumed", all, resumed)
	}
}

// hasPSK says whether a ClientHello offers, or a ServerHello takes up, a session by TLS 1.3's
// extension pre_shared_key (RFC 8446, 4.2.11). No message of the two is longer than a record.
func hasPSK(b []byte) bool {
	const recordAndMessage, versionAndRandom, clientHello, preSharedKey = 5 + 4, 2 + 32, 1, 41
	if len(b) < recordAndMessage+versionAndRandom {
		return false
	}
	client := b[5] == clientHello
	b = b[recordAndMessage+versionAndRandom:]
	skip := func(size int) { // a field whose length is in so many bytes
		n := 0
		for _, x := range b[:min(size, len(b))] {
			n = n<<8 | int(x)
		}
		b = b[min(size+n, len(b)):]
	}
	skip(1) // session id
	if client {
		skip(2) // cipher suites
		skip(1) // compression methods
	} else {
		b = b[min(3, len(b)):] // one of each
	}
	for b = b[min(2, len(b)):]; len(b) >= 4; { // extensions
		if binary.BigEndian.Uint16(b) == preSharedKey {
			return true
		}
		b = b[2:]
		skip(2)
	}
	return false
}
