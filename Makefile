# make run    set up and start the app                make test   set up and run the tests (3 minutes)
#             with TORCH=cpu without the 4.5 GB of CUDA libraries
# make notebooks   run notebooks/ from the first cell to the last     make docs   the documentation as pages, in site/
# make test-slow   the tests that kill, decode and simulate (15 minutes)
# make lock   pin the requirements anew               make soak   the slow tests
# make graph  the rooms of the core and their arrows  make mutants   do the tests notice code that is wrong? (10 minutes)
# make nano   train MESS-nano anew from MIDI          make nano-evaluate   its figures beside the controls
# make setup-cluster  also install Ray, for `extract --cluster` and `targets --cluster`
# make calibrate   what intervals cover (13 minutes)   make pictures   renew what pages are compared with
# make setup-engines   databases that can be asked for the nearest (docs/scale.md), and what tests them
PYTHON ?= python3
UV_VERSION = 0.13.8
VENV = .venv
TORCH ?=
BIN = $(VENV)/bin
PORT ?= 8501
COMPILE = $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command "make lock"
NANO_WORK ?= training/work
NANO_HOURS ?= 20
NANO_MINUTES ?= 60
NANO_RUN ?= first
NANO_DATA ?=
NANO_WEIGHTS ?= mess_core/encoders

.PHONY: run notebooks docs setup setup-dev setup-engines setup-cluster test test-slow test-browser pictures lint lock graph calibrate mutants soak nano nano-evaluate clean

run: setup
	$(BIN)/python -m streamlit run app.py --server.port $(PORT)

setup: $(VENV)/.app
setup-dev: $(VENV)/.dev
setup-engines: $(VENV)/.engines
setup-cluster: $(VENV)/.cluster

$(BIN)/uv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv==$(UV_VERSION)

# The pins hold the hashes of PyTorch as PyPI has it, with CUDA; of another build they are not asked, of all else they are.
# A stamp per requirements file: nothing is installed twice, and a changed pin is installed by the next `make`.
$(VENV)/.app: requirements.txt | $(BIN)/uv
ifneq ($(TORCH),)
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --torch-backend $(TORCH) --no-verify-hashes \
		-c requirements.txt torch torchaudio
	grep -oE '^(torch|torchaudio|triton|nvidia-[a-z0-9-]+|cuda-[a-z-]+)' requirements.txt > $(VENV)/of-torch.txt
endif
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -r requirements.txt \
		$(if $(TORCH),--excludes $(VENV)/of-torch.txt)
	touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.app
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -r requirements-dev.txt
	touch $@

$(VENV)/.engines: requirements-engines.txt $(VENV)/.dev
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -r requirements-engines.txt
	touch $@

$(VENV)/.cluster: requirements-cluster.txt $(VENV)/.app
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -r requirements-cluster.txt
	touch $@

# One thread for each of two processes: on two cores, more would wait for each other. Bytecode is kept: the many processes
# that tests start would else compile everything anew.
PYTEST = OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -q -n 2

# For every change; what takes longer for the little it covers is in test-slow: kills, floods, simulations.
test: setup-dev
	$(PYTEST) --dist loadfile -m "not (slow or e2e or soak)"

test-slow: setup-dev
	$(PYTEST) --dist load -m slow

test-browser: setup-dev
	$(BIN)/python -m pytest -q -m e2e

# After a change of how pages look that is meant: look at them before they are committed.
pictures: setup-dev
	RENEW_PICTURES=1 $(BIN)/python -m pytest -q -m e2e tests/e2e/test_pictures.py -k looks_as_it_did

soak: setup-dev
	$(BIN)/python -m pytest -q -m soak

lint: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

notebooks: setup-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m notebooks.run

# Built from docs/ and the docstrings, without the network; a link that leads nowhere ends it.
docs: setup-dev
	$(BIN)/mkdocs build --strict --quiet

graph: setup-dev
	$(BIN)/python -m tests.test_architecture

calibrate: setup
	$(BIN)/python -m benchmarks.calibrate

mutants: setup-dev
	$(BIN)/python -m tests.mutants

lock: | $(BIN)/uv
	$(COMPILE) requirements.in -o requirements.txt
	$(COMPILE) -c requirements.txt requirements-dev.in -o requirements-dev.txt
	$(COMPILE) -c requirements.txt requirements-extra.in -o requirements-extra.txt
	$(COMPILE) -c requirements.txt requirements-engines.in -o requirements-engines.txt
	$(COMPILE) -c requirements.txt requirements-cluster.in -o requirements-cluster.txt

# Both go on where they were stopped. NANO_DATA takes further options of training.data, such as --soundfont PATH.
nano: setup
	$(BIN)/python -m training.data --work $(NANO_WORK) --hours $(NANO_HOURS) $(NANO_DATA)
	$(BIN)/python -m training.train --work $(NANO_WORK) --minutes $(NANO_MINUTES) --run $(NANO_RUN)

nano-evaluate: setup
	$(BIN)/python -m training.evaluate --work $(NANO_WORK) --weights $(NANO_WEIGHTS) --json $(NANO_WORK)/bars.json

clean:
	rm -rf $(VENV)
