"""Answers that are cut, wrong, huge or late, and what of them may be seen: the program as it is."""

from __future__ import annotations

import gzip
import hashlib
import json
import ssl
import sys
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from tests.cli.altered import GENERATION, altered
from tests.cli.conftest import Served
from tests.emulators import openai as openai_service
from tests.emulators.dashscope import hosts
from tests.emulators.dashscope.app import DashScope
from tests.emulators.dashscope.scripts import JobScript
from tests.emulators.dashscope.sources import fetch_from
from tests.emulators.onemin import OneMin
from tests.emulators.openai import OpenAI
from tests.emulators.server import serve
from tests.emulators.service import Received
from tests.emulators.troubles import Delay, Raw
from tests.program import Ran, run
from tests.recordings import recording

WELCOME = recording("welcome").text + "\n"
FUN = ("-m", "fun-asr")
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def answer_of(text: Any, **more: Any) -> dict[str, Any]:
    """The JSON of `qwen3-asr-flash` with this in place of its text."""
    choice = {"finish_reason": "stop", "message": {"content": [{"text": text}]}}
    return {"output": {"choices": [choice]}, "usage": {"seconds": 6}, **more}


def assert_failed(ran: Ran, status: int, *said: str) -> None:
    """Nothing came out, and a line or two say why."""
    assert (ran.status, ran.out) == (status, ""), ran.err
    for words in said:
        assert words in ran.err
    assert 1 <= len(ran.err.splitlines()) <= 3
    assert "Traceback" not in ran.err


# --- P: certificates ------------------------------------------------------------------------------


def expired(authority: trustme.CA, context: ssl.SSLContext) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    authority.issue_cert("127.0.0.1", not_after=yesterday).configure_cert(context)


def of_another_host(authority: trustme.CA, context: ssl.SSLContext) -> None:
    authority.issue_cert("other.example").configure_cert(context)


def self_signed(_: trustme.CA, context: ssl.SSLContext) -> None:
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)


@pytest.mark.parametrize(
    ("make", "said"),
    [(expired, "expired"), (of_another_host, "127.0.0.1"), (self_signed, "--ca-bundle")],
)
def test_p02_each_bad_certificate_is_refused_for_its_own_reason(
    welcome: Path, tmp_path: Path, make: Any, said: str
) -> None:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    make(authority, context)
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    service = DashScope()
    with serve(service, tls=context) as server:
        env = {"DASHSCOPE_API_KEY": hosts.KEY, "DASHSCOPE_HTTP_BASE_URL": server.url}
        ran = run("transcribe", "--ca-bundle", bundle, "--retries", "0", welcome, env=env)
    service.close()

    assert_failed(ran, 6, said)
    assert service.requests == []


# --- P: bodies ------------------------------------------------------------------------------------

WRONG = json.dumps(answer_of("wrong")).encode()
PACKED = b"Content-Encoding: gzip\r\nConnection: close\r\n\r\n" + gzip.compress(WRONG)[:-20]


@pytest.mark.parametrize(
    "cut",
    [OK + b"Connection: close\r\n\r\n" + WRONG[:-20], OK + PACKED],
    ids=["p10", "p11"],
)
def test_p10_p11_a_body_that_ends_early_without_a_length_is_never_believed(
    qwen: Served[DashScope], welcome: Path, cut: bytes
) -> None:
    qwen.service.failures.add(Raw(cut), route=GENERATION)
    mended = run("transcribe", welcome, env=qwen.env)
    qwen.service.failures.add(Raw(cut), route=GENERATION, times=9)
    failed = run("transcribe", "--no-cache", welcome, env=qwen.env)

    assert (mended.status, mended.out) == (0, WELCOME), mended.err
    assert_failed(failed, 6)
    assert "wrong" not in mended.out + failed.err
    assert len(qwen.service.requests) == 4


def test_p11_only_plain_bodies_are_asked_for(qwen: Served[DashScope], welcome: Path) -> None:
    run("transcribe", welcome, env=qwen.env)

    (call,) = qwen.service.requests
    assert call.headers["accept-encoding"] == "identity"


