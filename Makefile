# Signpost's commands. A newcomer needs two: `make demo` and `make test`.

GO       ?= go
PACKAGES  = icecast2 ffmpeg mpv mpg123 mplayer cmus vlc-bin vlc-plugin-base curl iproute2 redis-server gcc libc6-dev chromium fonts-inter
PROGRAMS  = icecast2 ffmpeg mpv mpg123 mplayer cmus cvlc curl ss redis-server gcc chromium
LINT      = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
FUZZTIME ?= 3000x

# Where a program comes from is linked into it, and nothing else that differs between
# machines: the same commit and the same Go make the same bytes, wherever they are.
VERSION  := $(shell git describe --tags --always --dirty --abbrev=12 2>/dev/null || echo unknown)
COMMIT   := $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
DATE     := $(shell TZ=UTC git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd 2>/dev/null || echo unknown)
BUILD     = -trimpath -buildvcs=false -ldflags '-s -w -buildid= -X main.version=$(VERSION) -X main.commit=$(COMMIT) -X main.date=$(DATE)'
PLATFORMS = linux/amd64 linux/arm64
# Another Go makes other bytes. The Dockerfile names the same one.
RELEASE_GO = go1.26.8

.DEFAULT_GOAL := help
.PHONY: help demo test check bench bench-proxy soak run build release image install-test-programs fuzz generate

help: ## say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## three small nodes and a director on this machine: listen to it
	$(GO) run ./cmd/signpost demo

test: install-test-programs ## install what the tests need, and run them all with the race detector
	@unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || { echo "gofmt -w: $$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) test -race -timeout 10m ./...
	@$(MAKE) --no-print-directory fuzz

soak: install-test-programs ## the same tests at their full size, one after another; it takes an hour or two, and wants a quiet machine
	SIGNPOST_SOAK=1 $(GO) test -count 1 -race -p 1 -parallel 1 -timeout 120m ./...

# Every fuzz target runs on some new inputs; its seeds run with the tests. They are
# counted, since go test -fuzz may fail when its time is up within a slow one.
fuzz:
	@$(GO) list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}} {{.Dir}}{{end}}' ./... | while read -r package dir; do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p' "$$dir"/*_test.go); do \
			echo "fuzz $$package $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) "$$package" >.fuzz.log 2>&1 || { cat .fuzz.log; rm -f .fuzz.log; exit 1; }; \
		done; \
	done; rm -f .fuzz.log

check: ## lint (golangci-lint is built from the module proxy the first time)
	$(GO) run $(LINT) run

bench: build ## benchmarks: the core's, and the whole program beside others (root; MMDB=a city database; docs/performance.md)
	$(GO) test -run '^$$' -bench . -benchtime 300ms ./director ./geo ./store ./web ./cmd/signpost
	$(GO) build -o bin/bench ./cmd/bench
	bin/bench redirect --signpost bin/signpost $(if $(MMDB),--mmdb $(MMDB)) --json bin/redirect.json
	bin/bench decide --signpost bin/signpost --json bin/decide.json

bench-proxy: build ## what carrying a stream costs, beside nginx and HAProxy (Debian: nginx haproxy)
	$(GO) run ./cmd/bench proxy --signpost bin/signpost

run: ## serve with signpost.yaml from this directory
	$(GO) run ./cmd/signpost serve --config signpost.yaml

build: ## build bin/signpost
	CGO_ENABLED=0 $(GO) build $(BUILD) -o bin/signpost ./cmd/signpost

release: export GOTOOLCHAIN = $(RELEASE_GO)
release: ## build dist/: an archive for each platform, and their checksums
	rm -rf dist
	@set -eu; for platform in $(PLATFORMS); do \
		os=$${platform%/*} arch=$${platform#*/}; name=signpost_$(VERSION)_$${os}_$$arch; mkdir -p dist/$$name; \
		echo "$$name"; \
		CGO_ENABLED=0 GOOS=$$os GOARCH=$$arch GOAMD64=v1 GOARM64=v8.0 $(GO) build $(BUILD) -o dist/$$name/signpost ./cmd/signpost; \
		cp -R README.md CONTRIBUTING.md docker-compose.yml .env.example docs deploy dist/$$name/; \
		tar -C dist --sort=name --mtime='$(DATE)' --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX --format=ustar -cf - $$name | gzip -9n >dist/$$name.tar.gz; \
		rm -r dist/$$name; \
	done
	@cd dist && sha256sum *.tar.gz | tee SHA256SUMS

image: ## build the container image signpost:VERSION
	docker build --build-arg VERSION=$(VERSION) --build-arg COMMIT=$(COMMIT) --build-arg DATE=$(DATE) -t signpost:$(VERSION) .

generate: ## make the embedded country database, the demo's loops and the generated documentation anew (needs npm and ffmpeg)
	$(GO) generate ./...

# The tests play real servers with real players, from Debian's packages; the race
# detector needs a C compiler.
install-test-programs:
	@missing=; for p in $(PROGRAMS); do command -v $$p >/dev/null || missing=yes; done; \
	if [ -n "$$missing" ]; then \
		echo "installing $(PACKAGES)"; \
		sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
		$$sudo apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -qq --no-install-recommends $(PACKAGES) >/dev/null; \
	fi
