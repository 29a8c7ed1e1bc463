"""Emulated services on loopback, and the variables that lead the program to them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import pytest

from tests.emulators import onemin as onemin_service
from tests.emulators.dashscope import hosts
from tests.emulators.dashscope.app import DashScope
from tests.emulators.onemin import OneMin
from tests.emulators.server import Server, serve
from tests.recordings import recording

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Served(Generic[S]):
    """A service that listens, and the environment in which the program finds it."""

    service: S
    server: Server
    env: dict[str, str]


@pytest.fixture
def qwen() -> Iterator[Served[DashScope]]:
    service = DashScope()
    with serve(service) as server:
        env = {
            "DASHSCOPE_API_KEY": hosts.KEY,
            "DASHSCOPE_HTTP_BASE_URL": f"{server.url}/api/v1",
        }
        yield Served(service, server, env)
    service.close()


@pytest.fixture
def onemin() -> Iterator[Served[OneMin]]:
    service = OneMin()
    with serve(service) as server:
        env = {"ONEMIN_API_KEY": onemin_service.KEY, "ONEMIN_BASE_URL": server.url}
        yield Served(service, server, env)


@pytest.fixture
def welcome(tmp_path: Path) -> Path:
    """A recording in a folder of its own; its words are those of `recording("welcome")`."""
    return Path(shutil.copy(recording("welcome").path, tmp_path / "welcome.wav"))


@pytest.fixture
def number(tmp_path: Path) -> Path:
    return Path(shutil.copy(recording("number").path, tmp_path / "number.wav"))
