package admin

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/google/go-cmp/cmp"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/admin/api"
)

func loadDocument(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(openapiDocument)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return doc
}

// Every route is described, and everything described is there.
func TestOpenAPIRoutes(t *testing.T) {
	t.Parallel()
	var described, routed []string
	for path, item := range loadDocument(t).Paths.Map() {
		for method := range item.Operations() {
			described = append(described, method+" /api/v1"+path)
		}
	}
	r := everything(t)
	for _, route := range r.h.echo.Routes() {
		if strings.HasPrefix(route.Path, "/api/v1/") && route.Method != "echo_route_not_found" {
			parts := strings.Split(route.Path, "/")
			for i, p := range parts {
				if name, ok := strings.CutPrefix(p, ":"); ok {
					parts[i] = "{" + name + "}"
				}
			}
			routed = append(routed, route.Method+" "+strings.Join(parts, "/"))
		}
	}
	slices.Sort(described)
	slices.Sort(routed)
	if diff := cmp.Diff(described, routed); diff != "" {
		t.Errorf("(-described +routed):\n%s", diff)
	}
}

// What the documentation names is there.
func TestDocumentationNamesWhatThereIs(t *testing.T) {
	t.Parallel()
	var known []string
	for path := range loadDocument(t).Paths.Map() {
		known = append(known, pathParam.ReplaceAllString("/api/v1"+path, "*"))
	}
	named := regexp.MustCompile(`/api/v1(/[a-z_]+(?:\.json)?(?:/[\w{}]+)*)`)
	ids := regexp.MustCompile(`(/(?:nodes|regions|rules|notes|history)/)[^/]+`)
	for _, file := range []string{"../../README.md", "../../docs/operating.md", "../../docs/architecture.md"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range named.FindAllString(string(text), -1) {
			if !slices.Contains(known, ids.ReplaceAllString(m, "$1*")) {
				t.Errorf("%s names %s, which is not there", file, m)
			}
		}
	}
}

// everything is a director with all that the API shows.
func everything(t *testing.T) *running {
	t.Helper()
	return fleetOf(t, director.Config{
		Nodes: []director.Node{
			{ID: "fra1", URLs: []string{"http://fra1.example"}, Target: 100, Limit: 150, Site: "fra"},
			{ID: "ams1", URLs: []string{"http://ams1.example"}, Site: "ams"},
		},
		Regions:     []director.Region{{ID: "de", Match: director.Match{Default: true}, Row: []director.Weight{{Node: "fra1", Weight: 1, Given: true}}}},
		MayRegister: []string{"edge-*"},
	}, Config{
		Version: "v1", Store: "memory", PublicURL: func() string { return "https://radio.example" },
		Explain:    func(Question) any { return map[string]any{"answer": "redirect"} },
		ExplainDNS: func(DNSQuestion) (any, error) { return map[string]any{"outcome": "placed"}, nil },
		Streams:    func() any { return map[string]any{"streams": []any{}} },
		Simulate: func(context.Context, Simulation, func(float64)) (any, error) {
			return map[string]any{"from": "20:00"}, nil
		},
		Bundle: func(context.Context, string) ([]byte, time.Time, error) {
			return []byte("key and chain"), time.Unix(1e9, 0), nil
		},
		Rules: func() []RuleUse {
			return []RuleUse{{Rule: []byte(`{"answer":"proxy"}`), Origin: api.OriginShipped, Hits: 1}}
		},
		Clients: func() []api.Client {
			return []api.Client{{Family: "Radio", Example: "Radio/1", Requests: 3, Suspect: true, Why: "comes back", Suggestion: &api.RuleSuggestion{Rule: []byte(`{"answer":"proxy"}`)}}}
		},
	})
}

