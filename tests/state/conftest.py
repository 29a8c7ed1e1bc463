"""A place for the state, and other processes that use it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from asrcli.state.store import Store
from tests.state.processes import HEAD, TEXT, Child, answer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "asrcli" / "state.db"


@pytest.fixture
def child(path: Path) -> Iterator[Child]:
    """Start a Python with a program that knows `path`, `say` and the store."""
    started = []

    def start(program: str, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", HEAD + program, str(path), *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def filled(path: Path) -> Path:
    """A file with answers on many pages."""
    with closing(Store(path)) as store:
        for number in range(300):
            store.remember_answer(str(number), answer(TEXT * 20))
    return path
