#!/bin/sh
# Makes what the pages embed and others made: uPlot (the plots), and the outline of the
# world's land. Needs npm, and runs in web/admin/dashboard: go generate ./web/admin/dashboard
set -eu

uplot=uplot@1.6.32      # MIT
atlas=world-atlas@2.0.2 # Natural Earth's land at 1:110 million, in the public domain, as TopoJSON

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for package in "$uplot" "$atlas"; do
	(cd "$dir" && tar xzf "$(npm pack --silent "$package")" && mv package "${package%@*}")
done

{
	cat "$dir/uplot/dist/uPlot.iife.min.js"
	echo 'export default uPlot;'
} >made/uplot.js
cp "$dir/uplot/dist/uPlot.min.css" made/uplot.css
cp "$dir/uplot/LICENSE" ../../../cmd/signpost/notice/testdata/uplot.txt
go run ./gen <"$dir/world-atlas/land-110m.json" >made/land.svg
