"""What all tests share: shape checks in `lib`, a private state, and no quiet skips.

Run by several processes (`make test`), what shares a costly fixture stays together.
"""

import os
import re
import shutil
import tempfile

import jaxtyping
import pytest
from jaxtyping import install_import_hook

# Before any test module imports torch: one thread, as the chapters run.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# No test may touch the instructor's own gradebook and key.
STATE = os.environ["COURSE_STATE"] = tempfile.mkdtemp(prefix="course-state-")

# Every shape in a signature of `lib` is checked whenever a test calls it; an int may
# stand where a float is asked for.
CHECKER = "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
HOOK = install_import_hook("lib", CHECKER)


def pytest_unconfigure():
    """In every process of the run; not by `atexit`, which a fork of one may run too."""
    shutil.rmtree(STATE, ignore_errors=True)


@pytest.fixture
def plain_errors(monkeypatch):
    """Switch the shape checks off, for tests of a function's own error messages."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture(scope="module")
def chromium():
    """The system's browser; playwright drives it, and brings none of its own."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed; `course doctor` says how")
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=program, args=options)
        yield browser
        browser.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Under COURSE_REQUIRE_ALL=1 a skip is a failure: CI installs what tests need."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("COURSE_REQUIRE_ALL") == "1":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        report.outcome = "failed"
        report.longrepr = f"skipped under COURSE_REQUIRE_ALL=1: {reason}"


def together(nodeid):
    """What names the tests that one process runs, one after the other: all that grade
    a class, since these fill the machine by themselves; the proof, or the judge, on a
    part; else those of a file."""
    file, _, test = nodeid.partition("::")
    by_part = file in ("tests/test_proof.py", "tests/grading/test_judge.py")
    part = re.search(r"\[(\w+)/", test) if by_part else None
    if part:
        return f"{file} on {part[1]}"
    return "grading" if file.startswith("tests/grading/") else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Not by `--dist loadgroup`: pytest 9.2 does not show xdist 3.8 the groups."""
    from xdist.scheduler import LoadScopeScheduling

    class Together(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return together(nodeid)

    return Together(config, log)


def pytest_terminal_summary(terminalreporter):
    """The kill matrix of every lesson that was proved, whichever process did it."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports(
        "failed"
    ):
        for name, value in report.user_properties:
            if name == "kill matrix" and report.when == "call":
                terminalreporter.write_line(f"\n{value}")
