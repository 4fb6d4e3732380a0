# Signpost's commands. A newcomer needs two: `make demo` and `make test`.

GO       ?= go
PACKAGES  = icecast2 ffmpeg mpv mpg123 vlc-bin vlc-plugin-base curl redis-server gcc libc6-dev
PROGRAMS  = icecast2 ffmpeg mpv mpg123 cvlc curl redis-server gcc
LINT      = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
FUZZTIME ?= 3000x
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

.DEFAULT_GOAL := help
.PHONY: help demo test check bench bench-proxy soak run build install-test-programs fuzz generate

help: ## say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## three small nodes and a director on this machine: listen to it
	$(GO) run ./cmd/signpost demo

test: install-test-programs ## install what the tests need, and run them all with the race detector
	@unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || { echo "gofmt -w: $$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) test -race -timeout 5m ./...
	@$(MAKE) --no-print-directory fuzz

soak: install-test-programs ## the same tests at their full size, which takes a while
	SIGNPOST_SOAK=1 $(GO) test -count 1 -race -timeout 60m ./...

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

bench: build ## benchmarks: the core's, and the whole program beside a bare handler
	$(GO) test -run '^$$' -bench . -benchtime 300ms ./director ./geo ./store ./web ./cmd/signpost
	$(GO) run ./cmd/bench redirect --signpost bin/signpost

bench-proxy: build ## what carrying a stream costs, beside nginx and HAProxy (Debian: nginx haproxy)
	$(GO) run ./cmd/bench proxy --signpost bin/signpost

run: ## serve with signpost.yaml from this directory
	$(GO) run ./cmd/signpost serve --config signpost.yaml

build: ## build bin/signpost
	$(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/signpost ./cmd/signpost

generate: ## make the embedded country database and the generated documentation anew (needs npm)
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
