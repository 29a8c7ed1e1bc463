"""A clean environment for every test: no keys, no proxies, a home of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

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
