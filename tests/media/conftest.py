"""Recordings in every container, and measures of how alike two sounds are."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.recordings import encode_as, recording

SPOKEN = recording("number")
"""The shortest of the spoken recordings."""


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`SPOKEN` in the container that is asked for; made once, so it is not to be changed."""
    folder = tmp_path_factory.mktemp("made")
    return cache(lambda container: encode_as(SPOKEN.path, container, folder))
