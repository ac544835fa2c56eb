# One target per line of `make help`; the text after ## is what it prints. The work is done by scripts/.
.DEFAULT_GOAL := help
BIN := .venv/bin

.PHONY: help setup build demo test check bench soak fuzz wheel docs lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 10

setup: ## system packages (apt when root, else a list of what is missing) and .venv with the pinned tools
	@scripts/system-packages
	@scripts/environment

build: ## compile the Rust parts and install everything into .venv, in place
	@scripts/environment
	@scripts/build

demo: build ## build, then show on a small broken service what Wallsocket says
	@$(BIN)/wallsocket demo

test: setup build ## every test: Rust, Python (as an ordinary user, also when root), checks, the wheel
	@scripts/test

check: build ## format, lint, types, layers of imports, clippy
	@scripts/check

bench: setup build ## measure against the peers, interleaved; one table
	@$(BIN)/python -m bench

soak: setup build ## long runs: thousands of repetitions, fuzzing; prints what it did
	@scripts/soak

fuzz: ## input guided by coverage for the parsers that read untrusted bytes, FUZZ_SECONDS=60 each; then random input
	@scripts/fuzz

wheel: ## dist/: one wheel for every Python from 3.11 on, with old glibc in mind, and the source archive
	@scripts/environment
	@scripts/wheel

docs: build ## docs/_build/html
	@scripts/docs

lock: ## choose the newest versions of the development tools and pin them
	@scripts/lock

clean: ## remove what was built, and .venv
	rm -rf target dist build docs/_build bench/bin .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -f src/wallsocket/*.so src/wallsocket/trace/guardian src/wallsocket/lab/holder
