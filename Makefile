# make demo      install into .venv, then train, export and run a small audio-visual network
# make test      install into .venv, then run the tests
# make test-all  the slow tests too
# make ci        what continuous integration runs: every check, and the tests on the oldest and the newest Python that are here
# make lint      style, and the contracts of who may import whom
# make types     pyright: no folder may hold more errors than tools/type_errors.json allows
# make docs      the documentation, into site/; a broken link or a page in no menu ends it
#
# make lowest    the tests with the lowest version of each dependency that pyproject.toml declares, in .venv-lowest
# make browser   the tests of pages in headless Chromium, which make test skips where it is not installed: 250 MB more
# make fuzz      one minute of mutated files for every reader
# make audit     known vulnerabilities of the packages in .venv, by pip-audit, which asks PyPI's advisories about them
# make dist      wheel and sdist, the same bytes for the same commit
# make wheel     the wheel, installed in an empty environment, .venv-wheel: its demo, and its bundle verified
#
# WORKERS=2      processes that the tests are spread over (make test: 0.5 to 1 GB of memory each)
# PYTHON=...     the interpreter to use (default: python3 if it is 3.10 to 3.13, else the first of those that runs)
# PIP_FLAGS=...  passed to pip, for example to choose a CPU build of PyTorch (see constraints.txt)

VENV := .venv
WORKERS := 2
RUN := $(VENV)/bin/python
# A pyenv shim can exist and fail, and a system Python can lack venv: only running a candidate tells.
CANDIDATES := $(or $(PYTHON),python3 python3.11 python3.12 python3.13 python3.10 python)
USABLE := import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))
# Both declare Python 3.10 only but run on 3.10 to 3.13. A global --ignore-requires-python would let pip take other packages that are
# made for a newer Python, hence an install of their own; what they need at run time is listed in pyproject.toml.
LAVA := lava-nc==0.10.0 lava-dl==0.6.0
# The tests and the demo work on small arrays, where one thread per process is fastest.
export OMP_NUM_THREADS ?= 1

# Each process begins with neighbouring tests, so that most fixtures of a module are made once; one that has none left takes of the other's.
TESTS = $(RUN) -m pytest -q -m "not slow" -n $(WORKERS) --dist worksteal

.PHONY: audit browser lowest fuzz dist demo test test-all lint types docs install clean ci

demo: install
	@$(VENV)/bin/snnfuse demo --output out/demo --force

test: install
	@$(TESTS)

# Some of the slow tests measure memory or seconds, and run alone.
test-all: $(VENV)/.cluster
	@$(TESTS)
	@$(RUN) -m pytest -q -m slow

browser: $(VENV)/.browser
	@$(RUN) -m pytest -q -rs $$(grep -rl "from browser import" tests --include="test_*.py")

fuzz: install
	@$(RUN) -W ignore -m tests.fuzz all --minutes 1

# In an environment of its own, whose packages are not asked about; what pip cannot find on PyPI is this project itself.
AUDIT := .venv-audit
audit: install
	@$(RUN) -m venv $(AUDIT)
	@$(AUDIT)/bin/python -m pip install -q --disable-pip-version-check $(PIP_FLAGS) pip-audit
	@$(AUDIT)/bin/python -m pip_audit --skip-editable --progress-spinner off \
	    --path "$$($(RUN) -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"

dist: install
	@$(RUN) tools/build_packages.py

# From out/wheel, where no source can be imported in place of what the wheel holds.
INSTALLED := .venv-wheel
wheel: install
	@rm -rf $(INSTALLED) out/wheel && mkdir -p out/wheel
	@$(RUN) tools/build_packages.py out/wheel
	@$(RUN) -m venv $(INSTALLED)
	@$(INSTALLED)/bin/python -m pip install -q --disable-pip-version-check $(PIP_FLAGS) -c constraints.txt "$$(ls out/wheel/*.whl)[train]"
	@$(INSTALLED)/bin/python -m pip install -q --disable-pip-version-check $(PIP_FLAGS) --no-deps --ignore-requires-python $(LAVA)
	@cd out/wheel && ../../$(INSTALLED)/bin/snnfuse demo --output demo && ../../$(INSTALLED)/bin/snnfuse verify demo/bundle

# The highest are what constraints.txt pins, which make test has. uv alone resolves downwards; Lava's own pins are in pyproject.toml.
LOWEST := .venv-lowest
lowest: install
	@$(RUN) -m pip install -q --disable-pip-version-check uv
	@$(RUN) -m uv venv --quiet --seed --python 3.11 $(LOWEST)
	@$(RUN) -m uv pip install --quiet --python $(LOWEST)/bin/python --resolution lowest-direct $(PIP_FLAGS) -e '.[test]'
	@$(LOWEST)/bin/python -m pip install -q --disable-pip-version-check $(PIP_FLAGS) --no-deps --ignore-requires-python $(LAVA)
	@$(LOWEST)/bin/python -m pytest -q -m "not slow" -n $(WORKERS) --dist worksteal

ci:
	@bash .ci/run --both-ends

lint: install
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) tools/check_imports.py

types: install
	@$(RUN) tools/check_types.py
	@$(RUN) -m pytest -q tests/test_typed_wheel.py

# Not --quiet: it hides warnings from --strict too, which then counts none.
docs: install
	@$(RUN) tools/source_tree.py >/dev/null
	@NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --strict
	@echo "site/index.html"

# Ray is used by slow tests alone; the others skip without it.
$(VENV)/.cluster: $(VENV)/.installed
	@$(RUN) -m pip install -q --disable-pip-version-check $(PIP_FLAGS) -c constraints.txt -e '.[cluster]'
	@touch $@

$(VENV)/.browser: $(VENV)/.installed
	@$(RUN) -m pip install -q --disable-pip-version-check $(PIP_FLAGS) -c constraints.txt -e '.[browser]'
	@touch $@

install: $(VENV)/.installed

$(VENV)/.installed: $(VENV)/.created pyproject.toml constraints.txt
	@echo "Installing into $(VENV); PyTorch is a large download ..."
	@$(RUN) -m pip install -q --disable-pip-version-check $(PIP_FLAGS) -c constraints.txt -e '.[dev]'
	@$(RUN) -m pip install -q --disable-pip-version-check $(PIP_FLAGS) --no-deps --ignore-requires-python $(LAVA)
	@touch $@

$(VENV)/.created:
	@for python in $(CANDIDATES); do \
	  if "$$python" -c '$(USABLE)' >/dev/null 2>&1; then \
	    echo "Using $$python: $$("$$python" --version)"; \
	    rm -rf $(VENV) && "$$python" -m venv $(VENV) && touch $@ && exit 0; \
	    exit 1; \
	  fi; \
	done; \
	echo "error: none of these runs as Python 3.10 to 3.13 with venv: $(CANDIDATES); name one with make PYTHON=/path/to/python" >&2; \
	exit 1

clean:
	rm -rf $(VENV) $(INSTALLED) out site
