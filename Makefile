# The two commands are make bench and make test; make help lists the rest. Everything is installed into .venv, and
# everything that asv writes goes under .asv: a second run finds both again.

COMMITS ?= 5
BURSTS := 2
BIN := .venv/bin
ASV := $(BIN)/python -m asv
PUBLISH = { $(ASV) publish --no-pull > .asv/publish.log 2>&1 || \
  { echo "asv publish failed (.asv/publish.log): $$(grep . .asv/publish.log | tail -n 1)" >&2; exit 1; }; }

# The quick set: fewer bursts a cell, and the cells that answer the question: the whole curve for one Python, which comes
# first, and what is near the edge for the others. The full set is all of it, as plain asv run has it.
ROWS := time_burst|track_(failed|lost|duplicated)_rows(_by_burst)?
NEARBY := --bench "caller\.NaiveBurst\..*\(500\)" --bench "cost\.Library"
POWER := --bench "durability\.Durability\..*_lost_.*\('(default|wal|wal-normal|grouped)'\)"
CURVE := --bench "burst\.Burst\.($(ROWS))\((5|50|100|250|500|1000), '(default|wal|wal-normal|grouped)'\)" $(POWER) $(NEARBY)
QUICK := --bench "burst\.Burst\.($(ROWS))\((250, '(default|grouped)'|500, '(default|wal|wal-normal|grouped)')\)" $(NEARBY)
FULL := --bench '^(?!libraries)'

.PHONY: help answer bench bench-full blame check-pr compare history libraries dashboard soak test
.DEFAULT_GOAL := help

help: ## say what each target does
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo && awk -F '^#: ' '/^#: / {print $$2}' $(MAKEFILE_LIST)

#: ONLY=3.12         this Python alone, or one of asv's environments by its name
#: DISK=slow         bench, history: as on a disk of 1,000 writes a second
#: COMMITS=5         history: the last five commits
# What was measured on the slow disk belongs to a machine of its own, named slow-disk.
$(if $(filter-out slow,$(DISK)),$(error DISK=$(DISK) is not slow, the only other disk))
MACHINE := $(if $(filter slow,$(DISK)),slow-disk)
RUN = SQLITE_WRITES_BURSTS=$(BURSTS) $(if $(MACHINE),$(BIN)/python experiments/slow_disk.py) $(BIN)/python -m asv_plugins.quick
OPTIONS = --only '$(ONLY)' $(if $(MACHINE),--machine $(MACHINE) --bench sustained)
ANSWER = $(PUBLISH) && $(BIN)/python -m dashboard.answer $(MACHINE)

# asv ends with 2 when a benchmark failed; the answer is printed all the same, and says so.
bench: .venv/ready ready-to-measure ## measure HEAD on every Python found; an answer in minutes
	@status=0; $(RUN) first $(OPTIONS) $(CURVE) HEAD^! || status=$$?; \
	  [ $$status -eq 0 ] || [ $$status -eq 2 ] || exit $$status; \
	  $(ANSWER) --first && \
	  { $(RUN) others $(OPTIONS) $(QUICK) HEAD^! || status=$$?; } && \
	  $(ANSWER) --others && \
	  echo "The same as pages, with every number and its history: make dashboard" && exit $$status

bench-full: ## the same with the full set: ten minutes a Python
bench-full: RANGE := HEAD^! $(FULL)
bench-full: BURSTS := 5
history: ## measure the last COMMITS commits; what is there is kept
history: RANGE = HASHFILE:.asv/commits --skip-existing-successful $(QUICK)
history: AFTERWARDS := && $(BIN)/python -m dashboard.what_changed $(MACHINE)
bench-full history: .venv/ready ready-to-measure
	@status=0; $(RUN) all $(OPTIONS) $(RANGE) || status=$$?; \
	  [ $$status -eq 0 ] || [ $$status -eq 2 ] || exit $$status; \
	  $(ANSWER) $(AFTERWARDS) && echo "The same as pages, with every number and its history: make dashboard" && exit $$status

.PHONY: ready-to-measure
ready-to-measure: .venv/ready
	@$(BIN)/python -m asv_plugins.place
	@mkdir -p .asv && git rev-list --first-parent --max-count=$(COMMITS) HEAD > .asv/commits
	@git diff --quiet HEAD -- sqlite_writes setup.py pyproject.toml || \
	  echo "note: asv measures commits: the uncommitted changes to the package are not in these results"
	@$(BIN)/python -m asv_plugins.machine $(MACHINE)

