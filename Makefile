# Each target sets up first what it needs. PYTHON chooses the interpreter of the environment (3.11 or later).
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo test test-slow bench lint clean

setup: .venv/ready

# torch comes first and pinned: a plain `pip install torch` may bring gigabytes of GPU libraries. README.md says how to
# choose another build.
.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "pld-dspy needs Python 3.11 or later: make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable . --group dev
	touch $@

demo: setup
	$(BIN)/pld demo

test: setup
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

test-slow: setup
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal -m slow

bench: setup
	$(BIN)/python benchmarks/loading.py
	$(BIN)/python benchmarks/clustering.py --part continuum --part scale
	$(BIN)/python benchmarks/resolution.py --seeds 1

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	rm -rf build/typed
	$(BIN)/python -c "import setuptools; setuptools.setup()" --quiet build_py --build-lib build/typed
	$(BIN)/mypy

clean:
	rm -rf .venv build *.egg-info
