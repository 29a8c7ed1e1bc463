"""Every kind of record that the program prints, as the schema that ships with it has it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from asrcli.output.records import schema
from tests.cli.conftest import Served
from tests.emulators.dashscope.app import DashScope
from tests.emulators.dashscope.scripts import JobScript
from tests.emulators.realtime import RealtimeEmulator
from tests.emulators.realtime.toy import hear, speak
from tests.program import Ran, run

VALIDATOR = jsonschema.Draft202012Validator(schema())
TYPES = set(schema()["properties"]["type"]["enum"])
FLASH = ("-m", "qwen3-asr-flash")
FUN = ("-m", "fun-asr")


def checked(records: Iterable[Any]) -> list[dict[str, Any]]:
    found = list(records)
    for record in found:
        VALIDATOR.validate(record)
    return found


def lines(text: str) -> list[dict[str, Any]]:
    """The records in a text of one record a line; what is for people is passed over."""
    return checked(json.loads(line) for line in text.splitlines() if line.startswith("{"))


def types(found: Iterable[dict[str, Any]]) -> set[str]:
    return {record["type"] for record in found}


def transcribed(qwen: Served[DashScope], folder: Path, *names: Path | str) -> list[dict[str, Any]]:
    """Records of inputs that come out well, fail, are left alone, are only submitted or planned."""
    progress = ["-f", "jsonl", "--progress", "json"]
    first = run("transcribe", *FLASH, *progress, *names, "missing.wav", env=qwen.env)
    whole = run("transcribe", *FUN, "-f", "json", "--diarize", *names, env=qwen.env)
    out = folder / "out.json"
    written = [run("transcribe", *FLASH, *names, "-o", out, env=qwen.env) for _ in range(2)]
    told = run("transcribe", *FLASH, *names, "-o", out, "--progress", "json", env=qwen.env)
    left = run("transcribe", *FUN, "--words", "--detach", "-f", "jsonl", *names, env=qwen.env)
    plan = run("transcribe", *FLASH, "-n", "-f", "jsonl", *names, env=qwen.env)
    assert [first.status, whole.status, told.status, left.status, plan.status] == [3, 0, 0, 0, 0]
    assert [ran.status for ran in written] == [0, 0]
    whole_ones = checked([json.loads(whole.out), json.loads(out.read_text())])
    texts = [first.out, first.err, told.err, left.out, plan.out]
    return whole_ones + [record for text in texts for record in lines(text)]


def test_what_transcribe_prints_keeps_to_the_schema(
    qwen: Served[DashScope], welcome: Path, tmp_path: Path
) -> None:
    qwen.service.jobs.script = JobScript(pending_polls=0, running_polls=0)

    found = transcribed(qwen, tmp_path, welcome)

    kinds = {"result", "progress", "input", "summary", "plan", "plan_total"}
    assert types(found) >= kinds - {"progress"}
    statuses = {record["status"] for record in found if record["type"] in {"result", "input"}}
    assert statuses == {"ok", "failed", "skipped", "submitted"}


def everything_kept(qwen: Served[DashScope], welcome: Path) -> list[Ran]:
    """What the commands tell that keep things at a service."""
    env = qwen.env
    run("transcribe", "--detach", *FUN, "--hotword", "Qwen", welcome, env=env)
    ran = [run("jobs", "list", "--json", env=env)]
    (job,) = lines(ran[0].out)
    ran += [
        run("jobs", "show", "--json", job["handle"], env=env),
        run("jobs", "wait", "-f", "jsonl", job["handle"], env=env),
        run("jobs", "list", "--all", "--json", env=env),
        run("upload", "--json", *FUN, welcome, env=env),
        run("hotwords", "create", "--json", "--hotword", "GPT 4", env=env),
        run("hotwords", "list", "--json", env=env),
    ]
    (made,) = lines(ran[-2].out)
    return [*ran, run("hotwords", "show", "--json", made["id"], env=env)]


def test_what_jobs_hotwords_and_upload_print_keeps_to_the_schema(
    qwen: Served[DashScope], welcome: Path
) -> None:
    ran = everything_kept(qwen, welcome)

    assert [each.status for each in ran] == [0] * len(ran)
    kinds = [types(lines(each.out)) for each in ran]
    job, result, upload, vocabulary = {"job"}, {"result"}, {"upload"}, {"vocabulary"}
    assert kinds == [job, job, result, job, upload, vocabulary, vocabulary, vocabulary]


@pytest.mark.parametrize("arguments", [[], ["whisper-1"], ["fun-asr-2031-01-01"]])
def test_what_models_prints_keeps_to_the_schema(arguments: list[str]) -> None:
    ran = run("models", "--json", *arguments)

    assert ran.status == 0
    assert types(checked(json.loads(ran.out))) == {"model"}


def test_what_stream_mic_prints_keeps_to_the_schema() -> None:
    with RealtimeEmulator(listen=hear, step=0.1) as live:
        env = {"DASHSCOPE_API_KEY": live.key, "DASHSCOPE_WEBSOCKET_BASE_URL": live.base_url}
        told = ["--partials", "-f", "jsonl", "--progress", "json"]
        ran = run("stream-mic", "--input", "-", *told, env=env, stdin=speak("one two") * 3)

    assert ran.status == 0, ran.err
    found = lines(ran.out)
    assert types(found) == {"partial", "final"}
    assert {record.get("complete") for record in found} == {None, True}
    assert types(lines(ran.err)) == {"summary"}


def test_no_type_of_record_is_left_out_here_and_in_the_schema() -> None:
    package = Path(__file__).parents[2] / "asrcli"
    written = {
        name
        for path in (package / "cli").glob("*.py")
        for name in _types_in(path.read_text("utf-8"))
    } | _types_in((package / "output" / "records.py").read_text("utf-8"))

    assert written <= TYPES
    assert written >= {"job", "vocabulary", "upload", "model", "summary", "progress", "plan_total"}


def _types_in(source: str) -> set[str]:
    return {part.partition('"')[0] for part in source.split('"type": "')[1:]}
