"""Progress on a terminal, in a log and for a program (T05, T07, T08, T10)."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrcli.output.console import Console
from asrcli.output.displays import clock_time
from asrcli.output.records import schema, summary_record
from asrcli.output.width import display_width
from tests.output.screens import Clock, Screen, TerminalStream

quick = settings(deadline=None, database=None, max_examples=40)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def on_terminal(clock: Clock, columns: int = 60, **options: bool | str) -> Console:
    return Console(
        stdout=io.BytesIO(),
        stderr=TerminalStream(),
        environ={"COLUMNS": str(columns), "TERM": "xterm"},
        clock=clock,
        ticker=clock.ticker,
        **options,  # type: ignore[arg-type]
    )


def in_log(clock: Clock, stream: io.StringIO, **options: bool | str) -> Console:
    return Console(
        stdout=io.BytesIO(),
        stderr=stream,
        environ={},
        clock=clock,
        ticker=clock.ticker,
        **options,  # type: ignore[arg-type]
    )
