package simulate

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
)

//go:embed report.html
var page string

//go:embed report.js
var script string

// Plotting is uPlot, which the page carries inside: a module that defines uPlot, and its
// style sheet.
type Plotting struct{ JS, CSS string }

// HTML writes the report as one page that needs nothing else, and asks nobody for anything.
func (r *Report) HTML(w io.Writer, p Plotting) error {
	t, err := template.New("report").Funcs(template.FuncMap{
		"percent": percent, "part": part,
	}).Parse(page)
	if err != nil {
		return err
	}
	data, err := json.Marshal(r) // which escapes what would end a script
	if err != nil {
		return fmt.Errorf("the report: %w", err)
	}
	return t.Execute(w, struct {
		*Report
		CSS    template.CSS
		Script template.JS
		Data   template.JS
	}{r, template.CSS(p.CSS), template.JS(p.JS + "\n" + script), template.JS(data)}) //nolint:gosec // ours, and JSON
}
