# Kennel's commands. Each makes what it needs first; `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all check bench image wheels test-container test-browser figure lock release clean

# The Python of .venv, else the first that suits and can make environments, else one that suits, else python3, and
# setup says why that one does not. PYTHON=... overrides.
PYTHON ?= $(shell for needs in sys,ensurepip sys; do for python in .venv/bin/python python3.11 python3.12 python3.13 python3; do \
	$$python -c "import $$needs; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))" >/dev/null 2>&1 \
	&& { echo $$python; exit; }; done; done; echo python3)
VENV_PYTHON = .venv/bin/python
# Tests run in as many processes as there are cores, up to four: each grows to as much as 4 GB.
PARALLEL = -n logical --maxprocesses=4 --dist=loadfile --no-loadscope-reorder
# Further arguments for demo, test, test-all, test-container, test-browser, bench, image, wheels and lock, as in `make test ARGS="-k serve -x"`.
ARGS ?=

help: ## List these commands
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1|\2/p' $(firstword $(MAKEFILE_LIST)) | while IFS='|' read -r name text; do \
		printf '  make %-16s %s\n' "$$name" "$$text"; done

setup: ## Make the environment .venv (TORCH=cpu or TORCH=cuda chooses torch's build)
	@python="$(PYTHON)"; command -v "$$python" >/dev/null || { \
		echo "make setup: there is no $$python here: install Python 3.11, or name it: make setup PYTHON=/path/to/python3.11" >&2; \
		exit 1; }; "$$python" -m tools.setup_env

demo: setup ## Train, evaluate, serve and ask on sample data, here and now (about 5 minutes)
	@$(VENV_PYTHON) deploy.py run $(ARGS)

test: setup ## Run the tests that every change has to pass
	@$(VENV_PYTHON) -m pytest $(PARALLEL) $(ARGS)

test-all: setup ## Run these and the long ones: all but those of the image and of the pages
	@$(VENV_PYTHON) -m pytest $(PARALLEL) --all $(ARGS)

check: setup ## Lint, formatting, types, import rules and documentation
	@$(VENV_PYTHON) -m ruff check .
	@$(VENV_PYTHON) -m ruff format --check .
	@$(VENV_PYTHON) -m mypy
	@$(VENV_PYTHON) -m pytest -q tests/test_architecture.py tests/test_docs.py tests/test_words.py

bench: setup ## Measure speed; prints hardware, versions and n
	@$(VENV_PYTHON) -m benchmarks $(ARGS)

image: ## Build the container image
	@docker/build.sh $(ARGS)

wheels: ## Collect the wheels for an offline build of the image
	@docker/wheels.sh $(ARGS)

test-container: setup ## Test the image in real containers
	@$(VENV_PYTHON) -m pytest tests/container --all $(ARGS)

test-browser: setup ## Test the pages in Chromium
	@$(VENV_PYTHON) -m pytest tests/browser --all $(ARGS)

figure: ## Draw docs/house.svg, the rooms and who imports whom, anew
	@$(PYTHON) -m tools.figure

lock: ## Pin the dependency groups of pyproject.toml anew (ARGS=--upgrade for newer versions)
	@$(PYTHON) -m tools.lock $(ARGS)

release: ## Check what a release needs, and print how to make it
	@$(PYTHON) -m tools.release

clean: ## Remove .venv and caches; runs and data are kept
	@rm -rf .venv .venv-old .pytest_cache .mypy_cache .ruff_cache
	@find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
