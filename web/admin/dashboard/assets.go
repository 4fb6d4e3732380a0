package dashboard

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
)

// Our own files; those that others made, or that are made of what others made (see
// gen/assets.sh); and the templates.
var (
	//go:embed assets
	assetFiles embed.FS
	//go:embed made
	madeFiles embed.FS
	//go:embed templates
	templateFiles embed.FS
)

// assets are the embedded files, by name. Their URLs contain a hash of all of them, so
// browsers may cache them for ever, and never mix versions.
type assets struct {
	files map[string]asset
	hash  string
}

type asset struct {
	kind          string // media type
	plain, zipped []byte
}

func loadAssets() assets {
	out, all := assets{files: map[string]asset{}}, sha256.New()
	for _, from := range []fs.FS{assetFiles, madeFiles} {
		err := fs.WalkDir(from, ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			content, err := fs.ReadFile(from, name)
			all.Write([]byte(name))
			all.Write(content)
			out.files[path.Base(name)] = asset{mime.TypeByExtension(path.Ext(name)), content, zip(content)}
			return err
		})
		if err != nil {
			panic(err) // they are compiled in
		}
	}
	out.hash = hex.EncodeToString(all.Sum(nil)[:6])
	return out
}

// Plotting returns uPlot, for pages that carry it inside: a module that defines uPlot, and
// its style sheet.
func Plotting() (js, css string) {
	var out [2]string
	for i, name := range []string{"made/uplot.js", "made/uplot.css"} {
		content, err := madeFiles.ReadFile(name)
		if err != nil {
			panic(err) // it is compiled in
		}
		out[i] = string(content)
	}
	return out[0], out[1]
}

// zip compresses content.
func zip(content []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(content)
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic(err) // memory takes everything
	}
	return b.Bytes()
}

// takesZipped says whether a browser takes compressed answers.
func takesZipped(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept-Encoding"), "gzip")
}

// url returns the URL of an asset.
func (a assets) url(name string) string { return "/assets/" + a.hash + "/" + name }

// ServeHTTP serves an asset. A page of another version of the program gets this
// version's asset, which the browser must revalidate each time.
func (a assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	file, ok := a.files[r.PathValue("name")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Cache-Control", "no-cache")
	if r.PathValue("hash") == a.hash {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	h.Set("Content-Type", file.kind)
	h.Add("Vary", "Accept-Encoding")
	body := file.plain
	if takesZipped(r) {
		h.Set("Content-Encoding", "gzip")
		body = file.zipped
	}
	_, _ = w.Write(body) // the client may be gone
}

// pageNames are the pages' templates.
var pageNames = strings.Fields("login overview weights clients mounts mount node directors history explain error")

// loads is what a page loads besides what all pages do: so that nobody who looks whether
// the station is on the air waits for the matrix of weights.
type loads struct {
	Script string   // a module that exports, as its default, what to run
	Styles []string // style sheets
}

var ownLoads = map[string]loads{
	"login":    {Script: "login.js"},
	"overview": {"overview.js", []string{"uplot.css"}},
	"node":     {"node.js", []string{"uplot.css"}},
	"mount":    {"mount.js", []string{"uplot.css"}},
	"mounts":   {Script: "mounts.js"},
	"weights":  {"weights.js", []string{"weights.css"}},
	"clients":  {Script: "clients.js"},
	"history":  {Script: "history.js"},
}

// parsePages parses each page's template with the layout. The templates are embedded, so
// every test finds a mistake in one.
func parsePages(a assets) map[string]*template.Template {
	frame := template.Must(template.New("").Funcs(functions).Funcs(template.FuncMap{"asset": a.url}).
		ParseFS(templateFiles, "templates/layout.html"))
	pages := map[string]*template.Template{}
	for _, name := range pageNames {
		pages[name] = template.Must(template.Must(frame.Clone()).ParseFS(templateFiles, "templates/"+name+".html"))
	}
	return pages
}
