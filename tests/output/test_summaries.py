"""What a run came to: a table for someone who watches, a line in a log, a record for a program."""

from __future__ import annotations

import io
from typing import Any

import pytest

from asrcli.output.console import Console
from asrcli.output.records import summary_record
from asrcli.output.summaries import sentence, size_words
from asrcli.output.width import display_width
from asrcli.secret import Secret
from tests.output.screens import Screen, TerminalStream

STATUSES = ["ok"] * 90 + ["partial"] + ["skipped"] * 4 + ["failed"] * 2
WHOLE: dict[str, Any] = {
    "total": 100,
    "exit_status": 3,
    "elapsed": 750.0,
    "duration": 36_000.0,
    "requests": 120,
    "bytes_sent": 12_345_678,
    "cost": 0.1234,
    "reused_seconds": 6_000.0,
}


def shown(
    err: io.StringIO,
    statuses: list[str],
    failures: list[tuple[str, str]],
    *,
    columns: int = 80,
    record: dict[str, Any] | None = None,
    **options: Any,
) -> str:
    console = Console(stdout=None, stderr=err, environ={"COLUMNS": str(columns)}, **options)
    console.summary(summary_record(statuses, **(record or WHOLE)), failures=failures)
    return err.getvalue()


def test_someone_who_watches_gets_a_table() -> None:
    failures = [("a/first.wav", "it is empty"), ("語.wav", "HTTP 500")]

    text = shown(TerminalStream(), STATUSES, failures, color="never")

    assert text.splitlines() == [
        "  ok         90 of 100",
        "  partial    1 of 100",
        "  skipped    4 of 100",
        "  failed     2 of 100",
        "  not begun  3 of 100",
        "  audio      10:00:00",
        "  reused     1:40:00 of it, paid for before",
        "  wall time  12:30",
        "  speed      40 x real time",
        "  requests   120",
        "  sent       12.3 MB",
        "  cost       about 0.1234 USD",
        "  a/first.wav  it is empty",
        "  語.wav       HTTP 500",
    ]


def test_what_is_zero_or_not_known_is_left_out_of_the_table() -> None:
    record = {"total": 2, "exit_status": 0, "elapsed": 1.0}

    text = shown(TerminalStream(), ["ok", "ok"], [], record=record, color="never")

    assert text.splitlines() == ["  ok         2 of 2", "  wall time  0:01"]


def test_the_table_names_the_first_failures_and_counts_the_others() -> None:
    failures = [(f"{number}.wav", "no") for number in range(25)]
    record = {**WHOLE, "total": 100_000}

    lines = shown(TerminalStream(), ["failed"] * 25, failures, record=record).splitlines()

    assert sum(".wav" in line for line in lines) == 10
    assert "and 15 more" in lines[-1]


@pytest.mark.parametrize("columns", [1, 20, 33, 40, 100, 0])
def test_the_table_keeps_to_the_width(columns: int) -> None:
    failures = [("語" * 200, "x" * 500), ("a.wav", "[red]it\x1b[2J is\nempty[/x]")]

    text = shown(TerminalStream(), STATUSES, failures, columns=columns, color="always")

    lines = Screen(1000).feed(text).lines
    # What each line is about is shown whole, and at least one cell of how much.
    width = max(columns, 16) if columns else 80
    assert all(display_width(line) < width for line in lines)
    assert len(lines) == 14


def test_keys_in_failures_are_blotted_out() -> None:
    key = Secret("sk-canary-1357924680").reveal()

    assert "canary" not in shown(TerminalStream(), ["failed"], [(key, f"bad {key}")], columns=200)


def test_a_log_gets_one_line() -> None:
    assert shown(io.StringIO(), STATUSES, [("a", "no")]) == (
        "asrcli: 100 inputs: 90 ok, 1 partial, 4 skipped, 2 failed, 3 not begun; "
        "10:00:00 of audio in 12:30, 40 x real time, 1:40:00 of it paid for before, "
        "120 requests, 12.3 MB sent, about 0.1234 USD\n"
    )


@pytest.mark.parametrize("err", [io.StringIO(), TerminalStream()])
def test_nothing_is_summed_up_when_quiet_or_for_a_single_input(err: io.StringIO) -> None:
    assert shown(err, STATUSES, [], quiet=True) == ""
    assert shown(err, ["ok"], [], record={**WHOLE, "total": 1}) == ""


def test_a_price_that_is_unknown_is_said_so_and_one_of_nothing_is_not() -> None:
    unknown = summary_record(["ok"] * 100, **{**WHOLE, "cost": None})
    nothing = summary_record(["ok"] * 100, **{**WHOLE, "requests": 0, "cost": 0.0})

    assert sentence(unknown).endswith("price unknown")
    assert "USD" not in sentence(nothing)


def test_a_terminal_without_unicode_gets_letters() -> None:
    class Ascii(TerminalStream):
        encoding = "ascii"

    text = shown(Ascii(), STATUSES, [("x" * 90, "y" * 90)])

    assert text.isascii()
    assert "\\u" not in text


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_990, "1.0 MB"),
        (5e12, "5.0 TB"),
    ],
)
def test_sizes_read_in_the_unit_that_fits(size: float, words: str) -> None:
    assert size_words(size) == words
