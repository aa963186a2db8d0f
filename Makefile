# make demo: install, count, and train a base and four Elastic networks of its cost; again after a kill, it goes on.
# make test: install for development, and run the tests.
PYTHON ?= python3
VENV ?= .venv
DEVICE ?= cpu
PIP = $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test

demo: export OMP_NUM_THREADS = 1
demo: $(VENV)/search.installed
	$(VENV)/bin/elastic-search flops resnext50 --elastic
	@echo "Next: ResNeXt-26 and four Elastic networks of its cost, as small proxies, each trained to the end."
	$(VENV)/bin/elastic-search search demo --trials 4 --no-halving --workers 2 --device $(DEVICE)
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
