#!/bin/sh
# Makes hls.js.gz, which the page embeds. Needs npm, and runs here: go generate ./cmd/signpost/demopage
set -eu

hls=hls.js@1.7.4 # Apache-2.0

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
(cd "$dir" && tar xzf "$(npm pack --silent "$hls")")
grep -v '^//# sourceMappingURL=' "$dir/package/dist/hls.min.js" | gzip -9n >hls.js.gz
cp "$dir/package/LICENSE" ../notice/testdata/hls.js.txt
