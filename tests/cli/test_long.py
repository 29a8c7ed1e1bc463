"""Long recordings by the installed program: in pieces, as subtitles, kept, continued, planned."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import Served
from tests.emulators.dashscope.app import DashScope
from tests.emulators.troubles import Gate
from tests.program import COMMAND, environment, run
from tests.recordings import concatenate, recording, side_by_side, silence

GENERATION = "/api/v1/services/aigc/multimodal-generation/generation"
NAMES = ("welcome", "report", "planet", "bridge", "letter", "lesson")
FLASH = ("-m", "qwen3-asr-flash")


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six and a half minutes: too long for one call."""
    path = tmp_path_factory.mktemp("talk") / "talk.wav"
    clips = [recording(name).path for name in NAMES]
    return concatenate(clips * 9, path, gap=0.5)


def words() -> str:
    return " ".join(" ".join(recording(name).text for name in NAMES) for _ in range(9))


def calls(qwen: Served[DashScope]) -> int:
    return len(qwen.service.requests.to("POST", GENERATION))


def test_a_recording_too_long_for_one_call_is_sent_in_pieces(
    qwen: Served[DashScope], talk: Path
) -> None:
    ran = run("transcribe", *FLASH, talk, env=qwen.env)

    assert ran.status == 0, ran.err
    assert ran.out.split() == words().split()
    assert calls(qwen) >= 3


def test_the_pieces_are_opus_and_not_the_samples(qwen: Served[DashScope], talk: Path) -> None:
    run("transcribe", *FLASH, talk, env=qwen.env)

    sent = sum(len(request.content) for request in qwen.service.requests)
    assert sent < talk.stat().st_size / 4


def test_what_was_answered_is_not_asked_again_whatever_the_format(
    qwen: Served[DashScope], talk: Path
) -> None:
    first = run("transcribe", *FLASH, talk, env=qwen.env)
    before = calls(qwen)

    again = run("transcribe", *FLASH, talk, env=qwen.env)
    other = run("transcribe", *FLASH, "-f", "json", talk, env=qwen.env)

    assert (again.out, calls(qwen)) == (first.out, before)
    record = json.loads(other.out)
    assert (record["reused"], record["route"]) == (True, "pieces")


