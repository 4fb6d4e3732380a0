# Signpost's commands. A newcomer needs two: `make demo` and `make test`.

GO       ?= go
PACKAGES  = icecast2 haproxy nginx-light ffmpeg mpv mpg123 mplayer cmus vlc-bin vlc-plugin-base curl iproute2 redis-server gcc libc6-dev chromium fonts-inter bind9-dnsutils knot-dnsutils unbound bind9 knot-resolver pdns-recursor dnsmasq-base musl-tools mpd streamlink gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good libnss3-tools openssl prometheus
PROGRAMS  = icecast2 haproxy nginx ffmpeg mpv mpg123 mplayer cmus cvlc curl ss redis-server gcc chromium dig kdig unbound named kresd pdns_recursor dnsmasq musl-gcc mpd streamlink gst-launch-1.0 certutil openssl promtool
NFPM      = github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2
LINT      = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
# New inputs for each fuzz target.
INPUTS   ?= 3000
# Which faults of .ci/breaks.txt `make breaks` tries: a regular expression for their names.
NAMES    ?= .

# Where a program comes from is linked into it, and nothing else that differs between
# machines: the same commit and the same Go make the same bytes, wherever they are.
VERSION  := $(shell git describe --tags --always --dirty --abbrev=12 2>/dev/null || echo unknown)
COMMIT   := $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
DATE     := $(shell TZ=UTC git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd 2>/dev/null || echo unknown)
LINKED    = github.com/signpost-fm/signpost/cmd/signpost/version
BUILD     = -trimpath -buildvcs=false -ldflags '-s -w -buildid= -X $(LINKED).version=$(VERSION) -X $(LINKED).commit=$(COMMIT) -X $(LINKED).date=$(DATE)'
PLATFORMS = linux/amd64 linux/arm64
# Another Go makes other bytes. The Dockerfile names the same one.
RELEASE_GO = go1.26.8

# Servers are in the system's directories, which not every user has in the path.
export PATH := $(PATH):/usr/sbin:/sbin

# Where `make install` puts things; DESTDIR goes before it, for who makes packages. PROGRAM
# may be for another machine: bin/signpost writes what is made from its commands.
PREFIX   ?= /usr/local
PROGRAM  ?= bin/signpost

.DEFAULT_GOAL := help
.PHONY: help demo test quick check bench bench-proxy soak breaks run build install release packages packages-test image install-test-programs fuzz generate bin/tests

help: ## say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## three small nodes and a director on this machine: listen to it
	@echo "building Signpost; the first time this takes a minute or two, and what it prints comes after"
	@$(GO) run ./cmd/signpost demo

test: ## all tests, with real servers and players and the race detector; installs what they need
	@echo "make test usually takes nine minutes on two processors, and some more where it has to install or to build (make quick: half a minute)"
	@$(MAKE) --no-print-directory install-test-programs bin/tests
	@unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || { echo "gofmt -w: $$unformatted"; exit 1; }
	$(GO) vet ./... ./.ci/tests
	SIGNPOST_TEST_PROGRAMS=required bin/tests race -vet=off -timeout=60m ./...
	@bin/tests fuzz $(INPUTS)

quick: bin/tests ## the tests that need no other programs, without the race detector: half a minute, once all is built
	@bin/tests run -short -timeout 10m ./...

soak: install-test-programs bin/tests ## the same tests at their full size, one after another; it takes an hour or two, and wants a quiet machine
	SIGNPOST_E2E_RACE=1 SIGNPOST_TEST_PROGRAMS=required bin/tests run -count 1 -timeout 60m ./cmd/signpost/e2e
	SIGNPOST_SOAK=1 SIGNPOST_TEST_PROGRAMS=required bin/tests run -count 1 -race -p 1 -parallel 1 -timeout 120m ./...

breaks: install-test-programs bin/tests ## put each fault of .ci/breaks.txt into the code, and see that a test finds it: a quarter of an hour
	@bin/tests breaks .ci/breaks.txt '$(NAMES)'

fuzz: bin/tests
	@bin/tests fuzz $(INPUTS)

