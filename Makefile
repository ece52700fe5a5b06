# Two commands to know: `make demo` talks to a model, `make test` proves the house. Both set up .venv by themselves.
PYTHON ?= python3
PORT ?= 1135
ARGS ?=
JOBS ?= 2
NAME ?= starlette_notes
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo sample test check bench format reference
.DEFAULT_GOAL := demo

$(READY): pyproject.toml uv.lock .ci/prepare.py
	@$(PYTHON) .ci/prepare.py

demo: $(READY)
	@$(BIN)/bodhi demo --port $(PORT) $(if $(CHECK),--check)

sample: $(READY)
	@# A project's package is what its name says after the host: starlette_notes runs notes.
	@cd sample_projects/$(NAME) && $(CURDIR)/$(BIN)/python -m $(lastword $(subst _, ,$(NAME))) $(ARGS)

test: $(READY)
	@$(BIN)/pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder --ignore=tests/faults --cov --cov-report= --cov-fail-under=0
	@# The faults have the machine to themselves: they kill, flood and hold up on purpose, and look at the time.
	@$(BIN)/pytest --cov --cov-append --cov-report=term tests/faults

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)
	@$(BIN)/python -m benchmarks $(ARGS)

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

reference: $(READY)
	$(BIN)/python docs/generate_reference.py
	$(BIN)/python docs/generate_sync.py