def test_without_the_cache_the_service_is_asked_again_and_nothing_is_kept(
    qwen: Served[DashScope], welcome: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state.db"
    for _ in range(2):
        run("transcribe", *FLASH, "--no-cache", "--state", state, welcome, env=qwen.env)

    assert calls(qwen) == 2
    assert not state.exists()


def test_one_piece_that_fails_for_good_fails_the_recording_and_the_others_are_kept(
    qwen: Served[DashScope], talk: Path
) -> None:
    refusal = {"code": "DataInspectionFailed", "message": "It may be improper.", "request_id": "1"}
    qwen.service.failures.add(httpx.Response(400, json=refusal), route=f"POST {GENERATION}")

    failed = run("transcribe", *FLASH, "-j", "1", talk, env=qwen.env)
    before = calls(qwen)
    mended = run("transcribe", *FLASH, talk, env=qwen.env)

    assert (failed.status, failed.out) == (9, "")
    assert "improper" in failed.err
    assert mended.out.split() == words().split()
    assert calls(qwen) == before + 1


def test_with_allow_partial_what_there_is_comes_out_with_a_mark_for_the_gap(
    qwen: Served[DashScope], talk: Path
) -> None:
    refusal = {"code": "DataInspectionFailed", "message": "It may be improper.", "request_id": "1"}
    qwen.service.failures.add(httpx.Response(400, json=refusal), route=f"POST {GENERATION}")

    ran = run("transcribe", *FLASH, "--allow-partial", "-f", "json", talk, env=qwen.env)

    record = json.loads(ran.out)
    assert (ran.status, record["status"]) == (3, "partial")
    assert record["text"].count("[no transcript ") == 1
    assert record["error"]["code"] == "DataInspectionFailed"


def test_subtitles_of_a_model_without_times_are_cut_at_pauses(
    qwen: Served[DashScope], tmp_path: Path
) -> None:
    clips = [recording(name).path for name in ("welcome", "planet")]
    path = concatenate(clips, tmp_path / "two.wav", gap=3.0)

    ran = run("transcribe", *FLASH, "-f", "json", path, env=qwen.env)
    cues = run("transcribe", *FLASH, "-f", "srt", path, env=qwen.env)

    assert json.loads(ran.out)["segments"][0]["timing"] == "none"
    assert cues.status == 0, cues.err
    assert cues.out.startswith("1\n00:00:00,")
    assert " --> " in cues.out


def test_silence_is_not_sent_and_nothing_is_made_of_it(
    qwen: Served[DashScope], tmp_path: Path
) -> None:
    quiet = silence(400.0, tmp_path / "quiet.wav")

    ran = run("transcribe", *FLASH, quiet, env=qwen.env)

    assert (ran.status, ran.out) == (0, "")
    assert calls(qwen) == 0


def test_channels_apart_are_merged_by_time(qwen: Served[DashScope], tmp_path: Path) -> None:
    one, other = (recording(name).path for name in ("welcome", "planet"))
    later = concatenate([silence(12.0, tmp_path / "pause.wav"), other], tmp_path / "later.wav")
    stereo = side_by_side([one, later], tmp_path / "call.wav")

    ran = run("transcribe", *FLASH, "--split-channels", "-f", "json", stereo, env=qwen.env)

    segments = json.loads(ran.out)["segments"]
    assert [s["channel"] for s in segments] == sorted(s["channel"] for s in segments)
    assert {s["channel"] for s in segments} == {0, 1}
    assert " ".join(s["text"] for s in segments if s["channel"] == 0) == recording("welcome").text


def test_a_plan_is_shown_and_nothing_is_sent(qwen: Served[DashScope], talk: Path) -> None:
    ran = run("transcribe", *FLASH, "--dry-run", "-f", "jsonl", talk, env=qwen.env)

    rows = [json.loads(line) for line in ran.out.splitlines()]
    assert ran.status == 0, ran.err
    assert rows[0]["type"] == "plan"
    assert (rows[0]["route"], rows[0]["model"]) == ("pieces", "qwen3-asr-flash")
    assert rows[0]["requests"] >= 3
    assert 0 < rows[0]["cost"] < 0.1
    assert qwen.service.requests == []


def test_more_than_the_most_cost_is_refused_before_anything_is_sent(
    qwen: Served[DashScope], talk: Path
) -> None:
    ran = run("transcribe", *FLASH, "--max-cost", "0.001", talk, env=qwen.env)

    assert ran.status == 2
    assert "0.001" in ran.err
    assert qwen.service.requests == []


# --- interruptions ----------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_runs_that_are_killed_converge_and_no_piece_is_paid_twice_but_those_in_flight(
    qwen: Served[DashScope], talk: Path
) -> None:
    dice = random.Random(11)
    command = [*COMMAND, "transcribe", *FLASH, "-j", "2", str(talk)]
    kills = 0
    while kills < 6:
        before = calls(qwen)
        process = subprocess.Popen(
            command, env=environment(**qwen.env), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        wanted = before + dice.randint(0, 2)
        while calls(qwen) < wanted and process.poll() is None:
            pass
        if process.poll() is not None:
            process.communicate()
            break
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kills += 1
    done = run("transcribe", *FLASH, talk, env=qwen.env)

    assert done.status == 0, done.err
    assert done.out.split() == words().split()
    pieces = {request.json["input"]["messages"][-1]["content"][0]["audio"]
              for request in qwen.service.requests.to("POST", GENERATION)}  # fmt: skip
    assert calls(qwen) <= len(pieces) + 2 * kills


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_an_interrupted_run_says_so_and_the_next_one_sends_only_what_is_missing(
    qwen: Served[DashScope], talk: Path
) -> None:
    gate = Gate()
    qwen.service.failures.add(None, gate, route=f"POST {GENERATION}")
    process = subprocess.Popen(
        [*COMMAND, "transcribe", *FLASH, "-j", "1", str(talk)],
        env=environment(**qwen.env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    gate.arrived.wait(30)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    gate.open()

    assert (process.returncode, out) == (130, "")
    assert "stopping" in err
    before = calls(qwen)
    ran = run("transcribe", *FLASH, talk, env=qwen.env)
    assert ran.out.split() == words().split()
    total = len({r.content for r in qwen.service.requests.to("POST", GENERATION)})
    assert calls(qwen) - before == total - 1
