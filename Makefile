# make demo    train on the flights data in this repository and print the result
# make test    run all gates and the whole test suite
# make test-quick  run the tests that need no cluster
# make test-integrations  run the tests that need a real Dagster or Airflow, in environments of their own
# Both need only Python 3.11, pip, make and gcc: they make a virtual environment and install into it, once.

PYTHON ?= python3
VENV ?= .venv

export PIP_DISABLE_PIP_VERSION_CHECK = 1

PIP_INSTALL = $(VENV)/bin/python -m pip install --quiet -c constraints.txt

# $(call stage,NAME,COMMAND): run the command and print the seconds it took.
define stage
@echo "== $(1)"; start=$$(date +%s); $(2) || { echo "== $(1) failed" >&2; exit 1; }; \
echo "== $(1): $$(( $$(date +%s) - start )) s"
endef

.PHONY: help demo test test-quick test-integrations lint docs pictures correctness soak fuzz bench bench-smoke
.DEFAULT_GOAL := help

help:
	@echo "make demo         train on the flights data and print the result"
	@echo "make test         all gates, then the whole test suite"
	@echo "make test-quick   the tests that need no cluster, in minutes"
	@echo "make test-integrations  real orchestrators against a real Ray, each in an environment of its own"
	@echo "make lint         the gates alone: formatting, lint, types, layers"
	@echo "make docs         renew the excerpts of the code in docs/, and build the site and the man page"
	@echo "make pictures     draw the pictures of docs/ again; needs chromium"
	@echo "make correctness  docs/correctness.md anew: certified digits, known relations, equal bits"
	@echo "make soak         kill real runs at random moments, ROUNDS=100 times from SEED=0"
	@echo "make fuzz         damage files and specs, ROUNDS=100 times each from SEED=0"
	@echo "make bench        the full benchmark grid"
	@echo "make bench-smoke  the small grid, to see that the benchmarks run"

# A stamp stands for a finished installation; it is out of date when the requirements have changed. The package is
# installed in editable form, so that a change of the code needs no new installation.

$(VENV)/.stamp-venv: Makefile
	$(call stage,virtual environment,$(PYTHON) -m venv $(VENV))
	$(call stage,pip that knows dependency groups,$(PIP_INSTALL) 'pip>=25.1')
	@touch $@

$(VENV)/.stamp-run: $(VENV)/.stamp-venv pyproject.toml constraints.txt
	$(call stage,install,$(PIP_INSTALL) -e .)
	@touch $@

$(VENV)/.stamp-test: $(VENV)/.stamp-venv pyproject.toml constraints.txt
	$(call stage,install with the test group,$(PIP_INSTALL) -e . --group test)
	@touch $@ $(VENV)/.stamp-run

$(VENV)/.stamp-docs: $(VENV)/.stamp-venv pyproject.toml constraints.txt
	$(call stage,install with the docs group,$(PIP_INSTALL) -e '.[sklearn]' --group docs)
	@touch $@ $(VENV)/.stamp-run

$(VENV)/.stamp-bench: $(VENV)/.stamp-venv pyproject.toml constraints.txt
	$(call stage,install with the bench group,$(PIP_INSTALL) -e . --group bench)
	@touch $@ $(VENV)/.stamp-run

demo: $(VENV)/.stamp-run
	$(VENV)/bin/linreg-dist train jobs/flights.yaml --fresh
	@echo
	@echo "The run lies in runs/flights: report.html (for a browser), the model, the metrics, the result."
	@echo "Look at the model with: $(VENV)/bin/linreg-dist show runs/flights/model"

lint: $(VENV)/.stamp-test
	$(call stage,ruff format,$(VENV)/bin/ruff format --check --quiet .)
	$(call stage,ruff check,$(VENV)/bin/ruff check --quiet .)
	$(call stage,mypy,$(VENV)/bin/mypy)
	$(call stage,import layers,$(VENV)/bin/lint-imports --no-logo)

PYTEST = $(VENV)/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# Hundreds of tests start Python; where PYTHONDONTWRITEBYTECODE is set, each would compile our modules again. And the
# native kernels are compiled once here, not by several tests at the same time.
test: lint
	$(call stage,compiled modules,$(VENV)/bin/python -m compileall -q linreg_dist)
	$(call stage,compiled kernels,LINREG_DIST_KERNELS=native $(VENV)/bin/linreg-dist train jobs/flights_workers.yaml -q \
		--fresh --set scaling.num_workers=0 --set solver.epochs=2 --set run.storage_path=runs >/dev/null)
	$(call stage,pytest,$(PYTEST) --durations=20)

test-quick: $(VENV)/.stamp-test
	$(call stage,pytest without clusters,$(PYTEST) -q -m "not slow")

# Each orchestrator has an environment of its own, .venv-NAME, because their requirements do not go together. A
# requirements.txt that pins all of its environment says so by a line "# pins: all"; else constraints.txt holds too.
ORCHESTRATORS = $(patsubst tests/integrations/%/requirements.txt,%,$(wildcard tests/integrations/*/requirements.txt))

.venv-%/.stamp: tests/integrations/%/requirements.txt pyproject.toml constraints.txt
	$(call stage,environment of $*,$(PYTHON) -m venv .venv-$*)
	$(call stage,install $*,.venv-$*/bin/python -m pip install --quiet \
		$(shell grep -q '^# pins: all' $< || echo -c constraints.txt) -r $< -e .)
	@touch $@

.PRECIOUS: .venv-%/.stamp

test-integrations: $(ORCHESTRATORS:%=test-integrations-%)

test-integrations-%: .venv-%/.stamp
	$(call stage,pytest with $*,.venv-$*/bin/python -m pytest -q --timeout 900 $(wildcard tests/integrations/$* tests/integrations/test_$*.py))

docs: $(VENV)/.stamp-docs
	$(VENV)/bin/python docs/excerpts.py
	$(call stage,site,$(VENV)/bin/python -m sphinx -W --keep-going -q -b html docs docs/_build/html)
	$(call stage,man page,$(VENV)/bin/python -m sphinx -W --keep-going -q -b man docs docs/_build/man)
	@echo "The site is in docs/_build/html/index.html, the man page in docs/_build/man/linreg-dist.1"

pictures: $(VENV)/.stamp-docs
	$(VENV)/bin/python docs/pictures.py

correctness: $(VENV)/.stamp-test
	$(VENV)/bin/python docs/correctness.py

ROUNDS ?= 100
SEED ?= 0

soak: $(VENV)/.stamp-test
	$(VENV)/bin/python -m tests.faults --rounds $(ROUNDS) --seed $(SEED)

fuzz: $(VENV)/.stamp-test
	$(VENV)/bin/python -m tests.fuzz --rounds $(ROUNDS) --seed $(SEED)

bench: $(VENV)/.stamp-bench
	$(VENV)/bin/python -m benchmarks run --grid full

bench-smoke: $(VENV)/.stamp-bench
	$(VENV)/bin/python -m benchmarks run --grid smoke
