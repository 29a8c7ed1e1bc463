"""A plan is data: a table on a terminal, values for scripts, records for programs."""

from __future__ import annotations

import io
import json
from typing import Any

import jsonschema
import pytest

from asrcli.output.console import Console
from asrcli.output.plans import FIELDS, PlanRow, plan_totals
from asrcli.output.records import schema
from tests.output.screens import Screen

TALK = PlanRow(
    "talk.wav", "qwen3-asr-flash", "qwen", "pieces", "it is longer than a call takes",
    duration=3600.0, speech=3000.5, pieces=21, requests=21, bytes=50_000_000, cost=0.126, wait=21.0,
)  # fmt: skip
KNOWN = PlanRow(
    "b\t[red].wav", "qwen3-asr-flash", "qwen", "whole", "it was answered before",
    duration=60.0, requests=1, bytes=1000, cost=0.01, known=True,
)  # fmt: skip
UNKNOWN = PlanRow("https://host/c?Signature=abcdef", "m", "onemin", "whole", "a\x1b[2J\nURL")


class TerminalBytes(io.BytesIO):
    """Standard output that is a terminal."""

    def isatty(self) -> bool:
        return True


def planned(
    out: io.BytesIO, rows: list[PlanRow], *, columns: int = 160, **options: Any
) -> tuple[str, str]:
    err = io.StringIO()
    environ = {"COLUMNS": str(columns)}
    console = Console(stdout=out, stderr=err, environ=environ, color="never")
    console.plan(iter(rows), rpm=options.get("rpm"), as_json=options.get("as_json", False))
    return out.getvalue().decode(), err.getvalue()


def test_a_terminal_gets_a_table_with_its_sums() -> None:
    out, err = planned(TerminalBytes(), [TALK, KNOWN], rpm=60.0)

    head, _, *rows = Screen(160).feed(out).lines
    assert head.split() == "input length speech model way requests bytes USD why".split()
    assert "1:00:00" in rows[0]
    assert "0 (known)" in rows[1]
    assert r"b [red].wav" in rows[1] or r"b\t[red].wav" in rows[1]
    assert rows[-1].split() == (
        "2 inputs 1:01:00 50:00 21 50,000,000 0.1260 at least 0:21 at this rate".split()
    )
    assert err == ""


def test_a_narrow_terminal_gets_lines_instead_of_folded_columns() -> None:
    out, _ = planned(TerminalBytes(), [TALK, UNKNOWN], columns=40)

    assert out.splitlines() == [
        "talk.wav",
        "  1:00:00 of audio, 50:00 of speech in 21 pieces",
        "  qwen3-asr-flash (qwen): pieces",
        "  21 requests, 50,000,000 bytes",
        "  USD: 0.1260",
        "  at least 0:21",
        "  it is longer than a call takes",
        "https://host/c?Signature=***",
        "  ? of audio",
        "  m (onemin): whole",
        "  ? requests, ? bytes",
        "  USD: price unknown",
        r"  a\x1b[2J URL",
        "2 inputs, ? of audio, ? to be sent, ? requests, ? bytes, price unknown",
    ]


def test_a_pipe_gets_numbers_between_tabs_and_the_sums_elsewhere() -> None:
    out, err = planned(io.BytesIO(), [TALK, KNOWN, UNKNOWN])

    head, *rows = (line.split("\t") for line in out.splitlines())
    assert tuple(head) == FIELDS
    first, second, third = (dict(zip(head, row, strict=True)) for row in rows)
    assert (first["duration"], first["speech"], first["bytes"]) == ("3600", "3000.5", "50000000")
    assert (first["cost"], first["wait"], first["known"]) == ("0.126", "21", "no")
    assert (second["name"], second["known"]) == ("b [red].wav", "yes")
    assert (third["duration"], third["cost"], third["why"]) == ("", "", "a[2J URL")
    assert err.startswith("asrcli: 3 inputs, 1 known already, ? of audio, ? to be sent,")


@pytest.mark.parametrize("out", [io.BytesIO(), TerminalBytes()])
def test_a_program_gets_records_that_keep_to_the_schema(out: io.BytesIO) -> None:
    text, err = planned(out, [TALK, KNOWN, UNKNOWN], as_json=True, rpm=10.0)

    records = [json.loads(line) for line in text.splitlines()]
    for record in records:
        jsonschema.Draft202012Validator(schema()).validate(record)
    assert [record["type"] for record in records] == ["plan", "plan", "plan", "plan_total"]
    assert records[0]["speech"] == 3000.5
    assert (records[2]["name"], records[2]["why"]) == ("https://host/c?Signature=***", "a[2J URL")
    assert (records[3]["inputs"], records[3]["cost"]) == (3, None)
    assert err == ""


def test_what_is_known_costs_nothing_and_silence_is_not_sent() -> None:
    silent = PlanRow("s", "m", "qwen", "whole", "", duration=10.0, speech=0.0, requests=0, bytes=0,
                     cost=0.0)  # fmt: skip

    total = plan_totals([TALK, KNOWN, silent], rpm=42.0)

    assert (total.inputs, total.known, total.requests, total.bytes) == (3, 1, 21, 50_000_000)
    assert (total.duration, total.speech, total.cost) == (3670.0, 3000.5, 0.126)
    assert total.seconds == 30.0
