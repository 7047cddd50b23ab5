"""What all tests share: shape checks in `lib`, a private state, and no quiet skips."""

import os
import tempfile

import jaxtyping
import pytest
from jaxtyping import install_import_hook

# Before any test module imports torch: one thread, as the chapters run.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# No test may touch the instructor's own gradebook and key.
os.environ["COURSE_STATE"] = tempfile.mkdtemp(prefix="course-state-")

# Every shape in a signature of `lib` is checked whenever a test calls it; an int may
# stand where a float is asked for.
CHECKER = "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
HOOK = install_import_hook("lib", CHECKER)


@pytest.fixture
def plain_errors(monkeypatch):
    """Switch the shape checks off, for tests of a function's own error messages."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Under COURSE_REQUIRE_ALL=1 a skip is a failure: CI installs what tests need."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("COURSE_REQUIRE_ALL") == "1":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        report.outcome = "failed"
        report.longrepr = f"skipped under COURSE_REQUIRE_ALL=1: {reason}"
