# make release      environment, pipeline on config/config.yaml, report
# make development  environment, pipeline as far as the scores on development benchmarks need it
# make onnx, make diffusion, make hub, make lmdb, make cluster
#                   add what an extra needs to the environment: ONNX files, Arc2Face, the Hugging Face Hub, LMDB, Slurm
# make test         environment with the tools of development, test suite
# make check        formatters, linters, types
# make device       each entry point on a simulated GPU against the CPU, and what crosses between host and device
# make documents    the documents site, build/documents/html/index.html
# make real         StyleGAN2 and iResNet with random weights through the whole workflow, at test size
# make photographs  published weights and photographs from packages, compared with the peers' own code and readers
# make nightly      everything, in a clean clone: all of these, conda, a Slurm cluster, and the tests that take long
# make other-pythons PYTHONS="python3.12 python3.13"
#                   the unit tests under other Pythons, each in an environment of its own below build/
# make clean        remove what the pipeline made (the environment stays)
#
# Another configuration: make release CONFIG=path/to/config.yaml
# A torch without CUDA:  make release TORCH_INDEX=URL, the package index that has CPU builds of torch; from there comes
#                        torch alone, in the pinned version. Give it when the environment is made for the first time.

PYTHON ?= python3
CONFIG ?= config/config.yaml
VENV := .venv
BIN := $(VENV)/bin
DOCUMENTS := build/documents
MARKS ?= not nightly
TORCH_INDEX ?=
PYTHONS ?= python3.12 python3.13
EXTRAS := onnx diffusion hub lmdb cluster
PINNED := requirements.txt requirements-extras.txt requirements-development.txt
PIP = -m pip --quiet --disable-pip-version-check install
TORCH = $(if $(TORCH_INDEX),--no-deps --index-url '$(TORCH_INDEX)' $(shell grep '^torch==' requirements.txt))
# CONFIG goes through the shell's environment, so that its path may hold blanks. `python -m`, since the first line of the
# script `snakemake` cannot hold every path.
SNAKEMAKE = python -m snakemake --profile profiles/local --configfile "$$CONFIG"
export CONFIG
export PATH := $(abspath $(BIN)):$(PATH)

.PHONY: release development configuration $(EXTRAS) test check documents device real photographs nightly other-pythons unit-tests clean

release: configuration $(VENV)/installed
	@$(SNAKEMAKE)
	@$(MAKE) --silent --no-print-directory results/provenance.html

development: configuration $(VENV)/installed
	@$(SNAKEMAKE) development

configuration:
	@test -f "$$CONFIG" || { echo "There is no configuration $$CONFIG: make release CONFIG=path/to/config.yaml"; exit 1; }

results/provenance.html: $(wildcard results/report.html results/release/*.verified.txt)
	@brownid report --only-provenance --configfile "$$CONFIG"

$(EXTRAS): $(VENV)/installed
	@$(BIN)/python $(PIP) --constraint requirements.txt --constraint requirements-extras.txt --editable '.[$@]'

test: $(VENV)/development
	@OMP_WAIT_POLICY=PASSIVE OMP_NUM_THREADS=1 python -m pytest --numprocesses 2 --dist loadscope --no-loadscope-reorder -m "$(MARKS)"

check: $(VENV)/development
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow
	snakemake --lint
	mypy

device: $(VENV)/development
	@OMP_WAIT_POLICY=PASSIVE OMP_NUM_THREADS=1 python -m pytest --numprocesses 2 -m "device and $(MARKS)" tests/device

documents: $(VENV)/installed $(DOCUMENTS)/environment/installed
	@python docs/site/reference.py $(DOCUMENTS)/reference
	@$(DOCUMENTS)/environment/bin/python -m sphinx --quiet --nitpicky --fail-on-warning --keep-going \
		--conf-dir docs/site --doctree-dir $(DOCUMENTS)/doctrees . $(DOCUMENTS)/html
	@echo $(DOCUMENTS)/html/index.html

real: $(VENV)/development
	@python tests/real.py

photographs: $(VENV)/development
	@OMP_WAIT_POLICY=PASSIVE OMP_NUM_THREADS=1 python -m pytest -m photographs --durations 5 tests/photographs

nightly:
	@.ci/run nightly

other-pythons:
	@for python in $(PYTHONS); do $(MAKE) --no-print-directory PYTHON=$$python VENV=build/$$python unit-tests || exit 1; done

unit-tests: $(VENV)/development
	@$(BIN)/python --version
	@OMP_WAIT_POLICY=PASSIVE OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 -m "$(MARKS)" tests/unit

clean:
	rm -rf results logs

$(VENV)/installed: requirements.txt pyproject.toml
	@case "$$(pwd -P)" in *[:{}]*) echo "Rename the folder $$(pwd -P): a Python environment cannot have a colon in its path, a Snakemake workflow no brace."; exit 1;; esac
	@test -w . || { echo "$$(pwd -P) is read-only: clone the project to where you may write, or use an environment of your own (README.md)."; exit 1; }
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) was not found: install Python 3.11 or newer"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed"; exit 1; }
	@echo "Installing the pinned requirements into $(VENV) (once, a few minutes)"
	@$(PYTHON) -m venv $(VENV)
	@$(if $(TORCH),$(BIN)/python $(PIP) $(TORCH))
	@$(BIN)/python $(PIP) --requirement requirements.txt
	@$(BIN)/python $(PIP) --no-deps --editable .
	@touch $@

$(VENV)/development: $(VENV)/installed $(PINNED)
	@echo "Installing the tools of development into $(VENV)"
	@$(BIN)/python $(PIP) $(PINNED:%=--requirement %)
	@touch $@

$(DOCUMENTS)/environment/installed: docs/requirements.txt
	@$(PYTHON) -m venv $(DOCUMENTS)/environment
	@$(DOCUMENTS)/environment/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@
