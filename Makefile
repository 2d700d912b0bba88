# make run    set up and start the app                make test   set up and run the tests
# make lock   pin the requirements anew               make soak   the slow tests
PYTHON ?= python3
UV_VERSION = 0.13.8
VENV = .venv
BIN = $(VENV)/bin
PORT ?= 8501

.PHONY: run setup setup-dev test test-browser lint lock soak clean

run: setup
	$(BIN)/python -m streamlit run app.py --server.port $(PORT)

setup: $(VENV)/.app
setup-dev: $(VENV)/.dev

$(BIN)/uv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv==$(UV_VERSION)

# A stamp per requirements file: nothing is installed twice, and a changed pin is installed by the next `make`.
$(VENV)/.app: requirements.txt | $(BIN)/uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -r requirements.txt
	touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.app
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -r requirements-dev.txt
	touch $@

test: setup-dev
	$(BIN)/python -m pytest -q

test-browser: setup-dev
	$(BIN)/python -m pytest -q -m e2e

soak: setup-dev
	$(BIN)/python -m pytest -q -m soak

lint: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

lock: | $(BIN)/uv
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --custom-compile-command "make lock" \
		requirements.in -o requirements.txt
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --custom-compile-command "make lock" \
		requirements-dev.in -o requirements-dev.txt
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --custom-compile-command "make lock" \
		requirements-extra.in -o requirements-extra.txt

clean:
	rm -rf $(VENV)
