package client

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// A colour is a cell's on a terminal. The text says the same without it.
type colour string

const (
	plain  colour = ""
	green  colour = "32"
	yellow colour = "33"
	red    colour = "31"
	faint  colour = "2"
)

// A cell is one field of a table.
type cell struct {
	text string
	colour
}

// A table has a line of headings and aligned columns. A heading that begins with '>'
// aligns its column right, for numbers.
type table struct {
	heads []string
	rows  [][]cell
}

func newTable(heads ...string) *table { return &table{heads: heads} }

// add adds a row of cells, strings and numbers.
func (t *table) add(fields ...any) {
	row := make([]cell, len(fields))
	for i, f := range fields {
		c, ok := f.(cell)
		if !ok {
			c = cell{text: fmt.Sprint(f)}
		}
		c.text = clean(c.text)
		row[i] = c
	}
	t.rows = append(t.rows, row)
}

// print writes the table, without empty columns and trailing blanks.
func (t *table) print(to *Terminal) {
	widths := make([]int, len(t.heads))
	for _, row := range t.rows {
		for i, c := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	var b strings.Builder
	heads := make([]cell, len(t.heads))
	for i, h := range t.heads {
		heads[i] = cell{strings.TrimPrefix(h, ">"), faint}
		if widths[i] > 0 {
			widths[i] = max(widths[i], len(heads[i].text))
		}
	}
	colours := to.colours()
	for _, row := range append([][]cell{heads}, t.rows...) {
		var line strings.Builder
		for i, c := range row {
			if widths[i] == 0 {
				continue
			}
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.text))
			text := c.text
			if colours && c.colour != plain && text != "" {
				text = "\x1b[" + string(c.colour) + "m" + text + "\x1b[0m"
			}
			if strings.HasPrefix(t.heads[i], ">") {
				line.WriteString(pad + text)
			} else {
				line.WriteString(text + pad)
			}
			line.WriteString("  ")
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	fmt.Fprint(to.Out, b.String())
}

// orDash writes a number, or a dash if it is not known or not set.
func orDash(n int) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

// percent writes a part of 1.
func percent(part float64) string { return fmt.Sprintf("%.1f %%", 100*part) }
