# make demo: install, count, and search for two minutes.   make test: install for development, and run the tests.
PYTHON ?= python3
VENV ?= .venv
DEVICE ?= auto
PIP = $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test

demo: $(VENV)/search.installed
	$(VENV)/bin/elastic-search flops resnext50 --elastic
	$(VENV)/bin/elastic-search search demo --trials 4 --minutes 1.75 --device $(DEVICE)
	$(VENV)/bin/elastic-search flops runs/demo/best.toml

test: $(VENV)/dev.installed
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n auto --maxprocesses 8 --dist worksteal $(TESTS)

$(VENV)/%.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "error: Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "error: Python's venv module is missing (Debian, Ubuntu: apt install python3-venv)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) --editable '.[$*]'
	@touch $@