ODD = {
    "text: null": answer_of(None),
    "text: 5": answer_of(5),
    "no text": {"output": {"choices": [{"message": {"content": [{}]}}]}},
    "message: list": {"output": {"choices": [{"message": []}]}},
    "choices: text": {"output": {"choices": "wrong"}},
    "output: null": {"output": None},
    "[]": [],
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_p18_fields_that_are_missing_or_of_another_type_end_with_9(
    qwen: Served[DashScope], welcome: Path, odd: Any
) -> None:
    qwen.service.failures.add(httpx.Response(200, json=odd), route=GENERATION, times=9)

    ran = run("transcribe", welcome, env=qwen.env)

    assert_failed(ran, 9, "qwen: its answer")
    assert len(qwen.service.requests) == 1


def test_p18_an_odd_answer_is_shown_with_debug_alone_and_without_the_key(
    qwen: Served[DashScope], welcome: Path
) -> None:
    odd = {**answer_of(None), "note": "a canary", "echo": hosts.KEY}
    qwen.service.failures.add(httpx.Response(200, json=odd), route=GENERATION, times=2)

    plain = run("transcribe", "-v", welcome, env=qwen.env)
    debug = run("transcribe", "--debug", welcome, env=qwen.env)

    assert "canary" not in plain.err
    assert "a canary" in debug.err
    assert hosts.KEY not in plain.err + debug.err


def test_p18_of_two_fields_of_one_name_the_last_counts(
    qwen: Served[DashScope], welcome: Path
) -> None:
    twice = json.dumps(answer_of("the last")).replace('{"text": ', '{"text": "the first", "text": ')
    body = httpx.Response(200, headers={"content-type": "application/json"}, text=twice)
    qwen.service.failures.add(body, route=GENERATION)

    ran = run("transcribe", welcome, env=qwen.env)

    assert (ran.status, ran.out) == (0, "the last\n"), ran.err


# --- S: services ----------------------------------------------------------------------------------


def test_s12_a_model_that_the_service_does_not_know_ends_with_2_and_the_nearest_names(
    qwen: Served[DashScope], onemin: Served[OneMin], welcome: Path
) -> None:
    onemin.service.disabled_models.add("whisper-1")

    unknown = run("transcribe", "-m", "qwen3-asr-flash-2031-01-01", welcome, env=qwen.env)
    elsewhere = run("transcribe", "-m", "paraformer-v2", welcome, env=qwen.env)
    disabled = run("transcribe", "-m", "whisper-1", welcome, env=onemin.env)

    assert (unknown.status, elsewhere.status, disabled.status) == (2, 2, 2)
    assert "qwen3-asr-flash, " in unknown.err
    assert "offered in cn: see --region" in elsewhere.err
    assert "paraformer-8k-v2" in elsewhere.err
    assert "qwen3-asr-flash, " in disabled.err


def test_s12_a_path_that_is_not_there_is_told_with_its_url(
    qwen: Served[DashScope], welcome: Path
) -> None:
    env = qwen.env | {"DASHSCOPE_HTTP_BASE_URL": f"{qwen.server.url}/v9"}

    ran = run("transcribe", welcome, env=env)

    assert_failed(ran, 2, f"{qwen.server.url}/v9")


TELL_PEAK = """
import atexit, os
def tell():
    with open("/proc/self/status") as status, open(os.environ["PEAK"], "w") as peak:
        peak.write(next(line for line in status if line.startswith("VmHWM")).split()[1])
leave = os._exit
os._exit = lambda status: (tell(), leave(status))
atexit.register(tell)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="measures memory as Linux tells it")
def test_s18_a_text_of_20_mb_is_written_whole_in_bounded_memory(
    welcome: Path, tmp_path: Path
) -> None:
    service = OpenAI()
    service.text = " ".join(f"word{number:06}" for number in range(1_818_181))
    out, peak = tmp_path / "long.txt", tmp_path / "peak"
    with serve(service) as server:
        env = {"OPENAI_API_KEY": openai_service.KEY, "OPENAI_BASE_URL": f"{server.url}/v1"}
        command = altered(TELL_PEAK)
        words = ["transcribe", "-p", "openai", "-m", "gpt-4o-transcribe"]
        ran = run(*words, welcome, "-o", out, env=env | {"PEAK": str(peak)}, command=command)

    assert ran.status == 0, ran.err
    assert out.read_text() == service.text + "\n"
    assert out.stat().st_size > 20_000_000
    assert int(peak.read_text()) < 300_000


def test_s19_an_answer_that_comes_late_but_before_the_deadline_is_taken(
    qwen: Served[DashScope], welcome: Path
) -> None:
    # As 590 s are to the usual limits: much longer than nothing may be heard of an answer.
    impatient = altered(
        "import functools, asrcli.transport.connection as c\n"
        "c.Connection = functools.partial(c.Connection, idle_timeout=0.2, connect_timeout=1.0)"
    )
    qwen.service.failures.add(Delay(1.2), route=GENERATION)

    ran = run("transcribe", "--timeout", "30", welcome, env=qwen.env, command=impatient)

    assert (ran.status, ran.out) == (0, WELCOME), ran.err
    assert len(qwen.service.requests) == 1


@pytest.mark.parametrize(("times", "status"), [(1, 0), (9, 9)])
def test_s23_an_upload_that_arrives_otherwise_is_repeated_once_then_told(
    qwen: Served[DashScope], welcome: Path, times: int, status: int
) -> None:
    def spoil(request: Received) -> httpx.Response:
        qwen.service.answer(request)
        tag = hashlib.md5(b"other", usedforsecurity=False).hexdigest()
        return httpx.Response(200, headers={"etag": f'"{tag.upper()}"'})

    qwen.service.failures.add(spoil, route="POST /oss-file", times=times)

    ran = run("upload", *FUN, welcome, env=qwen.env)

    uploads = qwen.service.requests.to("POST", "/oss-file/")
    assert len(uploads or qwen.service.requests.to("POST", "/oss-file")) == 2
    assert ran.status == status, ran.err
    assert ran.out.startswith("oss://") if status == 0 else "corrupted on transfer" in ran.err


@pytest.mark.parametrize(("hours", "said"), [(2, "behind"), (-2, "ahead of")])
def test_s24_a_signature_that_a_wrong_clock_spoils_is_told_with_the_difference(
    qwen: Served[DashScope], welcome: Path, hours: int, said: str
) -> None:
    theirs = format_datetime(datetime.now(UTC) + timedelta(hours=hours, minutes=5), usegmt=True)
    denied = "<Error><Code>AccessDenied</Code><Message>Request has expired.</Message></Error>"
    answer = httpx.Response(403, headers={"date": theirs}, text=denied)
    qwen.service.failures.add(answer, route="POST /oss-file", times=9)

    ran = run("upload", *FUN, welcome, env=qwen.env)

    assert_failed(ran, 9, f"clock is {'2 h 0' if hours > 0 else '1 h 5'}", said)


# --- X: what may be seen --------------------------------------------------------------------------

SIGNED = "https://files.example/talk.wav?Expires=1&Signature=hush%2Fhush"


def test_x05_a_signed_url_is_shown_without_its_query_wherever_it_is_told(
    qwen: Served[DashScope], welcome: Path
) -> None:
    qwen.service.sources.fetch = fetch_from({SIGNED: welcome})
    qwen.service.jobs.script = JobScript(pending_polls=0, running_polls=0)
    failing = JobScript(pending_polls=0, running_polls=0, ending="FAILED", message=SIGNED)
    env = qwen.env

    plan = run("transcribe", *FUN, "-n", SIGNED, env=env)
    told = run("transcribe", *FUN, "--debug", "-f", "json", SIGNED, env=env)
    qwen.service.jobs.scripts.append(failing)
    failed = run("transcribe", *FUN, "--debug", "--words", "-l", "en", SIGNED, env=env)
    left = run("transcribe", *FUN, "--detach", "-f", "jsonl", "-l", "ja", SIGNED, env=env)
    listed = run("jobs", "list", "--json", "--all", env=env)

    assert (told.status, failed.status, left.status, listed.status) == (0, 9, 0, 0), failed.err
    assert any(SIGNED in request.content.decode() for request in qwen.service.requests)
    for ran in (plan, told, failed, left, listed):
        assert "hush" not in ran.out + ran.err
        assert "files.example/" in ran.out + ran.err


def test_x08_what_an_upload_answer_names_stays_a_name_at_the_service(
    onemin: Served[OneMin], welcome: Path, tmp_path: Path
) -> None:
    body = {"fileContent": {"path": "../../../" + str(tmp_path / "planted.wav")}}
    onemin.service.failures.add(httpx.Response(200, json=body), route="POST /api/assets", times=9)
    before = sorted(tmp_path.rglob("*"))

    ran = run("transcribe", "-o", tmp_path / "out.txt", welcome, env=onemin.env)

    assert ran.status != 0
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["../up.wav", "https://files.example/..%2f..%2fup.wav"])
def test_x08_results_stay_in_the_folder_that_was_named(
    qwen: Served[DashScope], welcome: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / "in").mkdir()
    welcome.rename(tmp_path / "up.wav")
    qwen.service.sources.fetch = fetch_from({name: tmp_path / "up.wav"})
    listed = f"{name}\n".encode()

    words = ["transcribe", "-m", "qwen3-asr-flash", "--files-from", "-", "-o", "out/"]
    ran = run(*words, env=qwen.env, cwd=tmp_path / "in", stdin=listed)

    assert ran.status == 0, ran.err
    made = [path for path in tmp_path.rglob("*.txt") if path.is_file()]
    assert [path.parent for path in made] == [tmp_path / "in" / "out"]


PLACES = (
    "http://results.example/x.json",
    "file:///etc/passwd",
    "https://169.254.169.254/latest/meta-data",
    "https://user:pw@results.example/x.json",
    "gopher://results.example:70/x",
    "https://results.example:0/x",
)


@pytest.mark.parametrize("place", PLACES)
def test_x10_a_result_at_a_place_where_no_result_is_ends_with_9(
    qwen: Served[DashScope], welcome: Path, place: str
) -> None:
    def planted(request: Received) -> httpx.Response:
        usual = qwen.service.answer(request)
        body = json.loads(usual.content)
        for part in body["output"].get("results", ()):
            part["transcription_url"] = place
        return httpx.Response(200, json=body)

    qwen.service.jobs.script = JobScript(pending_polls=0, running_polls=0)
    qwen.service.failures.add(planted, route="GET /api/v1/tasks/?*", times=99)

    ran = run("transcribe", *FUN, "--retries", "0", welcome, env=qwen.env)

    assert ran.status in {6, 9}, ran.err
    assert ran.out == ""
    assert "root:" not in ran.err
    assert "pw@" not in ran.err


BUG = """
import asrcli.output.writers as w
def broken(kind, transcript, **options):
    text = transcript.text
    raise ZeroDivisionError(text)
w.render = broken
import asrcli.cli.results as r
for name, value in list(vars(r).items()):
    if name == "render":
        r.render = broken
"""


def test_x16_a_crash_tells_neither_text_nor_key_nor_path(
    qwen: Served[DashScope], welcome: Path
) -> None:
    ran = run("transcribe", welcome, env=qwen.env, command=altered(BUG))

    assert_failed(ran, 1, "a bug: ZeroDivisionError in ", "report")
    assert "morning" not in ran.err
    assert hosts.KEY not in ran.err
    assert str(welcome.parent) not in ran.err
    assert str(Path.home()) not in ran.err
    assert "/asrcli/" not in ran.err
