package admin

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// ask sends a request as a browser or a program does.
func ask(h http.Handler, method, path, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host = "127.0.0.1:8001"
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
		r.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec
}

func TestOtherSitesAreRefused(t *testing.T) {
	t.Parallel()
	r := edited(t)
	const drain = "/api/v1/nodes/fra1/drain"
	cookie := login(t, r.h, "o")
	for _, c := range []struct {
		what   string
		header []string
		status int
	}{
		{"a browser says cross-site", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"a sister of the site", []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"another origin, of an old browser", []string{"Origin", "https://evil.example"}, 403},
		{"another port of this host", []string{"Origin", "http://127.0.0.1:9000"}, 403},
		{"an origin that is hidden", []string{"Origin", "null"}, 403},
		{"the own page", []string{"Sec-Fetch-Site", "same-origin", "Origin", "http://127.0.0.1:8001"}, 200},
		{"no browser", nil, 200},
	} {
		for _, who := range [][]string{{"Cookie", cookie}, {"Authorization", "Bearer o"}} {
			if rec := ask(r.h, "POST", drain, "{}", append(c.header, who...)...); rec.Code != c.status {
				t.Errorf("%s, with %s: %d %s", c.what, who[0], rec.Code, rec.Body)
			}
		}
	}
	if rec := ask(r.h, "POST", "/api/v1/session", `{"token":"o"}`, "Sec-Fetch-Site", "cross-site"); rec.Code != 403 || rec.Header().Get("Set-Cookie") != "" {
		t.Errorf("another site logs its visitor in: %d", rec.Code)
	}
}

func TestHeadersForBrowsers(t *testing.T) {
	t.Parallel()
	r := edited(t)
	for _, path := range []string{"/api/v1/nodes", "/healthz", "/nothing", "/metrics"} {
		h := ask(r.h, "GET", path, "", "Authorization", "Bearer v").Header()
		csp := h.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s: no %s in %q", path, want, csp)
			}
		}
		if strings.Contains(csp, "unsafe") || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" || h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", path, h)
		}
	}
}

// Without a token, a site whose name points at a loopback address could be the
// visitor's browser's own.
func TestHostWithoutTokens(t *testing.T) {
	t.Parallel()
	r := fleetOf(t, director.Config{Nodes: []director.Node{{ID: "fra1", URLs: []string{"http://fra1.example"}}}}, Config{Tokens: func() []Token { return nil }})
	for host, status := range map[string]int{
		"127.0.0.1": 200, "127.0.0.1:8001": 200, "[::1]:8001": 200, "[::1]": 200, "localhost:8001": 200, "LOCALHOST.": 200, "a.localhost": 200,
		"evil.example": 421, "evil.example:8001": 421, "127.0.0.1.evil.example": 421, "localhost.evil.example": 421, "evillocalhost": 421, "": 421, "[": 421,
	} {
		for path, method := range map[string]string{"/api/v1/nodes": "GET", "/metrics": "GET", "/api/v1/session": "POST"} {
			want := status
			if want == 200 && method == "POST" {
				want = 204
			}
			if rec := ask(r.h, method, path, "{}", "Host", host); rec.Code != want {
				t.Errorf("%s at %q: %d, want %d", path, host, rec.Code, want)
			}
		}
		if rec := ask(r.h, "GET", "/healthz", "", "Host", host); rec.Code != 200 {
			t.Errorf("/healthz at %q: %d", host, rec.Code)
		}
	}
	if rec := ask(edited(t).h, "GET", "/api/v1/nodes", "", "Host", "signpost.example", "Authorization", "Bearer v"); rec.Code != 200 {
		t.Errorf("by name, with a token: %d", rec.Code)
	}
	who := decode[api.Identity](t, ask(r.h, "GET", "/api/v1/session", ""), 200)
	if who != localOperator {
		t.Errorf("nobody needs a token: %+v", who)
	}
}

// login returns the cookie.
func login(t *testing.T, h http.Handler, token string, header ...string) string {
	t.Helper()
	rec := ask(h, "POST", "/api/v1/session", `{"token":"`+token+`"}`, header...)
	if rec.Code != 204 {
		t.Fatalf("login: %d %s", rec.Code, rec.Body)
	}
	set := rec.Header().Get("Set-Cookie")
	for _, want := range []string{"HttpOnly", "SameSite=Strict", "Path=/"} {
		if !strings.Contains(set, want) {
			t.Errorf("no %s in %q", want, set)
		}
	}
	value, _, _ := strings.Cut(set, ";")
	if len(value) < len(sessionCookie)+1+50 || strings.Contains(value, token+";") {
		t.Errorf("the cookie is no secret: %q", value)
	}
	return value
}

