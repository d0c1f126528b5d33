# make release   environment, pipeline on config/config.yaml, report
# make test      environment, test suite
# make check     formatters and linters
# make clean     remove what the pipeline made (the environment stays)

PYTHON ?= python3
CONFIG ?= config/config.yaml
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(abspath $(BIN)):$(PATH)

.PHONY: release test check clean

release: $(VENV)/installed
	@snakemake --profile profiles/local --configfile $(CONFIG)
	@snakemake --profile profiles/local --configfile $(CONFIG) --quiet all report

test: $(VENV)/installed
	@OMP_WAIT_POLICY=PASSIVE python -m pytest

check: $(VENV)/installed
	ruff check .
	ruff format --check .
	snakefmt --check .
	snakemake --lint

clean:
	rm -rf results logs

$(VENV)/installed: requirements.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "python3 was not found: install Python 3.11 or newer"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed"; exit 1; }
	@echo "Installing the pinned requirements into $(VENV) (once, a few minutes)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@
