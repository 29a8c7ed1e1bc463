"""What a person and a program see of a whole run, and of its help (T05, T07)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import jsonschema
import pytest

from asrcli.output.records import schema
from tests.cli.conftest import Served
from tests.emulators.dashscope.app import DashScope
from tests.program import run


@pytest.fixture
def folder(welcome: Path) -> Path:
    """Two recordings, and one that is none."""
    shutil.copy(welcome, welcome.parent / "again.wav")
    (welcome.parent / "broken.wav").write_bytes(b"")
    return welcome.parent


def test_a_program_reads_every_line_and_the_summary_last(
    qwen: Served[DashScope], folder: Path
) -> None:
    ran = run("transcribe", "--progress", "json", "-o", folder / "out", folder, env=qwen.env)

    records = [json.loads(line) for line in ran.err.splitlines() if line.startswith("{")]
    for record in records:
        jsonschema.Draft202012Validator(schema()).validate(record)
    ends = {r["name"].rpartition("/")[2]: r["status"] for r in records if r["type"] == "input"}
    assert ends == {"welcome.wav": "ok", "again.wav": "ok", "broken.wav": "failed"}
    assert ran.err.splitlines()[-1].startswith('{"v": 1, "type": "summary"')
    assert (records[-1]["ok"], records[-1]["failed"], records[-1]["exit_status"]) == (2, 1, 3)


def test_a_log_gets_a_line_for_the_failure_and_one_for_the_run(
    qwen: Served[DashScope], folder: Path
) -> None:
    ran = run("transcribe", "-o", folder / "out", folder, env=qwen.env)
    quiet = run("transcribe", "-q", "-o", folder / "out", folder, env=qwen.env)

    assert sum("broken.wav" in line for line in ran.err.splitlines()) == 1
    assert ran.err.splitlines()[-1].startswith("asrcli: 3 inputs: 2 ok, 1 failed; ")
    assert "3 inputs" not in quiet.err


@pytest.mark.parametrize(
    ("env", "bold"),
    [
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ({"FORCE_COLOR": "1", "NO_COLOR": ""}, True),
        ({"FORCE_COLOR": "", "NO_COLOR": ""}, False),
    ],
)
def test_t07_the_help_has_no_escapes_where_no_color_is_set(env: dict[str, str], bold: bool) -> None:
    for command in ([], ["transcribe"]):
        ran = run(*command, "--help", env={"TERM": "xterm", **env})

        assert ran.status == 0
        assert ("\x1b[" in ran.out) is bold