func TestSessions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tokens := fleetTokens
		handler, err := New(Config{Tokens: func() []Token { return tokens }, Explain: func(Question) any { return nil }})
		if err != nil {
			t.Fatal(err)
		}
		whoIs := func(cookie string) (api.Identity, int) {
			rec := ask(handler, "GET", "/api/v1/session", "", "Cookie", cookie)
			if rec.Code != 200 {
				return api.Identity{}, rec.Code
			}
			return decode[api.Identity](t, rec, 200), 200
		}
		anna, ops := login(t, handler, "v"), login(t, handler, "o", "X-Forwarded-Proto", "https")
		if id, _ := whoIs(anna); id != (api.Identity{Name: "anna", Role: api.RoleView, Session: true}) {
			t.Errorf("%+v", id)
		}
		if id, _ := whoIs(ops); id.Role != api.RoleOperate || anna == ops {
			t.Errorf("%+v", id)
		}
		for _, bad := range []string{sessionCookie + "=x", sessionCookie + "=", "other=" + anna, anna + "x"} {
			if _, status := whoIs(bad); status != 401 {
				t.Errorf("%q: %d", bad, status)
			}
		}
		time.Sleep(sessionIdle - time.Minute)
		whoIs(anna)
		time.Sleep(2 * time.Minute)
		if _, status := whoIs(ops); status != 401 {
			t.Error("who was idle is still in")
		}
		if _, status := whoIs(anna); status != 200 {
			t.Error("who was not idle is out")
		}

		tokens = []Token{NewToken("anna", api.RoleOperate, "v")} // another role for the same token
		if id, _ := whoIs(anna); id.Role != api.RoleOperate {
			t.Errorf("%+v", id)
		}
		tokens = []Token{NewToken("ops", api.RoleOperate, "o")}
		if _, status := whoIs(anna); status != 401 {
			t.Error("a session outlived its token")
		}
		tokens = fleetTokens
		if _, status := whoIs(anna); status != 401 {
			t.Error("a session came back with its token")
		}

		out := login(t, handler, "v")
		rec := ask(handler, "DELETE", "/api/v1/session", "", "Cookie", out)
		if _, status := whoIs(out); rec.Code != 204 || status != 401 || !strings.Contains(rec.Header().Get("Set-Cookie"), "Max-Age=0") {
			t.Errorf("logged out: %d %v, and then %d", rec.Code, rec.Header(), status)
		}
		for body, status := range map[string]int{`{"token":"wrong"}`: 401, `{"token":"a"}`: 403, `{}`: 401, `{"tokn":"v"}`: 400, `x`: 400} {
			if rec := ask(handler, "POST", "/api/v1/session", body); rec.Code != status || rec.Header().Get("Set-Cookie") != "" {
				t.Errorf("%s: %d %v", body, rec.Code, rec.Header())
			}
		}
	})
}

func TestCookieIsSecureUnderTLS(t *testing.T) {
	t.Parallel()
	handler, err := New(Config{Tokens: func() []Token { return fleetTokens }})
	if err != nil {
		t.Fatal(err)
	}
	for url, secure := range map[string]bool{"http://127.0.0.1": false, "https://127.0.0.1": true} {
		rec := ask(handler, "POST", url+"/api/v1/session", `{"token":"v"}`)
		if set := rec.Header().Get("Set-Cookie"); strings.Contains(set, "Secure") != secure {
			t.Errorf("%s: %q", url, set)
		}
	}
}

func TestSessionsAreBounded(t *testing.T) {
	t.Parallel()
	var s sessions
	now := day
	first := s.open(tokenHash{}, now)
	for range maxSessions {
		now = now.Add(time.Second)
		s.open(tokenHash{}, now)
	}
	if _, there := s.use(first, now); there || len(s.all) != maxSessions {
		t.Errorf("%d sessions, the first one there: %t", len(s.all), there)
	}
}

