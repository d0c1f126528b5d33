# make release      environment, pipeline on config/config.yaml, report
# make development  environment, pipeline as far as the scores on development benchmarks need it
# make test         environment, test suite
# make check        formatters, linters, types
# make real         StyleGAN2 and iResNet with random weights through the whole workflow, at test size
# make photographs  published weights and photographs from packages, compared with the peers' own code and readers
# make nightly      everything, in a clean clone: all of these, conda, a Slurm cluster, and the tests that take long
# make clean        remove what the pipeline made (the environment stays)
#
# Another configuration: make release CONFIG=path/to/config.yaml

PYTHON ?= python3
CONFIG ?= config/config.yaml
VENV := .venv
BIN := $(VENV)/bin
MARKS ?= not nightly
# CONFIG goes through the shell's environment, so that its path may hold blanks. `python -m`, since the first line of the
# script `snakemake` cannot hold every path.
SNAKEMAKE = python -m snakemake --profile profiles/local --configfile "$$CONFIG"
export CONFIG
export PATH := $(abspath $(BIN)):$(PATH)

.PHONY: release development configuration test check real photographs nightly clean

release: configuration $(VENV)/installed
	@$(SNAKEMAKE)
	@$(MAKE) --no-print-directory results/report.html
	@echo
	@test ! -f results/tables/evaluation/scores.md || { cat results/tables/evaluation/scores.md; echo; }
	@for made in results/release/*/ results/tables/evaluation/scores.csv results/report.html; do test ! -e "$$made" || echo "$$made"; done

development: configuration $(VENV)/installed
	@$(SNAKEMAKE) development
	@echo
	@cat results/tables/development/scores.md

configuration:
	@test -f "$$CONFIG" || { echo "There is no configuration $$CONFIG: make release CONFIG=path/to/config.yaml"; exit 1; }

results/report.html: $(wildcard results/release/*.verified.txt results/tables/* results/figures/*)
	@echo "Writing the report"
	@$(SNAKEMAKE) --quiet all --report $@

test: $(VENV)/installed
	@OMP_WAIT_POLICY=PASSIVE OMP_NUM_THREADS=1 python -m pytest --numprocesses 2 --dist loadscope --no-loadscope-reorder -m "$(MARKS)"

check: $(VENV)/installed
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow
	snakemake --lint
	mypy

real: $(VENV)/installed
	@python tests/real.py

photographs: $(VENV)/installed
	@OMP_WAIT_POLICY=PASSIVE OMP_NUM_THREADS=1 python -m pytest -m photographs --durations 5 tests/photographs

nightly:
	@.ci/run nightly

clean:
	rm -rf results logs

$(VENV)/installed: requirements.txt pyproject.toml
	@case "$$(pwd -P)" in *[:{}]*) echo "Rename the folder $$(pwd -P): a Python environment cannot have a colon in its path, a Snakemake workflow no brace."; exit 1;; esac
	@test -w . || { echo "$$(pwd -P) is read-only: clone the project to where you may write, or use an environment of your own (README.md)."; exit 1; }
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) was not found: install Python 3.11 or newer"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed"; exit 1; }
	@echo "Installing the pinned requirements into $(VENV) (once, a few minutes)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@