bin/tests:
	@$(GO) build -o $@ ./.ci/tests

check: ## lint (golangci-lint is built from the module proxy the first time)
	$(GO) run $(LINT) run

bench: build ## benchmarks: the core's, and the whole program beside others (root; MMDB=a city database; docs/performance.md)
	$(GO) test -run '^$$' -bench . -benchtime 300ms ./director ./geo ./store ./web ./cmd/signpost/service
	$(GO) build -o bin/bench ./cmd/bench
	bin/bench redirect --signpost bin/signpost $(if $(MMDB),--mmdb $(MMDB)) --json bin/redirect.json
	$(if $(MMDB),bin/bench redirect --tls --nodes 10 --requests 5000 --signpost bin/signpost --mmdb $(MMDB) --json bin/redirect-tls.json)
	bin/bench decide --signpost bin/signpost --json bin/decide.json
	$(if $(MMDB),bin/bench steer --signpost bin/signpost --mmdb $(MMDB) --json bin/steer.json)
	$(if $(MMDB),bin/bench dns --signpost bin/signpost --mmdb $(MMDB) --json bin/dns.json)

.PHONY: bench-probe
bench-probe: ## what probing 1,000 nodes costs, beside the commit BASE
	.ci/probe-cost $(BASE)

bench-proxy: build ## what carrying a stream costs, beside nginx and HAProxy (Debian: nginx haproxy)
	$(GO) run ./cmd/bench proxy --signpost bin/signpost

run: ## serve with signpost.yaml from this directory
	$(GO) run ./cmd/signpost serve --config signpost.yaml

build: ## build bin/signpost
	CGO_ENABLED=0 $(GO) build $(BUILD) -o bin/signpost ./cmd/signpost

install: ## install bin/signpost, its completions, manual pages, systemd units and docs under PREFIX (/usr/local), or DESTDIR/PREFIX
	@[ -x bin/signpost ] || $(MAKE) --no-print-directory build
	@echo "installing $$(bin/signpost version | head -1) under $(DESTDIR)$(PREFIX)"
	install -D -m 755 $(PROGRAM) $(DESTDIR)$(PREFIX)/bin/signpost
	@set -eu; share=$(DESTDIR)$(PREFIX)/share lib=$(DESTDIR)$(PREFIX)/lib; umask 022; \
	mkdir -p $$share/bash-completion/completions $$share/zsh/site-functions $$share/fish/vendor_completions.d $$share/man/man1 $$share/doc/signpost $$lib/systemd/system $$lib/sysusers.d; \
	bin/signpost completion bash >$$share/bash-completion/completions/signpost; \
	bin/signpost completion zsh >$$share/zsh/site-functions/_signpost; \
	bin/signpost completion fish >$$share/fish/vendor_completions.d/signpost.fish; \
	bin/signpost man --dir $$share/man/man1; \
	gzip -9nf $$share/man/man1/signpost*.1; \
	for unit in signpost.service signpost-agent.service signpost.socket; do \
		sed 's,/usr/local/bin/,$(PREFIX)/bin/,' deploy/systemd/$$unit >$$lib/systemd/system/$$unit; \
	done; \
	install -m 644 deploy/systemd/signpost.sysusers $$lib/sysusers.d/signpost.conf; \
	cp -R README.md CHANGELOG.md LICENSE NOTICE SECURITY.md docs deploy $$share/doc/signpost/; \
	bin/signpost licenses >$$share/doc/signpost/copyright; \
	bin/signpost licenses --sbom --of $(PROGRAM) >$$share/doc/signpost/signpost.cdx.json; \
	echo "docs and an example are in $$share/doc/signpost; systemd units in $$lib/systemd/system"

