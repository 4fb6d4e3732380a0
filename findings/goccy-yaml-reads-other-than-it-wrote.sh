#!/usr/bin/env bash
# goccy/go-yaml writes some strings without quotes that it then reads as something else
#
# What was run: github.com/goccy/go-yaml v1.19.2, yaml.Marshal of a map with one string, and yaml.Unmarshal of the result.
# Expected: the string. YAML 1.2.2, 7.3.3: a plain scalar must not begin with an indicator that is followed by white
#   space ("?" is one), nor with white space; such strings are written in quotes. The library quotes others: "- a", "# a".
# Seen: "? a" is written plain, and what was written is refused: "mapping value is not allowed in this context". A string
#   with a tab at its front is written plain, too, and comes back without the tab and without an error.
# Date: 2026-11-30
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat >main.go <<'GO'
package main

import (
	"fmt"
	"os"

	"github.com/goccy/go-yaml"
)

func main() {
	same := true
	for text, differs := range map[string]bool{"- a": false, "# a": false, "a: b": false, "? a": true, "\ta": true} {
		b, err := yaml.Marshal(map[string]string{"title": text})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		var got map[string]any
		err = yaml.Unmarshal(b, &got)
		fmt.Printf("%-7q is written %-16q and read %q, %v\n", text, b, fmt.Sprint(got["title"]), err)
		if (err != nil || got["title"] != text) != differs {
			same = false
		}
	}
	if !same {
		fmt.Println("this is different now")
		os.Exit(1)
	}
}
GO
go mod init finding >/dev/null 2>&1
go get github.com/goccy/go-yaml@v1.19.2 >/dev/null 2>&1
go run .
