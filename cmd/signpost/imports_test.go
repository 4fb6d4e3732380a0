package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module = "github.com/signpost-fm/signpost"
	root   = "../.."
)

// A houseRule says which of our packages a package may import, and why no others.
type houseRule struct {
	may    []string
	reason string
}

const everything = "*"

// forTests is the package that all test servers, whose names end in "test", may import.
const forTests = "director/probe/proctest"

// forAll is the package that all others may import, except the core.
const forAll = "director/wording"

// house is the table of packages. One that is not in it has no place yet: give it
// one here, with its reason.
var house = map[string]houseRule{
	"director":              {nil, "the core decides and does not fetch: it must stay free of everything that could wait or fail"},
	"director/wording":      {nil, "what is told of errors is told everywhere in the same words"},
	"director/probe":        {[]string{"director", "web/hls"}, "a prober reports what it heard; what becomes of it is decided elsewhere"},
	"director/sim":          {[]string{"director", "director/probe", "store", "store/memstore", "web/visits"}, "a simulation plays the rules about time, all of which are the product's own, and nothing that answers or asks over a network"},
	"geo/fetch":             {[]string{"geo"}, "files are fetched without knowing who looks into them"},
	"geo":                   {[]string{"director"}, "an address becomes a place, whoever asks and whatever for"},
	"store":                 {[]string{"director"}, "directors agree on data; HTTP and probing are not their store's concern"},
	"store/memstore":        {[]string{"director", "store"}, "a store keeps what it is given"},
	"store/redisstore":      {[]string{"director", "store"}, "a store keeps what it is given"},
	"store/storetest":       {[]string{"director", "store"}, "the suite runs on every store, so it knows none"},
	"web/lastcall":          {nil, "how a server ends does not depend on what it answers"},
	"web":                   {[]string{"director", "web/hls", "web/hls/origin", "web/hls/session", "web/lane", "web/strictjson", "web/visits"}, "the public side must be testable without store, prober, geography and proxy: it has interfaces of its own for them"},
	"web/dns":               {[]string{"director"}, "the listener's side in DNS stands beside HTTP and knows nothing of it: both ask the core"},
	"web/proxy":             {[]string{"director", "web/proxy/audio"}, "carrying bytes needs to know nothing of how the node was found"},
	"web/proxy/audio":       {nil, "a parser of what comes from outside is of use, and can be fuzzed, without anything around it"},
	"web/hls/origin":        {[]string{"director", "web/hls"}, "playlists are read from nodes without knowing who asks for them"},
	"web/hls/session":       {[]string{"director"}, "who plays from where is remembered without knowing how they asked"},
	"web/lane":              {nil, "what answers requests in place of net/http must be comparable with it, with any handler"},
	"web/visits":            {[]string{"director"}, "how often somebody came does not depend on how they asked"},
	"web/idn":               {nil, "how a host name is written does not depend on whose it is"},
	"web/hls":               {nil, "playlists come from outside: they are read and written without knowing who asks, and can be fuzzed without anything around them"},
	"web/strictjson":        {nil, "how strictly JSON is read does not depend on what is in it"},
	"web/acme":              {[]string{"director/wording", "store"}, "certificates come from outside, and all that they need of a director is where files are shared"},
	"web/admin":             {[]string{"director", "store", "web/admin/api", "web/admin/ring", "web/idn", "web/strictjson"}, "the operators' side shows and edits; it opens nothing itself"},
	"web/admin/api":         {[]string{"director", "store"}, "what is said over the API is shared by who asks and who answers"},
	"web/admin/ring":        {nil, "numbers over time are kept without knowing whose they are, or by which clock"},
	"web/admin/dashboard":   {[]string{"director", "store", "web/admin", "web/admin/api"}, "pages show what the API answers, and change things by it alone"},
	"cmd/signpost":          {[]string{everything}, "a command says which rooms it needs"},
	"cmd/signpost/client":   {[]string{"director", "store", "web/admin/api", "cmd/signpost/simulate", "cmd/signpost/spelling", "cmd/signpost/yamlfile"}, "a command for operators knows of a director what its API tells, and no more; a simulation is printed as the command of that name does"},
	"cmd/signpost/service":  {[]string{"director", "director/probe", "geo", "geo/fetch", "store", "store/memstore", "store/redisstore", "web", "web/acme", "web/admin", "web/admin/api", "web/admin/dashboard", "web/admin/ring", "web/dns", "web/hls/origin", "web/lastcall", "web/proxy", "cmd/signpost/azuracast", "cmd/signpost/config", "cmd/signpost/notify", "cmd/signpost/output", "cmd/signpost/simulate", "cmd/signpost/version"}, "a running director is wired here, by settings that were checked before: it sees no file"},
	"cmd/signpost/agent":    {[]string{"director", "director/probe", "web/admin/api", "cmd/signpost/client"}, "an agent measures one node and tells it by the API; it is no director"},
	"cmd/signpost/config":   {[]string{"director", "director/probe", "geo", "geo/fetch", "store/redisstore", "web", "web/acme", "web/admin", "web/admin/api", "web/idn", "web/proxy", "web/dns", "cmd/signpost/azuracast", "cmd/signpost/notify", "cmd/signpost/spelling", "cmd/signpost/yamlfile"}, "a file is converted to what each package is configured with; nothing runs"},
	"cmd/signpost/yamlfile": {[]string{"cmd/signpost/spelling"}, "how a file is read, and where its mistakes are, is the same whatever it configures"},
	"cmd/signpost/upgrade":  {nil, "one process takes another's place whatever it serves"},
	"cmd/signpost/output":   {nil, "lines go to readers who are slow or gone whatever stands in them"},
	"cmd/signpost/notify":   {[]string{"director"}, "operators are told what a snapshot says, and nothing waits for it"},
	"cmd/signpost/version":  {nil, "what the linker sets is asked from everywhere"},
	"cmd/signpost/spelling": {nil, "words are compared without knowing what they mean"},
	"cmd/signpost/simulate": {[]string{"director", "director/probe", "director/sim", "geo"}, "what is played, and what is told of it, follows from settings that were checked before"},
	"cmd/signpost/demonode": {nil, "a node is known by what it answers, as any other server is"},
	"cmd/signpost/demopage": {nil, "a page knows what it plays from a URL, as any other player does"},
	"cmd/signpost/notice":   {[]string{"cmd/signpost/version"}, "what is linked is asked of the go command"},
	"cmd/signpost/e2e":      {nil, "only tests are there, and they see the built program"},
	"cmd/bench":             {nil, "a benchmark that shares code with what it measures measures itself"},

	"cmd/signpost/importer":  {[]string{"director", "director/probe", "cmd/signpost/azuracast", "cmd/signpost/yamlfile"}, "what is there is read and written down; what it means is the configuration's affair"},
	"cmd/signpost/azuracast": {[]string{"director"}, "an AzuraCast is told what a snapshot says, and nothing waits for it"},
}

