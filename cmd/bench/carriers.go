package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// proxyServerCore is the core on which the measured servers run.
const proxyServerCore = 0

// A carrier is a server to compare: Icecast itself, or a proxy in front of it.
type carrier struct {
	name  string
	start func(c *proxyCmd, dir string, origin *party) (*party, error)
	tune  tuner
}

// carriers are all servers that --parties can name.
var carriers = []carrier{
	{"icecast", func(_ *proxyCmd, _ string, origin *party) (*party, error) { return origin, nil }, tuneIn},
	{"nginx", startNginx(false), tuneIn},
	{"nginx-tls", startNginx(true), tuneInTLS},
	{"haproxy", startHAProxy, tuneIn},
	{"httputil", startHTTPUtil, tuneIn},
	{"signpost", signpostAs("http: ['127.0.0.1:0']", "", "http"), tuneIn},
	{"signpost-own", signpostAs("http: ['127.0.0.1:0']", ", per_listener: true", "http"), tuneIn},
	{"signpost-tls", signpostAs(secureListen, "", "https"), tuneInTLS},
}

func startNginx(secure bool) func(*proxyCmd, string, *party) (*party, error) {
	return func(_ *proxyCmd, dir string, origin *party) (*party, error) {
		if err := writeCertificate(dir); err != nil {
			return nil, err
		}
		return startConfigured(dir, "nginx", []string{"-c"}, func(addr string) string {
			return fmt.Sprintf("daemon off; master_process off; pid %s/nginx.pid; error_log stderr crit; worker_rlimit_nofile 20000;\n"+
				"events { worker_connections 18000; }\nhttp { access_log off; client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;\n"+
				"server { %s location / { proxy_pass http://%s; proxy_buffering off; } } }\n", dir, nginxListen(dir, addr, secure), origin.addr)
		})
	}
}

// nginxListen is how an nginx listens, over TLS with the settings that Signpost has: tickets,
// one for each session, and X25519 before P-256.
func nginxListen(dir, addr string, secure bool) string {
	if !secure {
		return "listen " + addr + ";"
	}
	return fmt.Sprintf("listen %s ssl; ssl_certificate %s/cert.pem; ssl_certificate_key %[2]s/key.pem; ssl_protocols TLSv1.2 TLSv1.3;"+
		" ssl_session_tickets on; ssl_session_cache none; ssl_session_timeout 1d; ssl_ecdh_curve X25519:prime256v1; ssl_conf_command NumTickets 1;", addr, dir)
}

func startHAProxy(_ *proxyCmd, dir string, origin *party) (*party, error) {
	return startConfigured(dir, "haproxy", []string{"-db", "-f"}, func(addr string) string {
		return fmt.Sprintf("global\n maxconn 9000\n nbthread 1\ndefaults\n mode http\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n"+
			"frontend f\n bind %s\n default_backend b\nbackend b\n server s %s\n", addr, origin.addr)
	})
}

// startConfigured starts a program whose configuration file says where to listen; args
// precede the file's name.
func startConfigured(dir, program string, args []string, conf func(addr string) string) (*party, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, program+".conf")
	if err := os.WriteFile(file, []byte(conf(addr)), 0o600); err != nil {
		return nil, err
	}
	return startSilent(program, addr, program, append(args, file)...)
}

func startHTTPUtil(_ *proxyCmd, _ string, origin *party) (*party, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return start("httputil", proxyServerCore, func(line string) string { return line }, self, "peer", "reverseproxy", "--to", "http://"+origin.addr)
}

// signpostAs starts Signpost with its defaults, except for its limits and the given options.
func signpostAs(listen, options, scheme string) func(*proxyCmd, string, *party) (*party, error) {
	return func(c *proxyCmd, dir string, origin *party) (*party, error) {
		conf := "listen: {" + listen + ", max_per_key: 0, max_per_address: 0}\nadmin: {listen: '127.0.0.1:0'}\n" +
			"mounts: [/live.mp3]\nnodes: [{id: a, urls: ['http://" + origin.addr + "'], place: DE}]\n" +
			"proxy: {max_listeners: 20000, max_mbit: 0" + options + "}\nrules: [{answer: proxy}]\n"
		file := filepath.Join(dir, "signpost.yaml")
		err := errors.Join(os.WriteFile(file, []byte(conf), 0o600), writeCertificate(dir))
		if err != nil {
			return nil, err
		}
		return start("signpost", proxyServerCore, listeningFor(scheme), c.Signpost, "serve", "--config", file)
	}
}

// secureListen is how a Signpost listens for https, with what writeCertificate has written.
const secureListen = "https: ['127.0.0.1:0'], cert_file: cert.pem, key_file: key.pem"

// writeCertificate writes a self-signed certificate for P-256, and its key.
func writeCertificate(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	write := func(name, kind string, b []byte) error {
		return os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), 0o600)
	}
	return errors.Join(write("cert.pem", "CERTIFICATE", cert), write("key.pem", "PRIVATE KEY", private))
}

// startSilent starts a server at a known address; its output does not tell where it listens.
func startSilent(name, addr, program string, args ...string) (*party, error) {
	p := &party{name: name, addr: addr, cmd: exec.Command(program, args...)}
	p.cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if os.Getuid() == 0 && name == "icecast" {
		p.cmd.SysProcAttr.Credential = nobody()
	}
	if err := startOn(proxyServerCore, p.cmd); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			return p, nil
		}
	}
	p.stop()
	return nil, fmt.Errorf("%s does not listen at %s", name, addr)
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// reverseProxy returns the reverse proxy of Go's standard library.
func reverseProxy(to string) (http.Handler, error) {
	u, err := url.Parse(to)
	if err != nil {
		return nil, err
	}
	return &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(u) },
		FlushInterval: -1,
		Transport:     &http.Transport{DialContext: (&net.Dialer{}).DialContext, DisableKeepAlives: true},
		ErrorHandler:  func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}, nil
}
