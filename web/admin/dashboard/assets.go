package dashboard

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"io/fs"
	"net/http"
)

//go:embed assets
var assetFiles embed.FS

//go:embed templates
var templateFiles embed.FS

// assets are the embedded files. Their URLs contain a hash of all of them, so browsers
// may cache them for ever, and never mix versions.
type assets struct {
	files http.Handler
	hash  string
}

func loadAssets() assets {
	files, err := fs.Sub(assetFiles, "assets")
	if err != nil {
		panic(err) // they are compiled in
	}
	all := sha256.New()
	err = fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(files, name)
		all.Write([]byte(name))
		all.Write(content)
		return err
	})
	if err != nil {
		panic(err)
	}
	return assets{http.FileServerFS(files), hex.EncodeToString(all.Sum(nil)[:6])}
}

// url returns the URL of an asset.
func (a assets) url(name string) string { return "/assets/" + a.hash + "/" + name }

// ServeHTTP serves an asset. A page of another version of the program gets this
// version's asset, which the browser must revalidate each time.
func (a assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-cache")
	if r.PathValue("hash") == a.hash {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	r.URL.Path = r.PathValue("name")
	a.files.ServeHTTP(w, r)
}

// parsePages parses each page's template with the layout. The templates are embedded, so
// every test finds a mistake in one.
func parsePages(a assets) map[string]*template.Template {
	frame := template.Must(template.New("").Funcs(functions).Funcs(template.FuncMap{"asset": a.url}).
		ParseFS(templateFiles, "templates/layout.html"))
	pages := map[string]*template.Template{}
	for _, name := range []string{"login", "fleet", "weights", "clients", "mounts", "history", "explain", "error"} {
		pages[name] = template.Must(template.Must(frame.Clone()).ParseFS(templateFiles, "templates/"+name+".html"))
	}
	return pages
}
