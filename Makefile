# One target per line of `make help`; the text after ## is what it prints.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help setup build

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 10

$(BIN)/python:
	$(PYTHON) -m venv $(VENV) || { $(PYTHON) -m pip install --user virtualenv && $(PYTHON) -m virtualenv $(VENV); }
	$(BIN)/pip install -q --upgrade pip
	$(BIN)/pip install -q --group dev

setup: $(BIN)/python ## make the virtual environment

build: $(BIN)/python ## compile the Rust parts and install them in place
	$(BIN)/maturin develop -q --release