libraries: .venv/ready ## Django, SQLAlchemy, peewee, … under 200 processes: 10 minutes
	@$(BIN)/python -m asv_plugins.place asv.libraries.json
	@$(BIN)/python -m asv_plugins.machine
	@echo "measuring; asv's own words go to .asv/libraries.log" && mkdir -p .asv
	@status=0; SQLITE_WRITES_BURSTS=$(BURSTS) $(BIN)/python experiments/postgres.py $(ASV) --config asv.libraries.json run $(if $(ONLY),--environment virtualenv:$(ONLY)) --bench '^libraries|cost\.Library' HEAD^! > .asv/libraries.log 2>&1 || status=$$?; \
	  [ $$status -eq 0 ] || [ $$status -eq 2 ] || { tail -n 3 .asv/libraries.log >&2; exit $$status; }; \
	  $(BIN)/python -m dashboard.libraries && exit $$status

#: SINCE=2026-11-01  answer: only since then; RESULTS=FOLDER: with a copy's, too
answer: .venv/ready ## write README's answer anew, from bursts of several days
	@$(BIN)/python -m dashboard.answer_table $(if $(ONLY),--python $(ONLY)) $(if $(SINCE),--since $(SINCE)) $(RESULTS)

#: HOST=0.0.0.0      dashboard: for containers; PORT=8080 as well
# Both are taken from the command line, never from the environment, where they often mean something else.
HOST = 127.0.0.1
PORT = 0
SERVE = $(BIN)/python -m dashboard.serve --host '$(HOST)' --port '$(PORT)'
dashboard: .venv/ready ## publish the results as pages, and serve them until Ctrl-C
	@ls .asv/results/*/*-*.json > /dev/null 2>&1 || { echo "no results yet: run make bench first" >&2; exit 1; }
	@$(SERVE) --check
	@$(PUBLISH)
	@exec $(SERVE)

#: A=3.12 B=3.13     compare: which two; also COMMIT=, ALL=1, BENCH=REGEX
#: ROUNDS=12         compare: measure both first, twelve times in random order
COMMIT = HEAD
COSTS := --bench "cost\.InsertCost\..*'disk'"
ROUND = SQLITE_WRITES_BURSTS=1 $(BIN)/python -m asv_plugins.rounds '$(A)' '$(B)' --rounds '$(ROUNDS)' $(if $(BENCH),--bench '$(BENCH)',$(QUICK) $(COSTS)) '$(COMMIT)^!'
compare: .venv/ready $(if $(ROUNDS),ready-to-measure) ## two environments of one commit side by side
	@status=0; $(if $(ROUNDS),$(ROUND) || status=$$?;) [ $$status -eq 0 ] || [ $$status -eq 2 ] || exit $$status; \
	  $(BIN)/python -m dashboard.compare '$(A)' '$(B)' --commit '$(COMMIT)' $(if $(ALL),--all)

#: BASE=v1.2         check-pr: another commit than the merge base with main
check-pr: .venv/ready ## judge HEAD against BASE: is anything slower, costlier, broken?
	@mkdir -p .asv/report
	$(BIN)/python -m pr_check $(if $(BASE),$(BASE) HEAD) --report .asv/report/report.md --json .asv/report/report.json $(CHECK)

#: MINUTES=30        soak: for how long
soak: .venv/ready ## write for half an hour under random faults, and check every row
	$(BIN)/python -m experiments.soak $(or $(MINUTES),30) $(SEED)

#: METRIC=… GOOD=…   blame: as asv names it; a commit before it got worse; BAD=
# From the environment, where make puts what it is given: a metric holds quotes.
blame: .venv/ready ## find the commit that made METRIC worse
	@$(BIN)/python -m pr_check.blame $(BLAME) -- "$$METRIC" "$$GOOD" "$${BAD:-HEAD}"

# Four at a time: most of the tests wait for a lock, a disk or a deadline.
test: .venv/ready ## run every check: linters, types, tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/zizmor --offline --quiet .github/workflows
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/python -m pytest -n 5

#: PYTHON=python3.12 at the first make: what .venv is made with
# The tools need this Python; what asv measures may be older. PYTHON= names one. Else it is python3, or if that is too old
# the newest one of asv.conf.json on PATH. A .venv that is half made, or whose Python is gone, is made anew.
OLDEST := 3.11
PYTHON ?= python3
OTHERS = $(if $(filter file,$(origin PYTHON)),$(shell sed -n 's/.*"pythons"://p' asv.conf.json | grep -o '3\.[0-9]*' | sort -ruV | sed 's/^/python/'))
ENOUGH := import sys; sys.exit(sys.version_info < tuple(map(int, "$(OLDEST)".split("."))))

.venv/bin/python:
.venv/ready: setup.py pyproject.toml .venv/bin/python
	@{ $(BIN)/python -c '$(ENOUGH)' && $(BIN)/python -m pip --version; } > /dev/null 2>&1 || { \
	  for python in $(PYTHON) $(OTHERS); do ! $$python -c 'import ensurepip; $(ENOUGH)' 2> /dev/null || exec $$python -m venv --clear .venv; done; \
	  echo "Python $(OLDEST) or newer with ensurepip is needed (Debian: python3-venv); $(PYTHON) is" \
	    "$$($(PYTHON) --version 2>&1 | tail -n 1): name another: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench,check,dashboard,test]'
	@touch $@
