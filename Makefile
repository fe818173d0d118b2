# The two commands are make bench and make test; make help lists the rest. Everything is installed into .venv, and
# everything that asv writes goes under .asv: a second run finds both again.

PYTHON ?= python3
COMMITS ?= 5
BURSTS := 2
BIN := .venv/bin
ASV := $(BIN)/python -m asv
PUBLISH = $(ASV) publish --no-pull > .asv/publish.log 2>&1 || \
  { echo "asv publish failed (.asv/publish.log): $$(grep . .asv/publish.log | tail -n 1)" >&2; exit 1; }

# The quick set: fewer bursts a cell, and the cells that answer the question. The full set is all of it, as plain asv
# run has it.
QUICK := --bench "burst\.Burst\.(time_burst|track_(failed|lost|duplicated)_rows)\((250, '(default|grouped)'|500, '(default|wal|wal-normal|grouped)')\)" \
         --bench "caller\.NaiveBurst\..*\(500\)" --bench "cost\.Library"

.PHONY: help bench bench-full check-pr history libraries dashboard test
.DEFAULT_GOAL := help

help: ## say what each target does
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

bench: ## measure HEAD on every Python that starts (quick set, some minutes), and print the answer
bench: RANGE := HEAD^!
bench-full: ## the same with the full set: about ten minutes for each Python
bench-full: RANGE := HEAD^!
bench-full: QUICK := --bench '^(?!libraries)'
bench-full: BURSTS := 5
history: ## measure the last COMMITS commits (5 unless given) with the quick set; what is there is kept
history: RANGE := HASHFILE:.asv/commits --skip-existing-successful

# DISK=slow measures as on a disk of 1,000 write operations a second, as a machine of its own, named slow-disk.
$(if $(filter-out slow,$(DISK)),$(error DISK=$(DISK) is not slow, the only other disk))
MACHINE := $(if $(filter slow,$(DISK)),slow-disk)
SLOWLY := $(if $(MACHINE),$(BIN)/python experiments/slow_disk.py)

# ONLY=3.12 measures that Python alone; the name of one of asv's environments does too. --parallel makes the environments
# side by side; the benchmarks run alone. asv ends with 2 when a benchmark failed; the answer is printed all the same,
# and says so.
bench bench-full history: .venv/ready
	@mkdir -p .asv && git rev-list --first-parent --max-count=$(COMMITS) HEAD > .asv/commits
	@git diff --quiet HEAD -- sqlite_writes setup.py pyproject.toml || \
	  echo "note: asv measures commits: the uncommitted changes to the package are not in these results"
	@$(BIN)/python -m asv_plugins.machine $(MACHINE)
	@status=0; SQLITE_WRITES_BURSTS=$(BURSTS) $(SLOWLY) $(ASV) run $(if $(MACHINE),--machine $(MACHINE)) --parallel 2 $(if $(ONLY),--environment $(if $(filter virtualenv%,$(ONLY)),,virtualenv:)$(ONLY)) $(QUICK) $(if $(MACHINE),--bench sustained) $(RANGE) || status=$$?; \
	  [ $$status -eq 0 ] || [ $$status -eq 2 ] || exit $$status; \
	  $(PUBLISH); \
	  echo; $(BIN)/python -m dashboard.answer $(MACHINE) && \
	  echo "The same as pages, with every number and its history: make dashboard" && exit $$status

libraries: .venv/ready ## Django, SQLAlchemy, peewee, … under 50 and 200 processes (ten minutes), and the table of them
	@$(BIN)/python -m asv_plugins.machine
	@echo "measuring; asv's own words go to .asv/libraries.log" && mkdir -p .asv
	@status=0; SQLITE_WRITES_BURSTS=$(BURSTS) $(BIN)/python experiments/postgres.py $(ASV) --config asv.libraries.json run $(if $(ONLY),--environment virtualenv:$(ONLY)) --bench '^libraries|cost\.Library' HEAD^! > .asv/libraries.log 2>&1 || status=$$?; \
	  [ $$status -eq 0 ] || [ $$status -eq 2 ] || { tail -n 3 .asv/libraries.log >&2; exit $$status; }; \
	  $(BIN)/python -m dashboard.libraries && exit $$status

dashboard: .venv/ready ## publish the results as pages and serve them on this machine, until Ctrl-C
	@ls .asv/results/*/*-*.json > /dev/null 2>&1 || { echo "no results yet: run make bench first" >&2; exit 1; }
	@$(PUBLISH)
	@exec $(BIN)/python -u -m http.server 0 --bind 127.0.0.1 --directory .asv/html 2> .asv/requests.log

check-pr: .venv/ready ## judge HEAD against BASE (the merge base with the main branch): anything slower, costlier, broken?
	@mkdir -p .asv/report
	$(BIN)/python -m pr_check $(if $(BASE),$(BASE) HEAD) --report .asv/report/report.md --json .asv/report/report.json $(CHECK)

test: .venv/ready ## run every check: linters, types, tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/zizmor --offline --quiet .github/workflows
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/python -m pytest

.venv/ready: setup.py pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench,check,dashboard,test]'
	@touch $@