release: export GOTOOLCHAIN = $(RELEASE_GO)
release: ## build dist/: an archive for each platform, and their checksums
	@.ci/changelog $(VERSION)
	rm -rf dist
	@set -eu; for platform in $(PLATFORMS); do \
		os=$${platform%/*} arch=$${platform#*/}; name=signpost_$(VERSION)_$${os}_$$arch; mkdir -p dist/$$name; \
		echo "$$name"; \
		CGO_ENABLED=0 GOOS=$$os GOARCH=$$arch GOAMD64=v1 GOARM64=v8.0 $(GO) build $(BUILD) -o dist/$$name/signpost ./cmd/signpost; \
		cp -R README.md CHANGELOG.md LICENSE NOTICE SECURITY.md CONTRIBUTING.md docker-compose.yml .env.example docs deploy dist/$$name/; \
		tar -C dist --sort=name --mtime='$(DATE)' --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX --format=ustar -cf - $$name | gzip -9n >dist/$$name.tar.gz; \
		rm -r dist/$$name; \
	done
	@cd dist && sha256sum *.tar.gz | tee SHA256SUMS

packages: export GOTOOLCHAIN = $(RELEASE_GO)
packages: export SOURCE_DATE_EPOCH = $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
packages: ## build .deb and .rpm for each platform in dist/ (nfpm is built from the module proxy the first time)
	@.ci/changelog $(VERSION)
	@mkdir -p dist bin && rm -rf dist/*.deb dist/*.rpm dist/stage
	@$(MAKE) --no-print-directory build
	@GOBIN=$(CURDIR)/bin $(GO) install $(NFPM)
	@set -eu; export PACKAGE_VERSION=$$(.ci/package-version $(VERSION) $(DATE)) STAGE ARCH; \
	for platform in $(PLATFORMS); do \
		ARCH=$${platform#*/} STAGE=dist/stage/$${platform#*/}; mkdir -p $$STAGE; \
		CGO_ENABLED=0 GOOS=$${platform%/*} GOARCH=$$ARCH GOAMD64=v1 GOARM64=v8.0 $(GO) build $(BUILD) -o $$STAGE/signpost ./cmd/signpost; \
		$(MAKE) --no-print-directory install DESTDIR=$$STAGE PREFIX=/usr PROGRAM=$$STAGE/signpost >/dev/null; \
		for kind in deb rpm; do bin/nfpm package --config deploy/packages/nfpm.yaml --packager $$kind --target dist/; done; \
	done; rm -r dist/stage
	@cd dist && sha256sum $$(ls | grep -E '\.(tar\.gz|deb|rpm)$$') | tee SHA256SUMS

packages-test: ## install, start, upgrade and purge the packages in a clean Debian 12, without systemd and under it (root; Debian: debootstrap icecast2 ffmpeg curl rpm)
	@.ci/packages-test
	@.ci/systemd-test
	@.ci/install-test

image: ## build the container image signpost:VERSION
	docker build --build-arg VERSION=$(VERSION) --build-arg COMMIT=$(COMMIT) --build-arg DATE=$(DATE) -t signpost:$(VERSION) .

generate: ## make the embedded country database, the demo's loops, NOTICE and the generated documentation anew (needs npm and ffmpeg)
	$(GO) generate ./...

# The tests play real servers with real players, from Debian's packages, and those that a
# page loads from npm's; the race detector needs a C compiler. Another apt-get may be at work:
# its lock is waited for.
install-test-programs:
	@missing=$$(for p in $(PROGRAMS); do command -v $$p >/dev/null || echo $$p; done); \
	[ -n "$$missing" ] || exit 0; \
	command -v apt-get >/dev/null || { echo "the tests need these programs, and there is no apt-get to install them:" $$missing; exit 1; }; \
	packages=$$(for p in $(PACKAGES); do dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	echo "installing from Debian, for the tests:" $$packages; \
	sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	policy=/usr/sbin/policy-rc.d; if [ ! -e $$policy ]; then printf '#!/bin/sh\nexit 101\n' | $$sudo tee $$policy >/dev/null; $$sudo chmod 755 $$policy; trap "$$sudo rm -f $$policy" EXIT; fi; \
	for try in $$(seq 60); do $$sudo apt-get update -qq && break; echo "trying again in 5 s"; sleep 5; done; \
	DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -qq -o DPkg::Lock::Timeout=600 --no-install-recommends $$packages >/dev/null
	@.ci/install-web-players
