# Two commands do everything on a fresh machine: `make book` and `make test`.
# EXTRA chooses what is installed beside the course: test, or oracle (CI).

PYTHON ?= python3
EXTRA ?= test
BIN = .venv/bin
INSTALLED = .venv/installed-$(EXTRA)

.PHONY: book test proof lock dependencies clean

book: $(INSTALLED)
	$(BIN)/course build

# Staleness first: a build never touches a committed file, so nothing hides it.
test: $(INSTALLED)
	$(BIN)/course assign --check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/course build
	$(BIN)/python -m pytest --nbval-lax _build/solved
	$(BIN)/python -m pytest --numprocesses auto

proof: $(INSTALLED)
	$(BIN)/course build
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --nbval _build/executed
	$(BIN)/python -m pytest -m proof --numprocesses auto
	$(BIN)/python -m tests.reseeded
	$(BIN)/python -m benchmarks

# Resolve all dependencies afresh and write requirements.lock.
lock: $(INSTALLED)
	$(BIN)/python -m course.lock

# Read the licences of what is installed into DEPENDENCIES.md.
dependencies: $(INSTALLED)
	$(BIN)/python -m course.dependencies

clean:
	rm -rf _build

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; say where: make PYTHON=/path/to/python3"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c requirements.lock -e '.[$(EXTRA)]'
	touch $@