// Wrong tokens are slowed down by address, and who was in before stays in.
func TestWrongTokensAreSlowedDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		handler, err := New(Config{Tokens: func() []Token { return fleetTokens }})
		if err != nil {
			t.Fatal(err)
		}
		from := func(addr, token string) *httptest.ResponseRecorder {
			r := httptest.NewRequest(http.MethodGet, "/api/v1/session", nil)
			r.RemoteAddr = addr
			r.Header.Set("Authorization", "Bearer "+token)
			rec := httptest.NewRecorder()
			handler.ServeHTTP(rec, r)
			return rec
		}
		const here = "203.0.113.7:4711"
		if from(here, "v").Code != 200 || from(here, "o").Code != 200 {
			t.Error("two good tokens from one address")
		}
		for i := range tryBurst {
			if rec := from(here, fmt.Sprint("guess", i)); rec.Code != 401 {
				t.Errorf("try %d: %d", i, rec.Code)
			}
		}
		rec := from(here, "guess")
		if p := problemIn(t, rec); p.Status != 429 || rec.Header().Get("Retry-After") != "3" {
			t.Errorf("%+v, after %q s", p, rec.Header().Get("Retry-After"))
		}
		if rec := ask(handler, "POST", "/api/v1/session", `{"token":"guess"}`); rec.Code != 401 {
			t.Errorf("elsewhere: %d", rec.Code)
		}
		if from(here, "v").Code != 200 {
			t.Error("a token that was good from here is not any more")
		}
		if from("203.0.113.8:1", "v").Code != 200 || from("[2001:db8::1]:1", "v").Code != 200 {
			t.Error("others are slowed down too")
		}
		time.Sleep(tryInterval)
		if a, b := from(here, "guess").Code, from(here, "guess").Code; a != 401 || b != 429 {
			t.Errorf("after the wait: %d %d, want one more try", a, b)
		}
		for i := range tryBurst + 1 { // one customer has a whole /64
			want := 401
			if i == tryBurst {
				want = 429
			}
			if rec := from(fmt.Sprintf("[2001:db8:1:2::%x]:1", i), "guess"); rec.Code != want {
				t.Errorf("IPv6, try %d: %d", i, rec.Code)
			}
		}
	})
}

func TestThrottleIsBounded(t *testing.T) {
	t.Parallel()
	var th throttle
	for i := range maxAddresses + 10 {
		th.wrong((&API{}).addressOf(fmt.Sprintf("10.%d.%d.%d:1", i>>16, i>>8&0xff, i&0xff)), day.Add(time.Duration(i)*time.Second))
	}
	if len(th.known) != maxAddresses {
		t.Errorf("%d addresses", len(th.known))
	}
	behind := &API{cfg: Config{Unmap: func(netip.Addr) (netip.Addr, int) { return netip.MustParseAddr("203.0.113.7"), 96 }}}
	if got := behind.addressOf("[64:ff9b::203.0.113.7]:1"); got.String() != "203.0.113.7/32" {
		t.Errorf("behind a translator: %s", got)
	}
	here := (&API{}).addressOf("203.0.113.7:1")
	for i := range maxGood + 5 {
		th.right(here, tokenHash{byte(i)})
	}
	if n := len(th.known[here].good); n != maxGood {
		t.Errorf("%d tokens", n)
	}
}

func TestPagesNeedASession(t *testing.T) {
	t.Parallel()
	handler, err := New(Config{Tokens: func() []Token { return fleetTokens }, Dashboard: func(*API) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			id, _ := IdentityOf(r)
			fmt.Fprintf(w, "page for %s", id.Name)
		})
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		method, path, token string
		status              int
		want                string // in the body, or where it leads
	}{
		{"GET", "/weights?x=1", "", 303, "/login?next=%2Fweights%3Fx%3D1"},
		{"GET", "//evil.example/", "", 303, "/login?next=%2Fevil.example%2F"},
		{"POST", "/weights", "", 401, "token"},
		{"GET", "/login", "", 200, "page for "},
		{"GET", "/assets/a.js", "", 200, "page for "},
		{"GET", "/", "v", 200, "page for anna"},
		{"GET", "/", "a", 403, "role agent"},
		{"GET", "/api/v1/none", "v", 404, "no such page"},
		{"GET", "/api/", "", 404, "no such page"},
	} {
		rec := do(handler, c.method, c.path, map[bool]string{true: "Bearer " + c.token}[c.token != ""], "")
		if rec.Code != c.status || !strings.Contains(rec.Header().Get("Location")+rec.Body.String(), c.want) {
			t.Errorf("%s %s as %q: %d %v %s", c.method, c.path, c.token, rec.Code, rec.Header(), rec.Body)
		}
	}
}