// Whoever has a role that the document does not name is refused, and nobody else is.
func TestOpenAPIRoles(t *testing.T) {
	t.Parallel()
	r := everything(t)
	for path, item := range loadDocument(t).Paths.Map() {
		for method, op := range item.Operations() {
			if path == "/events" && method == http.MethodGet {
				continue // which does not end; TestEvents has its roles
			}
			named, _ := op.Extensions["x-roles"].([]any)
			for role, token := range map[api.Role]string{api.RoleAgent: "a", api.RoleView: "v", api.RoleOperate: "o", "": ""} {
				may := len(named) == 0 || slices.Contains(named, any(string(role)))
				url := strings.NewReplacer("{id}", "none", "{revision}", "99").Replace("/api/v1" + path)
				rec := do(r.h, method, url, map[bool]string{true: "Bearer " + token}[token != ""], "{}")
				got := rec.Code
				own := role == api.RoleAgent && got == http.StatusForbidden && strings.Contains(rec.Body.String(), "its own node only")
				refused := got == http.StatusUnauthorized || got == http.StatusForbidden && !own
				if path == "/session" && method == http.MethodPost {
					refused = false // by the token in the body, and none is there
				}
				if refused == may {
					t.Errorf("%s %s as %q: %d, and the document says %v", method, path, role, got, named)
				}
			}
		}
	}
}

