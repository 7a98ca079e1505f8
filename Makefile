# One word for each thing a contributor does; `make help` lists them.
GO    ?= go
LINT  := $(GO) tool -modfile=tools/go.mod golangci-lint
# The race detector needs a C compiler.
RACE  := $(shell command -v gcc >/dev/null 2>&1 || command -v clang >/dev/null 2>&1 && echo -race)

.DEFAULT_GOAL := all
.PHONY: all build demo test peers lint format bench bench-delta fuzz golden cross current help

all: build lint test ## build, lint and test

build: ## the binary, as bin/minikeeper
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/minikeeper ./cmd/minikeeper

demo: build ## break a small site and watch it heal
	bin/minikeeper demo --once

test: peers ## every test; installs the Debian packages that they talk to, where it can
	PATH="$(CURDIR)/bin/peers:$$PATH:/usr/sbin:/sbin" $(GO) test $(RACE) -shuffle=on ./...

peers: # the programs that tests talk to, where this machine lets us install them
	@scripts/peers.sh

lint: ## go vet, the linters, and formatting
	$(GO) vet ./...
	$(LINT) run ./...
	$(LINT) fmt --diff

format: ## rewrite the code as lint wants it
	$(LINT) fmt

bench: build ## measure, side by side where there is a peer
	scripts/bench.sh

bench-delta: build ## manifests and scrubs beside rsync, on trees that it makes
	scripts/bench-delta.sh

fuzz: ## half a minute for each fuzz target
	scripts/fuzz.sh 30s

golden: ## rewrite golden files and scripts; then read the diff
	scripts/golden.sh
	UPDATE=1 $(GO) test ./cmd/...

cross: ## build for every system that minikeeper is made for
	@for target in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64; do \
		echo "build $$target"; \
		CGO_ENABLED=0 GOOS=$${target%/*} GOARCH=$${target#*/} $(GO) build -trimpath -o bin/minikeeper-$${target%/*}-$${target#*/} ./cmd/minikeeper || exit 1; \
	done

current: ## are the module files and generated files what they should be?
	$(GO) mod tidy -diff
	$(GO) generate ./...
	git diff --exit-code

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
