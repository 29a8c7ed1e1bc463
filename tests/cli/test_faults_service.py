"""What services answer when they are busy, broken or unwilling, seen by who runs the program."""

from __future__ import annotations

import json
import math
import random
import sys
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest

from tests.cli.altered import GENERATION, altered, begin, spoken, until, variants
from tests.cli.conftest import Served
from tests.emulators import onemin_errors
from tests.emulators.dashscope import faults
from tests.emulators.dashscope.app import DashScope
from tests.emulators.dashscope.throttle import Throttle
from tests.emulators.onemin import OneMin
from tests.emulators.service import Received
from tests.emulators.troubles import Delay, Failure, Gate
from tests.program import Ran, run
from tests.recordings import concatenate, encode_as, recording

WELCOME = recording("welcome").text + "\n"
FLASH = ("-m", "qwen3-asr-flash")
NAMES = ("welcome", "report", "planet", "bridge", "letter", "lesson")


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six and a half minutes: too long for one call."""
    path = tmp_path_factory.mktemp("talk") / "talk.wav"
    return concatenate([recording(name).path for name in NAMES] * 9, path, gap=0.5)


def words() -> list[str]:
    """Those of the `talk`."""
    return " ".join(" ".join(recording(name).text for name in NAMES) for _ in range(9)).split()


def text_of(files: list[Path]) -> str:
    return "".join(f"{spoken(path).text}\n" for path in files)


def assert_failed(ran: Ran, status: int, *said: str) -> None:
    """Nothing came out, and one line with its hint says why."""
    assert (ran.status, ran.out) == (status, ""), ran.err
    for text in said:
        assert text in ran.err
    assert len(ran.err.splitlines()) <= 3
    assert "Traceback" not in ran.err


# --- S: rate limits -----------------------------------------------------------------------------


def test_s01_a_rate_limit_is_waited_out_by_all_and_told_once(
    qwen: Served[DashScope], tmp_path: Path
) -> None:
    files = variants(12, tmp_path / "in")
    gates = [Gate(), Gate()]

    def refuse(request: Received) -> httpx.Response:
        for gate in gates:  # so that both are refused while they are under way together
            gate.arrived.wait(10)
        return faults.rate_quota(retry_after="1")(request)

    def meet(gate: Gate) -> Failure:
        def answer(request: Received) -> httpx.Response:
            gate.arrived.set()
            return refuse(request)

        return answer

    qwen.service.failures.add(None, *map(meet, gates), route=GENERATION)

    ran = run("transcribe", "--no-headings", "-j", "4", *files, env=qwen.env)

    assert (ran.status, ran.out) == (0, text_of(files)), ran.err
    assert ran.err.count("rate limited by qwen") == 1


@pytest.mark.parametrize(
    ("value", "calls", "status"),
    [("date", 2, 0), ("nan", 2, 0), ("-5", 2, 0), ("", 2, 0), ("1e9", 1, 5)],
)
def test_s02_retry_after_is_honored_unless_it_is_junk_or_too_long(
    qwen: Served[DashScope], welcome: Path, value: str, calls: int, status: int
) -> None:
    if value == "date":
        value = format_datetime(datetime.now(UTC) + timedelta(seconds=1), usegmt=True)
    qwen.service.failures.add(faults.rate_quota(retry_after=value), route=GENERATION)

    ran = run("transcribe", "-f", "jsonl", welcome, env=qwen.env)

    record = json.loads(ran.out)
    assert ran.status == status, ran.err
    assert len(qwen.service.requests) == calls
    assert record["status"] == "ok" or record["error"]["retryable"] is True


def test_s03_a_rate_limit_for_ever_ends_with_5_and_names_rpm(
    qwen: Served[DashScope], welcome: Path
) -> None:
    fault = faults.rate_quota(retry_after="0")
    qwen.service.failures.add(fault, route=GENERATION, times=math.inf)

    ran = run("transcribe", "--retries", "2", welcome, env=qwen.env)

    assert ran.status == 5
    assert "--rpm" in ran.err
    assert len(qwen.service.requests) == 3


def test_s04_calls_spaced_by_rpm_never_meet_the_limit(
    qwen: Served[DashScope], tmp_path: Path
) -> None:
    files = variants(8, tmp_path / "in")
    limit = Throttle(300)
    qwen.service.throttles["qwen3-asr-flash"] = limit

    ran = run("transcribe", "--rpm", "200", "--no-headings", *files, env=qwen.env)

    assert (ran.status, ran.out) == (0, text_of(files)), ran.err
    assert limit.refused == 0


# --- S: failures --------------------------------------------------------------------------------


def test_s05_failures_that_pass_are_got_over(qwen: Served[DashScope], tmp_path: Path) -> None:
    codes = (500, 502, 503, 504, 522, 524, 408)
    files = variants(len(codes), tmp_path / "in")
    for code in codes:
        qwen.service.failures.add(httpx.Response(code), None, route=GENERATION)

    ran = run("transcribe", "-j", "1", "--no-headings", *files, env=qwen.env)

    assert (ran.status, ran.out) == (0, text_of(files)), ran.err
    assert len(qwen.service.requests) == 2 * len(codes)


def test_s06_a_failure_for_ever_ends_after_exact_tries_with_the_request_id(
    qwen: Served[DashScope], welcome: Path
) -> None:
    body = {"code": "InternalError", "message": "Sorry.", "request_id": "req-0815"}
    qwen.service.failures.add(httpx.Response(500, json=body), route=GENERATION, times=math.inf)

    ran = run("transcribe", "--retries", "2", welcome, env=qwen.env)

    assert_failed(ran, 9, "req-0815", "Sorry.")
    assert len(qwen.service.requests) == 3


def test_s13_a_clip_that_is_too_large_for_the_service_ends_with_7(
    qwen: Served[DashScope], welcome: Path
) -> None:
    qwen.service.failures.add(httpx.Response(413), route=GENERATION, times=math.inf)

    assert_failed(run("transcribe", *FLASH, welcome, env=qwen.env), 7, "large")
    assert len(qwen.service.requests) == 1


def test_s13_a_recording_that_is_too_large_for_the_service_is_cut_and_sent_again(
    qwen: Served[DashScope], tmp_path: Path
) -> None:
    clips = [recording(name).path for name in NAMES] * 2
    path = concatenate(clips, tmp_path / "two.wav", gap=0.5)
    qwen.service.failures.add(httpx.Response(413), route=GENERATION)

    ran = run("transcribe", *FLASH, path, env=qwen.env)

    said = " ".join(" ".join(recording(name).text for name in NAMES) for _ in range(2))
    assert (ran.status, ran.out.split()) == (0, said.split()), ran.err


def test_s13_pieces_that_are_too_large_are_made_smaller_once(
    qwen: Served[DashScope], talk: Path
) -> None:
    qwen.service.failures.add(None, httpx.Response(413), route=GENERATION)

    ran = run("transcribe", *FLASH, "-j", "1", talk, env=qwen.env)

    assert (ran.status, ran.out.split()) == (0, words()), ran.err
    statuses = [request.status for request in qwen.service.requests]
    assert statuses.count(413) == 1
    assert statuses.count(200) == 7  # one for each of six pieces, but two for the second


def test_s14_a_format_that_is_refused_is_sent_once_more_in_another(
    qwen: Served[DashScope], welcome: Path
) -> None:
    path = encode_as(welcome, "mp3", welcome.parent)
    qwen.service.failures.add(httpx.Response(415), route=GENERATION)

    ran = run("transcribe", *FLASH, path, env=qwen.env)

    assert (ran.status, ran.out) == (0, WELCOME), ran.err
    assert len(qwen.service.requests) == 2


def test_s14_a_format_that_is_refused_again_ends_with_7(
    qwen: Served[DashScope], welcome: Path
) -> None:
    path = encode_as(welcome, "mp3", welcome.parent)
    qwen.service.failures.add(httpx.Response(415), route=GENERATION, times=math.inf)

    assert_failed(run("transcribe", *FLASH, path, env=qwen.env), 7, "format")
    assert len(qwen.service.requests) == 2


def test_s15_what_moderation_refuses_fails_alone_and_is_not_sent_again(
    qwen: Served[DashScope], tmp_path: Path
) -> None:
    files = variants(3, tmp_path / "in")
    qwen.service.failures.add(None, faults.data_inspection_failed(), route=GENERATION)

    ran = run("transcribe", "-j", "1", "-f", "jsonl", *files, env=qwen.env)

    records = [json.loads(line) for line in ran.out.splitlines()]
    assert ran.status == 3
    assert [record["status"] for record in records] == ["ok", "failed", "ok"]
    assert records[1]["error"]["code"] == "DataInspectionFailed"
    assert records[1]["error"]["retryable"] is False
    assert len(qwen.service.requests) == 3


# --- S: uploads ---------------------------------------------------------------------------------


def test_s20_an_upload_whose_call_failed_is_used_by_the_next_run(
    onemin: Served[OneMin], welcome: Path
) -> None:
    service = onemin.service
    service.failures.add(onemin_errors.server_error(), route="POST /api/features*", times=math.inf)
    failed = run("transcribe", "--retries", "0", welcome, env=onemin.env)
    service.failures.clear()
    again = run("transcribe", welcome, env=onemin.env)

    assert (failed.status, failed.out) == (9, "")
    assert (again.status, again.out) == (0, WELCOME), again.err
    assert len(service.requests.to("POST", "/api/assets")) == 1


def test_s20_an_upload_that_is_gone_is_made_again(onemin: Served[OneMin], welcome: Path) -> None:
    service = onemin.service
    service.failures.add(onemin_errors.server_error(), route="POST /api/features*", times=math.inf)
    run("transcribe", "--retries", "0", welcome, env=onemin.env)
    service.failures.clear()
    service.assets.clear()

    again = run("transcribe", welcome, env=onemin.env)

    assert (again.status, again.out) == (0, WELCOME), again.err
    assert len(service.requests.to("POST", "/api/assets")) == 2


def test_s21_a_slot_that_expired_is_replaced_once(qwen: Served[DashScope], welcome: Path) -> None:
    service, model = qwen.service, "qwen3-asr-flash-filetrans"
    service.failures.add(faults.policy_expired(), route="POST /oss-file")

    mended = run("upload", "-m", model, welcome, env=qwen.env)
    slots = len(service.requests.to("GET", "/api/v1/uploads"))
    service.failures.add(faults.policy_expired(), route="POST /oss-file", times=math.inf)
    failed = run("upload", "-m", model, "--no-cache", welcome, env=qwen.env)

    assert mended.status == 0, mended.err
    assert mended.out.startswith("oss://")
    assert slots == 2
    assert (failed.status, failed.out) == (9, ""), failed.err
    assert len(service.requests.to("GET", "/api/v1/uploads")) == slots + 2


# --- M: pieces, and decoders that break ---------------------------------------------------------


def test_m15_m16_m17_pieces_in_any_order_and_failing_now_and_then_lose_no_word(
    qwen: Served[DashScope], talk: Path
) -> None:
    dice = random.Random(3)
    service = qwen.service
    lock = threading.Lock()
    failed: set[bytes] = set()

    def hurried(request: Received) -> httpx.Response:
        with lock:
            pause = dice.uniform(0, 0.3)
            fails = dice.random() < 0.05 and request.content not in failed
            if fails or not failed:  # at least one does
                failed.add(request.content)
                return httpx.Response(500)
        service.sleep(pause)
        return service.answer(request)

    service.failures.add(hurried, route=GENERATION, times=math.inf)

    ran = run("transcribe", *FLASH, "-j", "8", "-f", "json", talk, env=qwen.env)

    record = json.loads(ran.out)
    assert (ran.status, record["text"].split()) == (0, words()), ran.err
    starts = [segment["start"] for segment in record["segments"]]
    assert starts == sorted(starts)
    assert len(service.requests) >= 4


FAKE_DECODERS = """
import asrcli.core.decoding as decoding, asrcli.media.isolated as isolated
child = '''
import json, os, signal, sys, time
sys.path[:] = json.loads(sys.argv[1])
import asrcli.media.decoder as decoder
usual = decoder._decode
def decode(path, job, answers):
    if "crash" in path.name:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "hang" in path.name:
        time.sleep(600)
    if "flood" in path.name:
        for _ in range(100):
            os.write(2, bytes(1_000_000))
    return usual(path, job, answers)
decoder._decode = decode
decoder.main()
'''
isolated._START = child
limits = isolated.Limits(base=20.0, share=0.0, quiet=2.0)
decoding.open_decoders = lambda: isolated.Decoders(2, limits=limits)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_m08_m09_m10_a_decoder_that_breaks_costs_one_input_and_no_other(
    qwen: Served[DashScope], tmp_path: Path
) -> None:
    names = ("crash", "good", "hang", "flood")
    made = zip(names, variants(4, tmp_path / "in"), strict=True)
    files = [path.rename(path.with_name(f"{name}.wav")) for name, path in made]

    ran = run(
        "transcribe", *FLASH, "--channel", "0", "-f", "jsonl", *files,
        env=qwen.env, command=altered(FAKE_DECODERS),
    )  # fmt: skip

    records = [json.loads(line) for line in ran.out.splitlines()]
    assert ran.status == 3, ran.err
    assert [r["status"] for r in records] == ["failed", "ok", "failed", "ok"]
    assert [records[n]["error"]["exit_status"] for n in (0, 2)] == [7, 7]