// What is really asked and answered is what the document says.
func TestOpenAPIExchanges(t *testing.T) {
	t.Parallel()
	openapi3filter.RegisterBodyDecoder("application/x-ndjson", openapi3filter.RegisteredBodyDecoder("application/json")) // of the first line
	doc := loadDocument(t)
	for _, s := range doc.Components.Schemas { // an answer's field that is not described is a fault
		if s.Value.Type.Is("object") && len(s.Value.Properties) > 0 {
			no := false
			s.Value.AdditionalProperties.Has = &no
		}
	}
	router, err := legacy.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	r := everything(t)
	r.h.sample()
	seen := func() string { return r.region("de").Version }
	order := func() string { return r.region("de").OverflowVersion }
	var rule string
	covered := map[string]bool{}
	for _, c := range []struct {
		token, method, path, body string
		seen                      func() string
		status                    int
		malformed                 bool // the document refuses it, too
	}{
		{"", "GET", "/openapi.json", "", nil, 200, false},
		{"", "POST", "/session", `{"token":"v"}`, nil, 204, false},
		{"", "POST", "/session", `{"token":"wrong"}`, nil, 401, false},
		{"", "POST", "/session", `{"token":"a"}`, nil, 403, false},
		{"v", "DELETE", "/session", "", nil, 204, false},
		{"v", "GET", "/session", "", nil, 200, false},
		{"", "GET", "/session", "", nil, 401, false},
		{"v", "GET", "/explain?addr=::1&mount=/live.mp3&header=a:b&header=c:d", "", nil, 200, false},
		{"v", "GET", "/explain?addr=x&mount=/live.mp3", "", nil, 400, false},
		{"v", "GET", "/explain/dns?name=a.live.radio.test&resolver=192.0.2.53&subnet=203.0.113.0/24", "", nil, 200, false},
		{"v", "GET", "/explain/dns?name=a.live.radio.test", "", nil, 400, false},
		{"v", "GET", "/streams", "", nil, 200, false},
		{"o", "GET", "/certificates/go.radio.example", "", nil, 200, false},
		{"a", "GET", "/certificates/go.radio.example", "", nil, 403, false},
		{"v", "GET", "/status", "", nil, 200, false},
		{"v", "GET", "/reserve", "", nil, 200, false},
		{"v", "GET", "/mounts", "", nil, 200, false},
		{"v", "GET", "/plots?by=node&span=day&name=fra1&name=ams1&most=1", "", nil, 200, false},
		{"v", "GET", "/plots?by=country", "", nil, 400, false},
		{"v", "GET", "/plots?span=year", "", nil, 400, false},
		{"v", "GET", "/plots?most=0", "", nil, 400, false},
		{"a", "PUT", "/nodes/edge-1", agent("i1", nil), nil, 200, false},
		{"a", "PUT", "/nodes/edge-1", agent("", nil), nil, 422, false},
		{"a2", "PUT", "/nodes/edge-1", agent("i2", nil), nil, 409, false},
		{"v", "GET", "/nodes", "", nil, 200, false},
		{"a", "GET", "/nodes", "", nil, 403, false},
		{"a", "GET", "/nodes/edge-1", "", nil, 200, false},
		{"v", "GET", "/nodes/none", "", nil, 404, false},
		{"v", "GET", "/nodes/fra1/detail", "", nil, 200, false},
		{"v", "GET", "/nodes/none/detail", "", nil, 404, false},
		{"v", "GET", "/nodes/fra1/safe_to_terminate", "", nil, 409, false},
		{"o", "POST", "/nodes/fra1/drain", `{"why":"disk","for":"1h"}`, nil, 200, false},
		{"o", "POST", "/nodes/fra1/drain", `{"why":7}`, nil, 400, true},
		{"o", "POST", "/nodes/fra1/drain", `{"wy":"x"}`, nil, 400, true},
		{"v", "GET", "/nodes/fra1/safe_to_terminate?threshold=7", "", nil, 200, false},
		{"v", "GET", "/nodes/fra1", "", nil, 200, false},
		{"o", "POST", "/nodes/fra1/disable", "", nil, 200, false},
		{"o", "POST", "/nodes/fra1/resume", `{}`, func() string { return "old" }, 412, false},
		{"o", "POST", "/nodes/fra1/resume", `{}`, nil, 200, false},
		{"a", "POST", "/nodes/edge-1/drain", `{"instance":"i1"}`, nil, 200, false},
		{"o", "DELETE", "/nodes/edge-1", "", nil, 204, false},
		{"o", "DELETE", "/nodes/fra1", "", nil, 409, false},
		{"v", "GET", "/regions", "", nil, 200, false},
		{"v", "GET", "/regions/de", "", nil, 200, false},
		{"o", "PUT", "/regions/de/weights", `{"weights":{"ams1":1}}`, seen, 200, false},
		{"o", "PUT", "/regions/de/weights", `{"weights":{"ams1":1}}`, func() string { return "old" }, 412, false},
		{"o", "PUT", "/regions/de/weights", `{"weights":{"ams1":1}}`, nil, 428, false},
		{"o", "PUT", "/regions/de/weights", `{"weights":{"ams1":-1}}`, seen, 422, false},
		{"o", "DELETE", "/regions/de/weights", `{"why":"enough"}`, seen, 200, false},
		{"o", "PUT", "/regions/de/overflow", `{"overflow":[]}`, order, 200, false},
		{"o", "PUT", "/regions/de/overflow", `{"overflow":["mars"]}`, order, 422, false},
		{"o", "PUT", "/regions/de/overflow", `{"overflow":[]}`, func() string { return "old" }, 412, false},
		{"o", "DELETE", "/regions/de/overflow", `{"why":"enough"}`, order, 200, false},
		{"o", "PUT", "/weights", `{"overflows":{"de":{"version":"old","overflow":[]}}}`, nil, 412, false},
		{"o", "PUT", "/weights", `{"rows":{"de":{"version":"old","weights":null}}}`, nil, 412, false},
		{"o", "PUT", "/weights", "SEEN", nil, 200, false},
		{"v", "POST", "/whatif", `{"rows":{"de":{"ams1":1}},"nodes":{"fra1":"drained"},"lost_sites":["ams"]}`, nil, 200, false},
		{"v", "POST", "/whatif", `{"rows":{"de":null}}`, nil, 200, false},
		{"v", "POST", "/whatif", `{"lost_nodes":["none"]}`, nil, 422, false},
		{"o", "POST", "/whatif/simulation", `{"lost_sites":["ams"],"minutes":1}`, nil, 200, false},
		{"o", "POST", "/whatif/simulation", `{"minutes":61}`, nil, 422, false},
		{"v", "POST", "/whatif/simulation", `{}`, nil, 403, false},
		{"o", "POST", "/rules", `{"id":"r1","rule":{"answer":"proxy"}}`, nil, 201, false},
		{"o", "POST", "/rules", `{"id":"r1","rule":{"answer":"proxy"}}`, nil, 409, false},
		{"v", "GET", "/rules", "", nil, 200, false},
		{"v", "GET", "/rules/r1", "", nil, 200, false},
		{"o", "PUT", "/rules/r1", `{"rule":{"answer":"m3u"}}`, func() string { return rule }, 200, false},
		{"o", "DELETE", "/rules/r1", ``, func() string { return "old" }, 412, false},
		{"o", "DELETE", "/rules/r1", ``, func() string { return rule }, 204, false},
		{"v", "GET", "/clients", "", nil, 200, false},
		{"o", "PUT", "/notes/n1", `{"text":"hello"}`, nil, 200, false},
		{"o", "PUT", "/notes/n1", `{"text":"hello"}`, func() string { return "old" }, 412, false},
		{"o", "DELETE", "/notes/n1", ``, nil, 204, false},
		{"v", "GET", "/overlay", "", nil, 200, false},
		{"v", "GET", "/history", "", nil, 200, false},
		{"o", "POST", "/history/1/undo", `{"why":"x"}`, nil, 409, false},
		{"o", "POST", "/history/99/undo", ``, nil, 404, false},
		{"o", "POST", "/history/LAST/undo", ``, nil, 200, false},
	} {
		if c.body == "SEEN" {
			c.body = `{"rows":{"de":{"version":"` + seen() + `","weights":{"fra1":2}}}}`
		}
		if strings.Contains(c.path, "LAST") {
			c.path = "/history/" + lastRevision(r) + "/undo"
		}
		if one, err := r.h.rule("r1"); err == nil {
			rule = one.Version
		}
		req := httptest.NewRequest(c.method, "/api/v1"+c.path, strings.NewReader(c.body))
		req.Host, req.RemoteAddr = "127.0.0.1", "127.0.0.1:4711"
		if c.body != "" {
			req.Header.Set("Content-Type", "application/json")
		} else {
			req.Body = http.NoBody
		}
		if c.token != "" {
			req.Header.Set("Authorization", "Bearer "+c.token)
		}
		if c.seen != nil {
			req.Header.Set("If-Match", `"`+c.seen()+`"`)
		}
		covered[c.method+" "+exchange(t, router, r.h, req, c.status, c.malformed)] = true
	}
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			if !covered[method+" "+path] && path != "/events" {
				t.Errorf("%s %s was not tried", method, path)
			}
		}
	}
}

func lastRevision(r *running) string {
	h, _ := r.h.History()
	return strings.TrimSpace(string(encode(h.Changes[0].Revision)))
}

// exchange asks, holds question and answer against the document, and returns the
// path as the document has it.
func exchange(t *testing.T, router routers.Router, h http.Handler, req *http.Request, status int, malformed bool) string {
	t.Helper()
	what := req.Method + " " + req.URL.String()
	route, params, err := router.FindRoute(req)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	in := &openapi3filter.RequestValidationInput{
		Request: req, PathParams: params, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true},
	}
	if err := openapi3filter.ValidateRequest(t.Context(), in); (err != nil) != malformed {
		t.Errorf("%s: the document says of the request: %v", what, err)
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	if rec.Code != status {
		t.Errorf("%s: %d, want %d: %s", what, rec.Code, status, rec.Body)
	}
	out := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: rec.Code, Header: rec.Header(), Options: in.Options,
		Body: io.NopCloser(bytes.NewReader(rec.Body.Bytes())),
	}
	if err := openapi3filter.ValidateResponse(context.Background(), out); err != nil {
		t.Errorf("%s: %d is not as described: %v\n%s", what, rec.Code, err, rec.Body)
	}
	return route.Path
}
