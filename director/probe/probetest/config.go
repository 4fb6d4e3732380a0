//go:build unix

package probetest

import (
	"bytes"
	"net"
	"os"
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
	var b bytes.Buffer
	err := config.Execute(&b, map[string]any{
		"Host": host, "Port": port, "Password": n.password,
		"MaxClients": n.opts.MaxClients, "Mounts": n.opts.Mounts,
	})
	if err == nil {
		err = os.WriteFile(n.config, b.Bytes(), 0o644)
	}
	if err != nil {
		n.t.Fatalf("configuration of icecast2: %v", err)
	}
}

// config logs to standard error, for "-" is no file to Icecast.
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
{{- range .Mounts}}
 <mount type="normal"><mount-name>{{.Path | html}}</mount-name>
  {{- with .Fallback}}<fallback-mount>{{. | html}}</fallback-mount><fallback-override>1</fallback-override>{{end}}
  {{- with .MaxListeners}}<max-listeners>{{.}}</max-listeners>{{end}}
  {{- if .Hidden}}<hidden>1</hidden>{{end}}</mount>
{{- end}}
 <paths>
  <basedir>/usr/share/icecast2</basedir><logdir>/nonexistent</logdir>
  <webroot>/usr/share/icecast2/web</webroot><adminroot>/usr/share/icecast2/admin</adminroot>
 </paths>
 <logging><accesslog>-</accesslog><errorlog>-</errorlog><loglevel>3</loglevel></logging>
</icecast>
`))
