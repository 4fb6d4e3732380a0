package config

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/signpost-fm/signpost/web/acme"
)

// TestNamesThatLeadElsewhere goes where the authority would go.
func TestNamesThatLeadElsewhere(t *testing.T) {
	t.Parallel()
	handler := http.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == acme.ChallengePath+"check" && r.Host == "good.example" {
			http.Error(w, acme.NoChallenge+" for this name", http.StatusNotFound)
			return
		}
		w.Header().Set("Server", "nginx")
		http.Redirect(w, r, "https://"+r.Host, http.StatusMovedPermanently)
	}))
	server, secure := httptest.NewServer(handler), httptest.NewUnstartedServer(handler)
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	secure.StartTLS()
	defer server.Close()
	defer secure.Close()
	port := func(s *httptest.Server) string { _, p, _ := net.SplitHostPort(s.Listener.Addr().String()); return p }
	names := map[string]string{"good.example": "127.0.0.1", "other.example": "127.0.0.1", "closed.example": "127.0.0.2", "v6.example": "2001:db8::1"}
	trial := nameTrial{
		port: port(server), challenge: acme.HTTP01, own: []netip.Addr{netip.MustParseAddr("127.0.0.1")},
		lookup: func(_ context.Context, host string) ([]netip.Addr, error) {
			if at, ok := names[host]; ok {
				return []netip.Addr{netip.MustParseAddr(at)}, nil
			}
			return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
		},
	}
	check := func(name string, want ...string) {
		t.Helper()
		got := trial.warning(t.Context(), name)
		if (got == "") != (len(want) == 0) {
			t.Errorf("%s by %s: %q", name, trial.challenge, got)
		}
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("%s by %s: %q does not say %q", name, trial.challenge, got, w)
			}
		}
	}
	check("good.example")
	check("other.example", `(301 Moved Permanently), which calls itself "nginx"`, "is no director that gets certificates by http-01; correct its addresses")
	check("closed.example", "127.0.0.2:"+trial.port+": connection refused, and this is no address of this machine", "open that port")
	check("none.example", "does not lead to any director", "no name")
	if all := trial.warnings(t.Context(), []string{"none.example", "good.example", "closed.example"}); len(all) != 2 || !strings.HasPrefix(all[0], "none.example ") {
		t.Errorf("warnings %q", all)
	}
	trial.challenge = acme.TLSALPN01
	check("good.example", "what answers does not speak TLS")
	trial.port = port(secure)
	check("other.example", "is no director that gets certificates by tls-alpn-01")
	check("closed.example", "connection refused")
}
