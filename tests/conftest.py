"""A clean environment for every test: no keys, no proxies, a home of its own."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from asrcli import secret

NO_RIGHT = "this machine does not give the right"
"""How a skip begins that no package could spare."""

IN_CI = bool(os.environ.get("CI"))

for _name in ("SIGINT", "SIGHUP", "SIGTERM"):
    # A run in the background or under nohup ignores some, and so would every program it starts.
    if (_number := getattr(signal, _name, None)) and signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _name == "SIGINT" else signal.SIG_DFL)

KEPT = {
    "PATH",
    "SYSTEMROOT",
    "TMPDIR",
    "TEMP",
    "TMP",
    "CI",
    "VIRTUAL_ENV",
    "COVERAGE_PROCESS_START",
}


@pytest.fixture(autouse=True)
def clean_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Give the test a temporary home, and take every variable that could change its result."""
    for name in set(os.environ) - KEPT:
        if not name.startswith("PYTEST_"):
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    return home


@pytest.fixture(autouse=True)
def keys_end_with_their_test() -> Iterator[None]:
    """What one test calls a key is not blotted out of what the next one reads."""
    before = set(secret._live)
    yield
    secret._live.intersection_update(before)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a skip is a failure: what a test needs is installed there, or the test is no use.

    Only what a machine refuses, and nobody can install, may be missing.
    """
    report = yield
    refused = NO_RIGHT in str(report.longrepr)
    if IN_CI and report.skipped and not refused and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {report.longrepr}"
    return report
