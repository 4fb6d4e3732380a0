package admin

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/web/admin/api"
)

// A private key goes to operators and to agents whose token names it, and not over plain
// http between machines.
func TestCertificateWithItsKey(t *testing.T) {
	t.Parallel()
	edge := NewToken("edge", api.RoleAgent, "agent's")
	edge.Certificates = []string{"go.radio.example", "*.live.radio.example"}
	tokens := []Token{edge, NewToken("anna", api.RoleView, "viewer's"), NewToken("bert", api.RoleOperate, "operator's")}
	h, err := New(Config{
		Tokens: func() []Token { return tokens },
		Bundle: func(_ context.Context, name string) ([]byte, time.Time, error) {
			if name == "new.radio.example" {
				return nil, time.Time{}, errors.New("there is no certificate of new.radio.example yet")
			}
			return []byte("key and chain of " + name), time.Unix(1e9, 0), nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, token, from string
		tls               bool
		want              int
		says              string
	}{
		{"go.radio.example", "agent's", "192.0.2.7:99", true, 200, "key and chain of go.radio.example"},
		{"%2A.live.radio.example", "agent's", "127.0.0.1:99", false, 200, "key and chain of *.live.radio.example"},
		{"go.radio.example", "agent's", "[::1]:99", false, 200, "key and chain"},
		{"go.radio.example", "agent's", "[::ffff:127.0.0.1]:99", false, 200, "key and chain"},
		{"go.radio.example", "agent's", "192.0.2.7:99", false, 426, "does not travel over plain http"},
		{"go.radio.example", "operator's", "[2001:db8::1]:99", false, 426, "does not travel over plain http"},
		{"other.radio.example", "agent's", "127.0.0.1:99", false, 403, "write certificates=other.radio.example behind it"},
		{"other.radio.example", "operator's", "127.0.0.1:99", false, 200, "key and chain of other.radio.example"},
		{"go.radio.example", "viewer's", "127.0.0.1:99", false, 403, "has the role view"},
		{"go.radio.example", "", "127.0.0.1:99", false, 401, "give a valid token"},
		{"new.radio.example", "operator's", "127.0.0.1:99", false, 404, "there is no certificate of new.radio.example yet"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/api/v1/certificates/"+c.name, nil)
		r.Host, r.RemoteAddr = "127.0.0.1:8001", c.from
		if c.tls {
			r.TLS = &tls.ConnectionState{}
		}
		if c.token != "" {
			r.Header.Set("Authorization", "Bearer "+c.token)
		}
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		if rec.Code != c.want || !strings.Contains(rec.Body.String(), c.says) || (rec.Code != 200) == strings.Contains(rec.Body.String(), "key and chain") {
			t.Errorf("%s with %q from %s: %d %s; want %d %q", c.name, c.token, c.from, rec.Code, rec.Body, c.want, c.says)
		}
	}
	none, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, "/api/v1/certificates/go.radio.example", nil)
	r.Host, r.RemoteAddr = "127.0.0.1:8001", "127.0.0.1:99"
	rec := httptest.NewRecorder()
	if none.ServeHTTP(rec, r); rec.Code != 404 || !strings.Contains(rec.Body.String(), "listen.acme") {
		t.Errorf("without certificates: %d %s", rec.Code, rec.Body)
	}
}

func TestTokenOfACertificate(t *testing.T) {
	t.Parallel()
	tokens, err := ParseTokens("edge agent " + hashed("a") + " certificates=go.radio.example,*.live.radio.example ids=edge-1")
	if err != nil || len(tokens) != 1 || len(tokens[0].Certificates) != 2 || tokens[0].Certificates[1] != "*.live.radio.example" {
		t.Errorf("%+v, %v", tokens, err)
	}
	for _, bad := range []string{" certificates=", " certificates=a certificates=b"} {
		if _, err := ParseTokens("edge agent " + hashed("a") + bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