# --- C: many at once ----------------------------------------------------------------------------


def test_c04_600_inputs_and_64_calls_at_once_run_out_of_nothing(
    qwen: Served[DashScope], tmp_path: Path
) -> None:
    files = variants(600, tmp_path / "in", names=("number",))
    canned = {"output": {"choices": [{"finish_reason": "stop", "message": {
        "role": "assistant", "content": [{"text": "Four."}]}}]}, "request_id": "r"}  # fmt: skip
    answer = httpx.Response(200, json=canned)
    qwen.service.failures.add(Delay(0.1, answer), route=GENERATION, times=math.inf)

    ran = run("transcribe", "-j", "64", "--no-headings", *files, env=qwen.env)

    assert ran.status == 0, ran.err
    assert ran.out == "Four.\n" * 600
    assert "Pool" not in ran.err
    assert qwen.service.most_at_once <= 64
    assert qwen.server.connections_opened <= 64


def test_c10_one_long_recording_does_not_block_the_short_ones(
    qwen: Served[DashScope], talk: Path, tmp_path: Path
) -> None:
    files = variants(6, tmp_path / "in")
    gate = Gate()

    def hold(request: Received) -> httpx.Response:
        if b"audio/ogg" in request.content[:4000] or b"opus" in request.content[:4000]:
            gate.wait()
        return qwen.service.answer(request)

    qwen.service.failures.add(hold, route=GENERATION, times=math.inf)
    process = begin(
        "transcribe", *FLASH, "-j", "4", "--unordered", "-f", "jsonl", talk, *files, env=qwen.env
    )
    assert process.stdout is not None
    until(gate.arrived.is_set)
    first = [json.loads(process.stdout.readline()) for _ in files]
    gate.open()
    out, err = process.communicate(timeout=60)

    assert process.returncode == 0, err
    assert {record["name"] for record in first} == {str(path) for path in files}
    assert json.loads(out)["name"] == str(talk)
