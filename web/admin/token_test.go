package admin

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signpost-fm/signpost/web/admin/api"
)

func hashed(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

func TestRoles(t *testing.T) {
	t.Parallel()
	tokens := []Token{NewToken("edge", api.RoleAgent, "agent's"), NewToken("anna", api.RoleView, "viewer's"), NewToken("bert", api.RoleOperate, "operator's")}
	h, err := New(Config{Tokens: func() []Token { return tokens }, Explain: func(Question) any { return "because" }, Syncer: fleet(t).Syncer})
	if err != nil {
		t.Fatal(err)
	}
	const nobody, wrong = 401, 403
	for _, c := range []struct {
		method, path                    string
		without, agent, viewer, operate int
	}{
		{"GET", "/healthz", 200, 200, 200, 200},
		{"GET", "/metrics", nobody, wrong, 200, 200},
		{"GET", "/api/v1/explain?addr=::1&mount=/a", nobody, wrong, 200, 200},
		{"GET", "/api/v1/nodes", nobody, wrong, 200, 200},
		{"GET", "/api/v1/reserve", nobody, wrong, 200, 200},
		{"PUT", "/api/v1/nodes/edge-1", nobody, 422, wrong, 422},
		{"POST", "/api/v1/nodes/edge-1/drain", nobody, 400, wrong, 404},
		{"DELETE", "/api/v1/nodes/edge-1", nobody, 400, wrong, 404},
	} {
		for authorization, want := range map[string]int{
			"": c.without, "Bearer agent's": c.agent, "Bearer viewer's": c.viewer, "Bearer operator's": c.operate, "bearer operator's": c.operate,
			"Bearer operator'": c.without, "Bearer operator's ": c.without, "Basic operator's": c.without, "Bearer ": c.without, "operator's": c.without,
			"Bearer " + hashed("operator's"): c.without,
		} {
			rec := do(h, c.method, c.path, authorization, "{}")
			if rec.Code != want {
				t.Errorf("%s %s with %q: %d, want %d", c.method, c.path, authorization, rec.Code, want)
			}
			if rec.Code >= 400 {
				if p := problemIn(t, rec); strings.Contains(p.Detail, "'s") && strings.Contains(p.Detail, "operator's") {
					t.Errorf("the answer shows a token: %s", p.Detail)
				}
			}
			if (rec.Code == http.StatusUnauthorized) != (rec.Header().Get("WWW-Authenticate") != "") {
				t.Errorf("%s %s with %q: %d with challenge %q", c.method, c.path, authorization, rec.Code, rec.Header().Get("WWW-Authenticate"))
			}
		}
	}
	tokens = nil // as after a reload
	if rec := get(h, "/api/v1/nodes", ""); rec.Code != 200 {
		t.Errorf("no token is set: %d", rec.Code)
	}
}

func TestParseTokens(t *testing.T) {
	t.Parallel()
	a, b := hashed("a"), hashed("b")
	good := "# who may what\n\nedge agent " + a + "\r\n  anna\tview\t" + strings.ToUpper(b) + "\nbert operate " + hashed("c")
	tokens, err := ParseTokens(good)
	if err != nil || len(tokens) != 3 || !cmp.Equal(tokens[:2], []Token{NewToken("edge", api.RoleAgent, "a"), NewToken("anna", api.RoleView, "b")}) || tokens[2].Role != api.RoleOperate {
		t.Errorf("%+v, %v", tokens, err)
	}
	if two, err := ParseTokens("anna operate " + a + "\nanna operate " + b); len(two) != 2 || err != nil {
		t.Errorf("a rotation: %+v, %v", two, err)
	}
	limited, err := ParseTokens("edge agent " + a + " nodes=20 ids=edge-fra-*,edge-ams-1,*")
	want := NewToken("edge", api.RoleAgent, "a")
	want.IDs, want.Nodes = []string{"edge-fra-*", "edge-ams-1", "*"}, 20
	if err != nil || !cmp.Equal(limited, []Token{want}) {
		t.Errorf("with limits: %+v, %v", limited, err)
	}
	if tokens, err := ParseTokens("# nothing"); len(tokens) != 0 || err != nil {
		t.Errorf("an empty file: %+v, %v", tokens, err)
	}
	for file, want := range map[string]string{
		"edge agent":                            "line 1: write a name",
		"edge agent " + a + " more":             "line 1: behind an agent's token",
		"edge agent " + a + " nodes=1 nodes=2":  "each once",
		"edge agent " + a + " ids=a ids=b":      "each once",
		"edge agent " + a + " nodes=0":          "nodes: ",
		"edge agent " + a + " nodes=many":       "nodes: ",
		"edge agent " + a + " ids=":             "ids: ",
		"edge agent " + a + " ids=a,,b":         "ids: ",
		"edge agent " + a + " ids=a*b":          "ids: ",
		"edge view " + a + " nodes=1":           "more than three words",
		"\nedge admin " + a:                     "line 2: the second word is no role",
		"edge agent secret":                     "line 1: the third word",
		"edge agent " + a[1:]:                   "line 1: the third word",
		"edge agent " + a + "\nedge view " + b:  "line 2: edge has the role agent on a line before",
		"edge agent " + a + "\nother view " + a: "line 2: it is the token of line 1",
		strings.Repeat("x", 65) + " agent " + a: "line 1: the name",
		"x agent y\nx agent y\nedge agent " + a: "line 2: ",
		strings.Repeat("x agent y\n", 1000):     "line 11: ",
	} {
		if tokens, err := ParseTokens(file); err == nil || !strings.Contains(err.Error(), want) || tokens != nil {
			t.Errorf("%.40q: %v, %v; want %q", file, tokens, err, want)
		}
	}
	if _, err := ParseTokens("edge agent hunter2"); strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error shows what may be a token: %v", err)
	}
}

func FuzzParseTokens(f *testing.F) {
	f.Add("edge agent " + hashed("a") + "\n# x\n\nanna view " + hashed("b"))
	f.Add("x")
	f.Fuzz(func(t *testing.T, file string) {
		tokens, err := ParseTokens(file)
		if err != nil && tokens != nil {
			t.Error("tokens of a bad file")
		}
		for _, k := range tokens {
			if k.Name == "" || k.Role != api.RoleAgent && k.Role != api.RoleView && k.Role != api.RoleOperate {
				t.Errorf("%+v", k)
			}
		}
	})
}
