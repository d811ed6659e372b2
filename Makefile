# Every target first sets up .venv from requirements.lock. `make PYTHON=python3.12 up` picks another Python.
PYTHON ?= python3
VENV := .venv
TEST_WORKERS ?= 2
READY := $(VENV)/.ready
UV_VERSION := $(shell sed -n 's/^uv==\([^ ]*\).*/\1/p' requirements.lock)
# hatchling builds the editable package: from the lock where it is locked, else in a build environment of its own
ISOLATION := $(if $(shell sed -n '/^hatchling==/p' requirements.lock),--no-build-isolation,)

.DEFAULT_GOAL := help
.PHONY: help demo test up down status lint bench lock clean

help:
	@echo "make demo    the main job: publish, train, judge, release (APPROVE=manual waits for a person)"
	@echo "make test    all tests, real services included"
	@echo "make up      start lakeFS, Prefect and the workers    make down, make status"
	@echo "make lint    ruff and mypy                            make bench"
	@echo "make lock    resolve the dependencies anew            make clean    stop, remove .lakegate and .venv"

demo: $(READY)
	$(VENV)/bin/lakegate demo $(if $(APPROVE),--approve $(APPROVE))

test: $(READY)
	$(VENV)/bin/python -m tests.prepare
	$(VENV)/bin/python -m pytest -n $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder

up down status: $(READY)
	$(VENV)/bin/lakegate $@

lint: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

bench: $(READY)
	$(VENV)/bin/python -m tests.bench$(if $(BENCH),_$(BENCH))

lock: $(VENV)/bin/uv
	$(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --extra dev \
		--custom-compile-command "make lock" --output-file requirements.lock pyproject.toml
	sed -n 's/^\([A-Za-z0-9_.-]*==[^ ;\\]*\).*/\1/p' requirements.lock | grep -v '^numpy==' | \
		$(VENV)/bin/uv pip compile --quiet --no-deps --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--constraint - --custom-compile-command "make lock" --output-file infra/triton/requirements.lock infra/triton/requirements.in

clean:
	@if [ -f $(READY) ]; then $(VENV)/bin/lakegate down; fi
	rm -rf .lakegate $(VENV)
	@if [ -n "$$LAKEGATE_HOME" ]; then echo "LAKEGATE_HOME ($$LAKEGATE_HOME) is not removed; remove it by hand"; fi

$(VENV)/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
		echo "Python 3.11, 3.12 or 3.13 is needed, $(PYTHON) is $$($(PYTHON) --version 2>&1); try: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check "uv==$(UV_VERSION)"

$(READY): requirements.lock pyproject.toml | $(VENV)/bin/uv
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(VENV)/bin/uv pip sync --require-hashes requirements.lock
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(VENV)/bin/uv pip install --no-deps $(ISOLATION) --editable .
	touch $@
