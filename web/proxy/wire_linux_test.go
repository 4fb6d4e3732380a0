package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/signpost-fm/signpost/director/probe/proctest"
)

// A listener over TLS hears what the node sends, whole and in order, also through a socket
// that does not take a record at once. At the end it is told that this is the end.
func TestWireCarriesAll(t *testing.T) {
	t.Parallel()
	for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startStation(t, 0, okHead)
			f := newFront(t, quick(), Request{Upstreams: upstreams(s.node)})
			f.start(wiredTLS)
			tcp := f.dial(t)
			_ = tcp.SetReadBuffer(4 << 10)
			conn := tls.Client(tcp, &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version})
			if _, err := io.WriteString(conn, getRequest); err != nil {
				t.Fatal(err)
			}
			s.tell(40)
			h := &heard{br: bufio.NewReader(conn)}
			h.head = readAnswer(t, h.br)
			h.frames(t, 40)
			s.tell(1000) // 400 KB
			h.frames(t, 1000)
			s.end(func(*net.TCPConn) {})
			if _, err := io.Copy(io.Discard, h.br); err != nil { // tls says io.ErrUnexpectedEOF to a bare FIN
				t.Errorf("at the end: %v", err)
			}
			if res := f.result(t); res.End != EndUpstreamEnded || res.Bytes != 1040*417 {
				t.Errorf("result %+v", res)
			}
		})
	}
}

// At the end of a handshake in which the client speaks last, the server's socket acknowledges at
// once what comes, so that a client with Nagle's algorithm sends its request.
func TestWireAcknowledgesHandshakes(t *testing.T) {
	t.Parallel()
	f := newFront(t, quick(), Request{})
	f.StartTLS() // for its certificate
	for name, c := range map[string]struct {
		config *tls.Config
		again  bool // the second handshake, which resumes
	}{
		"TLS 1.3":              {&tls.Config{MinVersion: tls.VersionTLS13}, false},
		"TLS 1.3, another key": {&tls.Config{MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP521}}, false},
		"TLS 1.2, resumed":     {&tls.Config{MaxVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(1)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			c.config.InsecureSkipVerify, c.config.ServerName = true, "radio.example"
			server := f.TLS.Clone()
			if len(c.config.CurvePreferences) > 0 {
				server.CurvePreferences = c.config.CurvePreferences[1:]
			}
			for last := !c.again; ; last = true {
				tcp, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				client := tls.Client(tcp, c.config)
				shaken := make(chan error, 1)
				go func() {
					err := client.Handshake()
					if err == nil { // a session of TLS 1.3 is read with what follows
						_, err = client.Write([]byte("x"))
					}
					shaken <- err
				}()
				theirs, err := l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				ours := tls.Server(&wire{Conn: lazy{theirs.(*net.TCPConn)}}, server)
				if _, err := ours.Read(make([]byte, 1)); err != nil {
					t.Fatal(err)
				}
				if err := <-shaken; err != nil {
					t.Fatal(err)
				}
				if last && !(lazy{theirs.(*net.TCPConn)}).atOnce(t) {
					t.Errorf("the client's last flight is acknowledged late; resumed: %t", ours.ConnectionState().DidResume)
				}
				if last && ours.ConnectionState().DidResume != c.again {
					t.Error("resumed, or not")
				}
				client.Close()
				ours.Close()
				if last {
					return
				}
			}
		})
	}
}

// A lazy socket acknowledges late what comes after it has sent something, as the kernel does
// where that was an answer to something that came less than 40 ms before.
type lazy struct{ *net.TCPConn }

func (c lazy) NetConn() net.Conn { return c.TCPConn }

func (c lazy) Write(b []byte) (int, error) {
	raw, err := c.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 0) })
	}
	if err != nil {
		return 0, err
	}
	return c.TCPConn.Write(b)
}

// atOnce says whether it acknowledges what comes without waiting.
func (c lazy) atOnce(t *testing.T) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	is := 0
	if e := raw.Control(func(fd uintptr) { is, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK) }); e != nil || err != nil {
		t.Fatal(e, err)
	}
	return is == 1
}

// A loop takes a connection over with what was read from the socket and not by TLS, as a
// reader of the PROXY protocol does.
func TestWireKeepsWhatWasReadEarly(t *testing.T) {
	t.Parallel()
	f := newFront(t, quick(), Request{})
	f.StartTLS() // for its certificate
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	hold := &holding{}
	if hold.Conn, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	defer hold.Close()
	tcp, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	server := tls.Server(&wire{Conn: &ahead{tcp, bufio.NewReader(tcp)}}, f.TLS)
	client := over(hold, wiredTLS).(*tls.Conn)
	shaken := make(chan error, 1)
	go func() { shaken <- client.Handshake() }()
	if err := server.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-shaken; err != nil {
		t.Fatal(err)
	}
	hold.back = true
	rest := strings.Repeat("the rest ", 300) // crypto/tls itself reads some hundred bytes ahead
	_, _ = io.WriteString(client, "the request")
	_, _ = io.WriteString(client, rest)
	if _, err := hold.Conn.Write(hold.held); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 4096)
	if n, err := server.Read(got); err != nil || string(got[:n]) != "the request" {
		t.Fatalf("%q, %v", got[:n], err)
	}
	who := takeOver(server)
	if who == nil {
		t.Fatal("the connection cannot be taken over")
	}
	defer unix.Close(who.fd)
	n := 0
	for err == nil {
		m := 0
		m, err = who.read(got[n:])
		n += m
	}
	if string(got[:n]) != rest || !errors.Is(err, unix.EAGAIN) {
		t.Errorf("%d bytes, then %v; want %d, then %v", n, err, len(rest), unix.EAGAIN)
	}
}

// ahead reads ahead.
type ahead struct {
	net.Conn
	br *bufio.Reader
}

func (c *ahead) Read(b []byte) (int, error) { return c.br.Read(b) }
func (c *ahead) NetConn() net.Conn          { return c.Conn }

// holding holds back what is written.
type holding struct {
	net.Conn
	back bool
	held []byte
}

func (c *holding) Write(b []byte) (int, error) {
	if !c.back {
		return c.Conn.Write(b)
	}
	c.held = append(c.held, b...)
	return len(b), nil
}

// A listener may change its key in mid-stream and ask for a change of ours (RFC 8446, 4.6.3).
func TestWireUpdatesKeys(t *testing.T) {
	t.Parallel()
	proctest.Need(t, "openssl")
	s := startStation(t, 0, okHead)
	f := newFront(t, quick(), Request{Upstreams: upstreams(s.node), Mount: "/m"})
	f.start(wiredTLS)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "openssl", "s_client", "-connect", f.Listener.Addr().String(), "-tls1_3", "-msg")
	cmd.SysProcAttr = proctest.DieWithTest()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out proctest.Output
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cancel()
		_ = cmd.Wait()
	}()
	_, _ = io.WriteString(in, strings.ReplaceAll(getRequest, "\r\n", "\n"))
	s.tell(40)
	frame := frames(1)[:36] // as all frames begin
	until(t, "the stream plays", func() bool { return out.Count(frame) >= 40 })
	_, _ = io.WriteString(in, "K\n")
	until(t, "the director answers with its own update", func() bool { return out.Count("<<< TLS 1.3, Handshake [length 0005], KeyUpdate") > 0 })
	before := out.Count(frame)
	s.tell(40)
	until(t, "the stream goes on", func() bool { return out.Count(frame) >= before+40 })
}
