# The table of contents. `make` alone lists the targets.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
BUF    ?= npx --yes @bufbuild/buf@1.75.0
MEMBERS := $(wildcard services/*/pyproject.toml libs/*/pyproject.toml)
PROTOS  := $(shell find protos -name '*.proto')
PACKAGES := services libs tests benchmarks examples docs deploy

.DEFAULT_GOAL := help
.PHONY: help setup contracts run test chaos lint format lock breaking bench bench-sandbox bench-mesh bench-learning sandbox-image settings-page metrics-page dashboard access-page clean

help: ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(VENV)/.ready libs/contracts/autodev/py.typed ## Make .venv with everything pinned in requirements.lock
	@# Some environments let Python write no byte code. Then each service would compile all of this at every start.
	@$(BIN)/python -m compileall -q -j 0 services libs

run: setup ## Start the mesh, run the demo on sample episodes, stay up (ARGS=--exit: end with the demo's status)
	@$(BIN)/autodev demo --up $(ARGS)

test: setup ## Run every test, two files at a time (ARGS='-k name' for some, ARGS='-n 0' one by one)
	@$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

chaos: setup ## Break the mesh at full size: 200 kills under 5,000 episodes, a cut of 30 s (AUTODEV_CHAOS_SEED=...)
	@AUTODEV_CHAOS_KILLS=$${AUTODEV_CHAOS_KILLS:-200} AUTODEV_CHAOS_EPISODES=$${AUTODEV_CHAOS_EPISODES:-5000} \
	  AUTODEV_CHAOS_CUT_S=$${AUTODEV_CHAOS_CUT_S:-30} $(BIN)/pytest -s --timeout=0 tests/chaos $(ARGS)

lint: setup ## Check style, types, and the protos for style and breaking changes
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(PACKAGES)
	$(BUF) lint
	$(MAKE) --no-print-directory breaking

breaking: ## Check that the protos break no caller of the previous commit (AGAINST=<git ref>)
	@ref=$${AGAINST:-$$(git rev-parse -q --verify HEAD~1 || true)}; \
	if [ -z "$$ref" ]; then echo "breaking: no earlier commit to compare with"; \
	else $(BUF) breaking --against ".git#ref=$$ref"; fi

format: setup ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

contracts: $(VENV)/.ready ## Build the Python stubs from protos/
	@$(BIN)/python libs/contracts/build_stubs.py

lock: ## Renew requirements.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --group dev --no-emit-index-url \
	  $(foreach name,$(notdir $(patsubst %/pyproject.toml,%,$(MEMBERS))),--no-emit-package autodev-$(name)) \
	  --custom-compile-command "make lock" pyproject.toml $(MEMBERS) --output-file requirements.lock

bench: setup ## Run every benchmark and print its figures with their denominators
	@$(BIN)/python -m benchmarks

bench-sandbox: setup ## Measure the sandbox against bare Python and the engine (ARGS='--quick', or rows by name)
	@$(BIN)/python -m benchmarks.sandbox $(ARGS)

bench-mesh: setup ## Measure publishing, following, checking, and what growing costs (ARGS='--quick', or rows by name)
	@$(BIN)/python -m benchmarks.mesh $(ARGS)

bench-learning: setup ## Measure repair, optimisation and evolution (ARGS='--quick', '--tasks ... --attempts ...', or rows by name)
	@$(BIN)/python -m benchmarks.learning $(ARGS)

sandbox-image: setup ## Build the sandbox's container image without a registry
	@$(BIN)/python -m autodev_sandbox.image

settings-page: setup ## Build docs/settings.md, and the names of settings in the chart's schema, from the code
	@$(BIN)/python docs/build_settings.py

metrics-page: setup ## Build docs/metrics.md from the code
	@$(BIN)/python docs/build_metrics.py

access-page: setup ## Build docs/access.md from the contracts
	@$(BIN)/python docs/build_access.py

dashboard: setup ## Build deploy/grafana/autodev.json
	@$(BIN)/python docs/build_dashboard.py

clean: ## Remove what set-up made
	rm -rf $(VENV) libs/contracts/autodev .autodev

$(VENV)/.ready: requirements.lock pyproject.toml $(MEMBERS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Auto-Dev needs Python 3.11 or later; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.11 ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(sed -nE 's/^(uv==[^ ]+).*/\1/p' requirements.lock)"
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip sync --quiet --compile-bytecode --require-hashes requirements.lock
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation $(patsubst %/pyproject.toml,--editable %,$(MEMBERS))
	@touch $@

libs/contracts/autodev/py.typed: $(VENV)/.ready $(PROTOS) libs/contracts/build_stubs.py
	@$(BIN)/python libs/contracts/build_stubs.py
