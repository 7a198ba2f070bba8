# Everything is set up in this folder: .venv and build/. `make help` lists the targets.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
STUBS := build/typings

BOARD ?= virtual
PORT ?=
NETWORK ?= network
FIRMWARE ?=
TOOL ?= mpremote
WIFI_SSID ?=
WIFI_KEY ?=
ADDRESS ?=
APP ?=
TEST_ARGS ?=

# Options that are left out when they are empty.
port = $(if $(PORT),--port '$(PORT)')

.PHONY: help setup demo demo-c2 test lint format interop bench-crypto bench-heap bench-heap32 bench-swarm bench-chain \
	bench-messages flash provision deploy \
	repl monitor hil firmware powercut clean

help:  ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP)  ## Make .venv with everything that is needed (no root, nothing outside this folder)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' || { \
		echo "fwchain needs Python 3.10 to 3.13: make setup PYTHON=/path/to/python3"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { \
		echo "python3 -m venv failed: install your system's venv package (Debian: python3-venv)"; exit 1; }
	@echo "setting up $(VENV) (once; a minute or two)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $(STAMP)

demo: $(STAMP)  ## Show a network whose boards update themselves (KEEP=1 leaves it running)
	@$(BIN)/python -m fwchain.demo $(if $(KEEP),--keep)

demo-c2: $(STAMP)  ## Show a fleet that verifies and updates itself without a verification node, in five minutes (KEEP=1 as above)
	@$(BIN)/python -m fwchain.demo --c2 $(if $(KEEP),--keep)

# The long ones first, a file at a time on each of two processes: most of them wait for boards most of the time.
test: $(STAMP)  ## Run the tests (TEST_ARGS=… for pytest)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder \
		tests/system tests/device tests/unit tests/both $(TEST_ARGS)

lint: $(STAMP) $(STUBS)/.stamp  ## ruff, mypy on the host's code and on the board's, codespell
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --config-file mypy-device.ini --custom-typeshed-dir $(STUBS)
	$(BIN)/codespell

# The stubs take the standard library's place, so they stay out of .venv.
$(STUBS)/.stamp: Makefile
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade --target $(STUBS) \
		micropython-esp32-stubs==1.29.0.post1
	@touch $@

format: $(STAMP)  ## Format the code with ruff
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

interop: $(STAMP)  ## Run the long tests and those with foreign programs (.ci/run does)
	$(BIN)/python -m pytest tests/interop $(TEST_ARGS)

bench-crypto:  ## Time the curves and ciphers against references, on both interpreters
bench-heap:  ## Find the smallest heap in which a whole update passes; .mpy sizes
bench-swarm:  ## Compare downloads, a swarm and the tracker with others in the same run
bench-chain:  ## Proof of work, blocks a second, growth per verification
bench-messages:  ## Count the messages of each case on the wire (ARGS=--write: into docs/protocol.md)
bench-heap32:  ## What fwnode takes of a 32-bit MicroPython's heap (needs Node.js and npm)
bench-crypto bench-heap bench-chain bench-messages: bench-%: $(STAMP)
	@$(BIN)/python tests/bench/$*.py $(ARGS)

bench-heap32: $(STAMP)
	@$(BIN)/python tests/bench/heap32

bench-swarm: $(STAMP)
	@code=0; $(BIN)/python tests/bench/swarm.py $(ARGS) || code=1; \
		$(BIN)/python tests/bench/tracker.py || code=1; exit $$code

flash: $(STAMP)  ## Flash a board: BOARD=… [PORT=…] [FIRMWARE=….bin]
	@$(BIN)/fwchain board flash --board '$(BOARD)' $(port) $(if $(FIRMWARE),--firmware '$(FIRMWARE)')

provision: $(STAMP)  ## Give a board its key, certificate and network: BOARD=… [PORT=…] [NETWORK=network] WIFI_SSID=… WIFI_KEY=…
	@$(BIN)/fwchain board provision --board '$(BOARD)' $(port) --network '$(NETWORK)' \
		$(if $(WIFI_SSID),--wifi-ssid '$(WIFI_SSID)') $(if $(WIFI_KEY),--wifi-key '$(WIFI_KEY)')

deploy: $(STAMP)  ## Copy fwnode to a board: BOARD=… PORT=… [TOOL=mpremote|ampy] [APP=folder]
	@$(BIN)/fwchain board deploy --board '$(BOARD)' $(port) --tool '$(TOOL)' $(if $(APP),--app '$(APP)')

repl: $(STAMP)  ## Open a board's Python prompt: BOARD=… [PORT=…]
	@$(BIN)/fwchain board repl --board '$(BOARD)' $(port)

monitor: $(STAMP)  ## Print what a board says: BOARD=… [PORT=…]
	@$(BIN)/fwchain board monitor --board '$(BOARD)' $(port)

hil: $(STAMP)  ## Run the hardware-in-the-loop tests: BOARD=… [PORT=…] [ADDRESS=… WIFI_SSID=… WIFI_KEY=…]
	@$(BIN)/python -m pytest tests/hil --board '$(or $(PORT),$(BOARD))' \
		$(if $(PORT),$(if $(filter file,$(origin BOARD)),,--kind '$(BOARD)')) $(if $(ADDRESS),--address '$(ADDRESS)') \
		$(if $(FIRMWARE),--firmware '$(FIRMWARE)') \
		$(if $(WIFI_SSID),--wifi-ssid '$(WIFI_SSID)') $(if $(WIFI_KEY),--wifi-key '$(WIFI_KEY)') $(TEST_ARGS)

firmware: $(STAMP)  ## Build a board's firmware: BOARD=…
	@$(BIN)/fwchain board firmware --board '$(BOARD)'

powercut: $(STAMP)  ## Cut the power at every flash operation of an update
	@$(BIN)/python -m fwchain.board.powercut $(ARGS)

clean:  ## Remove what was built, .venv too
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