// libraries may be imported where they are named, and nowhere else.
var libraries = []struct {
	prefix string
	only   []string
	reason string
}{
	{"github.com/labstack/echo", []string{"web", "web/admin", "cmd/bench"}, "HTTP frameworks come and go; only those who answer requests may know one (the benchmark serves the bare one to compare with)"},
	{"github.com/oschwald/", []string{"geo", "cmd/bench"}, "a database format is geo's affair (the benchmark compares with its plain use)"},
	{"github.com/maxmind/", []string{"geo"}, "a database format is geo's affair"},
	{"github.com/goccy/go-yaml", []string{"cmd/signpost/yamlfile"}, "every package has a Config of its own; only one reads files"},
	{"github.com/alecthomas/kong", []string{"cmd/signpost", "cmd/signpost/client", "cmd/bench"}, "a command line belongs to a command"},
	{"github.com/fsnotify/", []string{"geo", "cmd/signpost/service"}, "files are watched by those who own them"},
	{"github.com/beevik/etree", []string{"web/hls"}, "an MPD is kept whole, what is not known in it included, and only one package writes one"},
	{"github.com/redis/", []string{"store/redisstore", "cmd/bench"}, "losing Redis must be one package's problem (the benchmark compares with asking it for each request)"},
	{"github.com/prometheus/", []string{"web", "web/dns", "web/admin", "cmd/signpost/service"}, "the core and the stores tell numbers, not metrics"},
	{"github.com/miekg/dns", []string{"cmd/bench", "web/acme"}, "answers are built by package web/dns itself, where nothing may be allocated (tests read them with a parser that is not ours, the benchmark compares with a bare server, and the tests' certificate authority resolves by one)"},
	{"github.com/caddyserver/certmagic", []string{"web/acme"}, "how certificates are obtained is one package's affair"},
	{"github.com/mholt/acmez", []string{"web/acme"}, "the protocol below certmagic"},
	{"go.uber.org/zap", []string{"web/acme"}, "certmagic logs through it; all others use log/slog"},
	{"github.com/letsencrypt/pebble", []string{"web/acme"}, "an authority for tests"},
	{"github.com/dchest/siphash", []string{"web", "web/dns", "web/hls/session"}, "the keyed hash of pseudonyms in records, of DNS cookies and of sessions, and nothing else"},
	{"github.com/chromedp/", []string{"web/admin/dashboard"}, "a browser is driven by tests alone"},
	{"github.com/CycloneDX/", []string{"cmd/signpost/notice"}, "how a bill of materials is written is one package's affair"},
	{"github.com/pires/go-proxyproto", []string{"web"}, "where a connection comes from is settled before anybody else sees it"},
}

// coreMayImport is all that package director may use of the standard library.
var coreMayImport = strings.Fields("cmp errors fmt hash/maphash iter maps math math/bits net/netip net/url slices sort strconv strings sync/atomic time unicode unicode/utf8")

