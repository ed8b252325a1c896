# Every target installs what it lacks into ./.venv, so all of them work on a fresh machine with Python and make.
#
#   make PYTHON=python3.12 ...     the interpreter that makes .venv (3.11 or newer)
#   make NO_SHTNS=1 ...            leave out shtns and FFTW; ducc0 then does all transforms
#   make PYTEST_ARGS='-k name' test
#   make TORCH=torch==2.13.0 NETWORKS_ARGS=--quick networks     another torch than the newest; fewer networks

PYTHON ?= python3
PYTEST_ARGS ?=
TORCH ?= torch
NETWORKS_ARGS ?=

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --quiet --disable-pip-version-check

# Stamps tell what is installed; those that depend on pyproject.toml are renewed when it changes.
VENV_DONE := $(VENV)/.done-venv
PACKAGE_DONE := $(VENV)/.done-package
TEST_DONE := $(VENV)/.done-test
DEV_DONE := $(VENV)/.done-dev
DOCS_DONE := $(VENV)/.done-docs
SHTNS_DONE := $(VENV)/.done-shtns
ifneq ($(filter-out 0 no false,$(NO_SHTNS)),)
SHTNS_DONE :=
endif

# An environment that was moved or copied, or whose interpreter is gone, is made anew.
ifneq ($(shell test -x $(PY) && cat $(VENV_DONE) 2>/dev/null),$(CURDIR))
STALE := $(wildcard $(VENV_DONE))
$(VENV_DONE): FORCE
endif

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help solve test check bench peers mutate faults fuzz networks lowest docs links cf dist install shtns clean distclean FORCE

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

solve: $(PACKAGE_DONE) $(SHTNS_DONE) ## run the main job: examples/quickstart.toml -> out/quickstart.nc, .png, .html
	@mkdir -p out
	$(VENV)/bin/tokenlaw compare examples/quickstart.toml --out out/quickstart.nc
	$(VENV)/bin/tokenlaw plot out/quickstart.nc --out out/quickstart.png
	$(VENV)/bin/tokenlaw report out/quickstart.nc --out out/quickstart.html

test: $(TEST_DONE) $(SHTNS_DONE) ## run the tests
	OMP_NUM_THREADS=1 $(PY) -m pytest -q -n 2 --dist worksteal $(PYTEST_ARGS)

check: $(DEV_DONE) ## ruff, mypy --strict and the direction of the imports
	$(PY) -m ruff check .
	$(PY) -m mypy --strict particles spde validation tokenlaw
	$(PY) -m pytest -q tests/test_imports.py

bench: $(PACKAGE_DONE) $(SHTNS_DONE) ## all benchmarks at small sizes, and a table of ratios and targets
	$(PY) benchmarks/all.py

peers: $(PACKAGE_DONE) $(SHTNS_DONE) ## Dedalus 3, py-pde and fplanck in .venv/dedalus and .venv/peers, and the benchmark beside them (long)
	@eval "$$SETUP" && install_peers
	OMP_NUM_THREADS=1 $(PY) benchmarks/equations.py

mutate: $(TEST_DONE) $(SHTNS_DONE) ## small wrong changes to the core, one at a time: do the tests notice? (long)
	@$(PIP) install --editable '.[mutation]'
	OMP_NUM_THREADS=1 $(PY) tests/mutate.py

faults: $(TEST_DONE) $(SHTNS_DONE) ## kill runs, fill disks, damage files, break numbers: is anything lost? (minutes)
	OMP_NUM_THREADS=1 $(PY) -m tests.faults

fuzz: $(TEST_DONE) $(SHTNS_DONE) ## 20,000 inputs, most of them broken: is each taken, or refused in one line? (long)
	OMP_NUM_THREADS=1 $(PY) -m tests.fuzz --examples 20000
	OMP_NUM_THREADS=1 $(PY) -m tests.fuzz.worked --examples 3000

networks: $(TEST_DONE) ## real networks: their tests, and the exact chain against fresh networks of the library, in .venv/networks (long)
	@test -x $(VENV)/networks/bin/python || $(PY) -m venv $(VENV)/networks
	$(VENV)/networks/bin/python -m pip --quiet --disable-pip-version-check install '$(TORCH)' --editable '.[networks,test]'
	OMP_NUM_THREADS=1 $(VENV)/networks/bin/python -m pytest -q tests/tokenlaw/observe $(PYTEST_ARGS)
	OMP_NUM_THREADS=1 $(VENV)/networks/bin/python -m tests.networks_library $(NETWORKS_ARGS)

