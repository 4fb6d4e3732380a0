//go:build unix

package probetest

import (
	"bytes"
	"crypto/md5"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/template"
)

func freePort(t testing.TB, addr string) string {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(addr, "0"))
	if err != nil {
		t.Fatalf("no free port at %s: %v", addr, err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (n *Node) writeConfig() {
	n.t.Helper()
	host, port, _ := net.SplitHostPort(n.addr)
	members := filepath.Join(filepath.Dir(n.config), "members")
	for i, m := range n.opts.Mounts {
		name, password, ok := strings.Cut(m.Member, ":")
		if !ok {
			continue
		}
		line := fmt.Sprintf("%s:%x\n", name, md5.Sum([]byte(password))) // Icecast's format
		if err := os.WriteFile(fmt.Sprint(members, i), []byte(line), 0o644); err != nil {
			n.t.Fatal(err)
		}
	}
	certificate, securePort := "", ""
	if c := n.opts.Certificate; c != nil {
		_, securePort, _ = net.SplitHostPort(n.secure)
		certificate = filepath.Join(filepath.Dir(n.config), "bundle.pem")
		if err := os.WriteFile(certificate, Bundle(n.t, *c), 0o644); err != nil {
			n.t.Fatal(err)
		}
	}
	var b bytes.Buffer
	err := config.Execute(&b, map[string]any{
		"Host": host, "Port": port, "Password": n.password, "SecurePort": securePort, "Certificate": certificate,
		"MaxClients": n.opts.MaxClients, "Relays": n.opts.Relays, "Mounts": n.opts.Mounts, "Members": members,
	})
	if err == nil {
		err = os.WriteFile(n.config, b.Bytes(), 0o644)
	}
	if err != nil {
		n.t.Fatalf("configuration of icecast2: %v", err)
	}
}

// config makes Icecast log to standard error, which is what "-" means to it.
var config = template.Must(template.New("icecast.xml").Parse(`<icecast>
 <location>test</location><admin>test@localhost</admin><hostname>{{.Host}}</hostname>
 <limits>
  <clients>{{.MaxClients}}</clients><sources>100</sources>
  <header-timeout>15</header-timeout><source-timeout>60</source-timeout><burst-size>65535</burst-size>
 </limits>
 <authentication>
  <source-password>{{.Password}}</source-password><relay-password>{{.Password}}</relay-password>
  <admin-user>admin</admin-user><admin-password>{{.Password}}</admin-password>
 </authentication>
 <listen-socket><port>{{.Port}}</port><bind-address>{{.Host}}</bind-address></listen-socket>
{{- with .SecurePort}}
 <listen-socket><port>{{.}}</port><bind-address>{{$.Host}}</bind-address><ssl>1</ssl></listen-socket>
{{- end}}
{{- range $i, $m := .Mounts}}
 <mount type="normal"><mount-name>{{.Path | html}}</mount-name>
  {{- with .Fallback}}<fallback-mount>{{. | html}}</fallback-mount><fallback-override>1</fallback-override>{{end}}
  {{- with .MaxListeners}}<max-listeners>{{.}}</max-listeners>{{end}}
  {{- with .MaxSeconds}}<max-listener-duration>{{.}}</max-listener-duration>{{end}}
  {{- if .Member}}<authentication type="htpasswd"><option name="filename" value="{{$.Members}}{{$i}}"/><option name="allow_duplicate_users" value="1"/></authentication>{{end}}
  {{- if .Hidden}}<hidden>1</hidden>{{end}}</mount>
{{- end}}
{{- range .Relays}}
 <relay><server>{{.Server}}</server><port>{{.Port}}</port><mount>{{.Mount | html}}</mount><local-mount>{{.As | html}}</local-mount><on-demand>{{if .OnDemand}}1{{else}}0{{end}}</on-demand></relay>
{{- end}}
 <paths>
  <basedir>/usr/share/icecast2</basedir><logdir>/nonexistent</logdir>
  <webroot>/usr/share/icecast2/web</webroot><adminroot>/usr/share/icecast2/admin</adminroot>
  {{- with .Certificate}}<ssl-certificate>{{.}}</ssl-certificate>{{end}}
 </paths>
 <logging><accesslog>-</accesslog><errorlog>-</errorlog><loglevel>3</loglevel></logging>
</icecast>
`))
