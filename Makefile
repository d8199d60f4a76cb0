# Commands for newcomers: `make demo`, `make demo-av` and `make test`. Everything lives in .venv.
PYTHON ?= python3.11
BIN := .venv/bin

.PHONY: install demo demo-av test test-engines lint docs clean

install: .venv/.installed

.venv/.installed: setup.cfg constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt --editable '.[demo,test]'
	touch $@

demo: install
	$(BIN)/python examples/digits/demo.py

demo-av: install
	$(BIN)/python examples/clips/demo.py

lint: install
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

# one thread per worker: the tiny models are faster so, and the workers do not fight over cores
test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder --quiet -m 'not engines'

# every engine, tuning, attack and accumulation on two processes; writes tests/engines/table.md
test-engines: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/engines --quiet -m engines

# the generated parts of docs/: keys, packages, engines
docs: install
	$(BIN)/python tests/helpers/generated_docs.py

clean:
	rm -rf .venv examples/digits/data examples/digits/work examples/clips/data examples/clips/work