lowest: $(TEST_DONE) ## run the tests with the lowest versions that pyproject.toml allows, in .venv/lowest
	$(PY) tests/lowest.py >$(VENV)/lowest.txt
	$(PY) -m venv --clear $(VENV)/lowest
	$(VENV)/lowest/bin/python -m pip --quiet --disable-pip-version-check install --constraint $(VENV)/lowest.txt \
	    --editable '.[test]'
	OMP_NUM_THREADS=1 $(VENV)/lowest/bin/python -m pytest -q -n 2 --dist worksteal $(PYTEST_ARGS)

cf: $(TEST_DONE) ## do the files keep to the CF conventions? (a checker in an environment of its own, .venv/cf)
	@test -x $(VENV)/cf/bin/compliance-checker || { $(PY) -m venv $(VENV)/cf && $(VENV)/cf/bin/python -m pip --quiet \
	    --disable-pip-version-check install 'compliance-checker>=6,<7'; }
	PYTHONPATH=. OMP_NUM_THREADS=1 $(PY) tests/cf.py $(VENV)/cf/bin/compliance-checker

dist: $(PACKAGE_DONE) ## wheel and source in dist/, tried in an empty environment
	@$(PIP) install 'build>=1.2,<2'
	rm -rf dist build
	$(PY) -m build --outdir dist .
	$(PY) -m venv --clear $(VENV)/tried
	$(VENV)/tried/bin/python -m pip --quiet --disable-pip-version-check install --only-binary :all: dist/*.whl
	cd dist && ../$(VENV)/tried/bin/tokenlaw --version && ../$(VENV)/tried/bin/tokenlaw theory mlp-kernel activation=relu d=64 \
	    sigma_r=1 sigma_w=1
	cd dist && ../$(VENV)/tried/bin/tokenlaw config --example quickstart >../$(VENV)/tried/quickstart.toml
	cd dist && ../$(VENV)/tried/bin/tokenlaw solve ../$(VENV)/tried/quickstart.toml --dry-run

docs: $(DOCS_DONE) $(SHTNS_DONE) ## build docs/_build/html without a warning, run the gallery, check links and doctests
	OMP_NUM_THREADS=1 $(PY) -m sphinx -q -W --keep-going -b html docs docs/_build/html
	$(PY) docs/links.py docs/_build/html
	OMP_NUM_THREADS=1 $(PY) -m pytest -q tests/test_doctests.py

links: $(DOCS_DONE) ## check the links of the documentation to other sites (needs a network)
	$(PY) -m sphinx -q -b linkcheck -D plot_gallery=0 docs docs/_build/links

install: $(PACKAGE_DONE) $(SHTNS_DONE) ## install the toolkit into .venv, in editable form

shtns: $(PACKAGE_DONE) ## try again to build shtns
	@rm -f $(VENV)/.done-shtns
	@$(MAKE) --no-print-directory $(VENV)/.done-shtns

clean: ## remove caches, build products and the quickstart's results
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis out/quickstart.* out/report_*.png
	rm -rf docs/_build docs/api docs/gallery docs/sg_execution_times.rst
	find particles spde validation tokenlaw tests benchmarks -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

distclean: clean ## the same, and remove .venv
	rm -rf $(VENV)

$(VENV_DONE):
	@eval "$$SETUP" && make_venv
	@echo "$(CURDIR)" > $@

$(PACKAGE_DONE): pyproject.toml $(VENV_DONE)
	@echo "tokenlaw: installing the toolkit into $(VENV)"
	@$(PIP) install --editable .
	@touch $@

$(TEST_DONE): pyproject.toml $(VENV_DONE)
	@echo "tokenlaw: installing the toolkit and what its tests need into $(VENV)"
	@$(PIP) install --editable '.[test]'
	@touch $@ $(PACKAGE_DONE)

$(DEV_DONE): pyproject.toml $(VENV_DONE)
	@echo "tokenlaw: installing the toolkit and what its checks need into $(VENV)"
	@$(PIP) install --editable '.[dev]'
	@touch $@ $(TEST_DONE) $(PACKAGE_DONE)

$(DOCS_DONE): pyproject.toml $(VENV_DONE)
	@echo "tokenlaw: installing the toolkit and what its documentation needs into $(VENV)"
	@$(PIP) install --editable '.[docs]'
	@touch $@ $(PACKAGE_DONE)

# A failure is stamped too: shtns is a matter of speed, and a build that failed once is not tried at every call.
$(VENV)/.done-shtns: pyproject.toml $(VENV_DONE)
	@eval "$$SETUP" && install_shtns
	@touch $@

# Shell functions of the recipes above. They rely on nothing beyond POSIX sh.
define SETUP
say() { echo "tokenlaw: $$*"; }
stop() { say "$$*" >&2; exit 1; }

# Install Debian packages; false where there is no apt-get or no right to use it.
apt_install() {
    command -v apt-get >/dev/null || return 1
    if [ "$$(id -u)" = 0 ]; then as_root=
    elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then as_root=sudo
    else return 1
    fi
    say "installing with apt-get: $$*"
    apt_log=$$({ $$as_root apt-get -q update
        $$as_root env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends "$$@"
    } 2>&1) || { echo "$$apt_log" | tail -n 5 >&2; return 1; }
}

make_venv() {
    if [ -z "$(STALE)" ] && $(PY) -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then return; fi
    command -v '$(PYTHON)' >/dev/null ||
        stop "found no '$(PYTHON)'; Python 3.11 or newer is needed, name it with: make PYTHON=/path/to/python3"
    version=$$('$(PYTHON)' -c 'import sys; print("%d.%d" % sys.version_info[:2])') ||
        stop "'$(PYTHON)' does not run; name a Python 3.11 or newer with: make PYTHON=/path/to/python3"
    '$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        stop "Python 3.11 or newer is needed, '$(PYTHON)' is $$version; name another with: make PYTHON=/path/to/python3"
    if ! '$(PYTHON)' -c 'import ensurepip, venv' 2>/dev/null; then
        apt_install "python$$version-venv" && '$(PYTHON)' -c 'import ensurepip, venv' 2>/dev/null ||
            stop "'$(PYTHON)' lacks the modules venv and ensurepip; install them (Debian: python$$version-venv) and call make again"
    fi
    say "making a virtual environment in $(VENV) with Python $$version"
    '$(PYTHON)' -m venv --clear $(VENV)
}

# The C compiler, the header files of the system and of Python, and FFTW, as far as they are missing.
missing_for_shtns() {
    cc=$$(command -v "$${CC:-gcc}" || command -v cc || command -v clang) || { cc=false; echo gcc; }
    has() { echo "#include <$$1>" | $$cc $$CPPFLAGS $$CFLAGS -E - >/dev/null 2>&1; }
    has stdlib.h || echo libc6-dev
    has fftw3.h || echo libfftw3-dev
    $(PY) -c 'import os, sys, sysconfig as s; sys.exit(not os.path.exists(s.get_path("include") + "/Python.h"))' ||
        $(PY) -c 'import sys; print("python%d.%d-dev" % sys.version_info[:2])'
}

install_shtns() {
    works() { $(PY) -c 'import shtns' >/dev/null 2>&1; }
    if works; then return; fi
    instead="ducc0 does all transforms (same numbers, slower on grids); 'make shtns' tries again"
    missing=$$(missing_for_shtns | tr '\n' ' ')
    if [ -n "$$missing" ] && ! apt_install $$missing; then
        say "shtns needs packages that cannot be installed from here (Debian's names: $${missing% }); $$instead"
        return
    fi
    # Not -march=native, which would tie the build to this very processor.
    case $$(uname -m) in
        x86_64 | amd64)
            if grep -qw avx2 /proc/cpuinfo 2>/dev/null; then march=x86-64-v3; else march=x86-64; fi
            export enable_march=$$march ;;
    esac
    # Its configure script takes no prefix with a blank: the environment gets another name for the time of the build.
    link=$$(mktemp -d) && ln -s "$$PWD/$(VENV)" "$$link/venv"
    say "building shtns (half a minute)"
    log=$(VENV)/shtns.log
    SHTNS_OPENMP=0 "$$link/venv/bin/python" -m pip install --no-cache-dir shtns >$$log 2>&1 || true
    rm -rf "$$link"
    works || say "shtns did not build, see $$log; $$instead"
}

# Dedalus is built from source, with MPI and the MPI parts of FFTW.
install_peers() {
    env_of() { test -x "$(VENV)/$$1/bin/python" || $(PY) -m venv "$(VENV)/$$1"; }
    env_of peers && $(VENV)/peers/bin/python -m pip --quiet --disable-pip-version-check install py-pde fplanck
    env_of dedalus && $(VENV)/dedalus/bin/python -c 'import dedalus' 2>/dev/null && return
    mpi=$$(mpicc --showme:incdirs 2>/dev/null) || { apt_install gcc libopenmpi-dev openmpi-bin libfftw3-dev libfftw3-mpi-dev ||
        { say "Dedalus needs MPI and FFTW (Debian: libopenmpi-dev openmpi-bin libfftw3-dev libfftw3-mpi-dev)"; return; }
        mpi=$$(mpicc --showme:incdirs); }
    say "building Dedalus 3 (minutes)"
    CC=mpicc MPI_INCLUDE_PATH="$${mpi%% *}" MPI_LIBRARY_PATH="$$(mpicc --showme:libdirs | cut -d ' ' -f 1)" \
        FFTW_INCLUDE_PATH=/usr/include FFTW_LIBRARY_PATH="/usr/lib/$$(gcc -print-multiarch)" \
        $(VENV)/dedalus/bin/python -m pip --quiet --disable-pip-version-check install 'dedalus>=3,<4' ||
        say "Dedalus did not build: no ratios to it"
}
endef
export SETUP