// A source is one Go file that is not a test.
type source struct {
	pkg, name string // "web/proxy", "web/proxy/serve.go"
	tree      *ast.File
	imports   []string
}

func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, name)
		rel = filepath.ToSlash(rel)
		if d.IsDir() && rel != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		tree, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil {
			return err
		}
		s := source{pkg: path.Dir(rel), name: rel, tree: tree}
		for _, i := range tree.Imports {
			p, _ := strconv.Unquote(i.Path.Value)
			s.imports = append(s.imports, p)
		}
		all = append(all, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// owner is the package of the house that pkg is, or is a tool of: generators and
// test servers stand below the package that they serve, and may import it too.
func owner(pkg string) (string, bool) {
	for p := pkg; p != "."; p = path.Dir(p) {
		if _, ok := house[p]; ok {
			return p, true
		}
	}
	return "", false
}

func TestImportsOfOurOwn(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		of, ok := owner(s.pkg)
		if !ok {
			t.Errorf("%s: package %s stands nowhere in the table of packages", s.name, s.pkg)
			continue
		}
		rule := house[of]
		for _, i := range s.imports {
			ours, isOurs := strings.CutPrefix(i, module+"/")
			if !isOurs || slices.Contains(rule.may, everything) || slices.Contains(rule.may, ours) {
				continue
			}
			if ours == forAll && s.pkg != "director" {
				continue
			}
			if ours == forTests && strings.HasSuffix(s.pkg, "test") {
				continue
			}
			if s.pkg != of && (ours == of || strings.HasPrefix(ours, of+"/")) {
				continue
			}
			t.Errorf("%s imports %s, but %s may import only %v: %s", s.name, ours, of, rule.may, rule.reason)
		}
	}
}

func TestImportsOfLibraries(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		of, _ := owner(s.pkg)
		for _, i := range s.imports {
			for _, l := range libraries {
				if strings.HasPrefix(i, l.prefix) && !slices.Contains(l.only, of) {
					t.Errorf("%s imports %s, which only %v may: %s", s.name, i, l.only, l.reason)
				}
			}
		}
	}
}

// TestArchitectureHasTheTable: docs/architecture.md names every package, and lets each
// import what the table here does.
func TestArchitectureHasTheTable(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(root + "/docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	quoted := regexp.MustCompile("`([a-z0-9./]+)`")
	packages := func(cell string) (all []string) {
		for _, m := range quoted.FindAllStringSubmatch(cell, -1) {
			all = append(all, m[1])
		}
		slices.Sort(all)
		return all
	}
	named := map[string]bool{}
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			continue
		}
		for _, pkg := range packages(cells[1]) {
			named[pkg] = true
			rule, ours := house[pkg]
			if !ours || len(cells) != 5 {
				continue
			}
			may := slices.Sorted(slices.Values(rule.may))
			if slices.Equal(may, []string{everything}) {
				may = nil
			}
			if got := packages(cells[3]); !slices.Equal(got, may) {
				t.Errorf("%s may import %v, and the page says %v", pkg, may, got)
			}
		}
	}
	for _, s := range sources(t) {
		if !named[s.pkg] {
			named[s.pkg] = true
			t.Errorf("the page does not name %s", s.pkg)
		}
	}
}

// TestClientLinksNoServer: the command line shares types with the operators' side,
// and must not link what that answers with.
func TestClientLinksNoServer(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-deps", module+"/cmd/signpost/client").Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(out))
	if !slices.Contains(deps, module+"/web/admin/api") {
		t.Errorf("it does not link web/admin/api: look for what is shared somewhere else")
	}
	for _, d := range deps {
		for _, server := range []string{"github.com/labstack/", "github.com/prometheus/", "github.com/redis/"} {
			if strings.HasPrefix(d, server) {
				t.Errorf("it links %s", d)
			}
		}
	}
}

// TestCoreIsPure holds package director to having no network, no clock, no dice
// and no goroutine: time and chance are handed in, so that the same input gives
// the same answer at every director.
func TestCoreIsPure(t *testing.T) {
	t.Parallel()
	clock := strings.Fields("Now Since Until Sleep After AfterFunc Tick NewTimer NewTicker")
	files := 0
	for _, s := range sources(t) {
		if s.pkg != "director" {
			continue
		}
		files++
		for _, i := range s.imports {
			if !slices.Contains(coreMayImport, i) {
				t.Errorf("%s imports %s, which the core may not: it may import %v", s.name, i, coreMayImport)
			}
		}
		ast.Inspect(s.tree, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s starts a goroutine: the core is called, it does not run", s.name)
			case *ast.SelectorExpr:
				if pkg, ok := n.X.(*ast.Ident); ok && pkg.Name == "time" && slices.Contains(clock, n.Sel.Name) {
					t.Errorf("%s uses time.%s: the core has no clock, times are handed in", s.name, n.Sel.Name)
				}
			}
			return true
		})
	}
	if files == 0 {
		t.Error("no files of package director were found")
	}
}
