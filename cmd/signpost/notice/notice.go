// Package notice tells what the program links and embeds that others made, and under which
// licences: for people in the file NOTICE, for tools as a bill of materials.
package notice

//go:generate go test -run=TestNotice -update .

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// apache is the licence of Signpost, whose text other components need not repeat.
const apache = "Apache-2.0"

// A component is something in the program that others made.
type component struct {
	Name    string `json:"name"`              // a module's path, or what it is and where
	Version string `json:"version,omitempty"` // of a module
	Licence string `json:"licence"`           // SPDX's name of it, or "public domain"
	Text    string `json:"text,omitempty"`    // of the licence, unless that is Signpost's own
	Notice  string `json:"notice,omitempty"`  // its own NOTICE, which its licence wants to be passed on
}

func (c *component) String() string { return strings.TrimSpace(c.Name + " " + c.Version) }

// bundle is what the package's test writes into components.json.
type bundle struct {
	Licence    string      `json:"licence"` // the text of Signpost's own
	Components []component `json:"components"`
}

//go:embed components.json
var written []byte

// known are the components of the program for any of the platforms that are released.
var known = func() (b bundle) {
	if err := json.Unmarshal(written, &b); err != nil {
		panic(err) // it is compiled in
	}
	return b
}()

// Licences returns NOTICE, and the licence of Signpost itself.
func Licences() []byte {
	b := bytes.NewBuffer(Notice())
	heading(b, apache)
	b.WriteString(known.Licence)
	return b.Bytes()
}

// Notice returns the file NOTICE: all components, and each licence's text once, with the
// copyrights of those that are under it.
func Notice() []byte { return document(known.Components) }

func document(all []component) []byte {
	var b bytes.Buffer
	b.WriteString("Signpost\nCopyright 2026 The Signpost authors\n\n" +
		"Signpost is licensed under the Apache License, Version 2.0; see LICENSE.\n" +
		"The program links and embeds the following, under their own licences.\n\n")
	width := 0
	for _, c := range all {
		width = max(width, len(c.Licence))
	}
	for _, c := range all {
		fmt.Fprintf(&b, "  %-*s  %s\n", width, c.Licence, c.String())
	}
	for _, c := range all {
		if c.Notice != "" {
			heading(&b, "The notice of "+c.String())
			b.WriteString(strings.TrimSpace(c.Notice) + "\n")
		}
	}
	texts := map[string]string{} // by their words
	holders := map[string][]string{}
	for _, c := range all {
		if c.Text == "" {
			continue
		}
		owners, text := split(c.Text)
		key := strings.Join(strings.Fields(text), " ")
		texts[key] = cmp.Or(texts[key], c.Licence+"\n"+text)
		holders[key] = append(holders[key], append([]string{c.String()}, owners...)...)
	}
	for _, key := range slices.SortedFunc(maps.Keys(texts), func(a, b string) int { return cmp.Compare(texts[a], texts[b]) }) {
		licence, text, _ := strings.Cut(texts[key], "\n")
		heading(&b, licence)
		for _, line := range holders[key] {
			b.WriteString(line + "\n")
		}
		b.WriteString("\n" + text + "\n")
	}
	return b.Bytes()
}

func heading(b *bytes.Buffer, text string) {
	fmt.Fprintf(b, "\n%s\n%s\n\n", strings.Repeat("-", 80), text)
}

// title is what stands above a licence and is no part of it.
var title = regexp.MustCompile(`(?i)^((the )?(mit|isc|bsd)\b.*licen[cs]e.*|all rights reserved\.?)$`)

// split parts a licence into its copyrights and the words that others use as well.
func split(text string) (owners []string, rest string) {
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		switch trimmed := strings.TrimSpace(line); {
		case strings.HasPrefix(trimmed, "Copyright"):
			owners = append(owners, "  "+trimmed)
		case !title.MatchString(trimmed):
			lines = append(lines, strings.TrimRight(line, " \r"))
		}
	}
	return owners, strings.TrimSpace(strings.Join(lines, "\n"))
}
