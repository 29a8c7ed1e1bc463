"""What every provider must do, run over all of them in front of their emulated services.

`qwen-stream` is Qwen Cloud with text asked for while it is still coming, `qwen-flash` its newer
synchronous call. `local` has no service: of it only the words are asked.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest

from asrcli.errors import (
    AsrError,
    KeyRefusedError,
    MissingHelperError,
    NetworkError,
    RateLimitedError,
    RedirectError,
    ServiceError,
    UnexpectedAnswerError,
)
from asrcli.media.audio import AudioFile
from asrcli.media.probe import probe
from asrcli.providers.base import Model, OnText, Options, Provider
from asrcli.providers.catalogue import resolve
from asrcli.providers.local import Local, available
from asrcli.transcript import Transcript
from asrcli.transport.retry import Retrier
from tests.emulators import onemin_errors
from tests.emulators.dashscope import faults
from tests.emulators.dashscope.app import DashScope
from tests.emulators.dashscope.hosts import KEY as QWEN_KEY
from tests.emulators.onemin import KEY as ONEMIN_KEY
from tests.emulators.onemin import OneMin
from tests.emulators.service import Emulator, Received
from tests.emulators.troubles import After, Drop
from tests.providers.calling import Time, audio_of, onemin, qwen, words
from tests.recordings import RECORDINGS, Recording, encode_as, recording

NETWORK = ("onemin", "qwen", "qwen-stream", "qwen-flash", "qwen-flash-stream")
FORMATS = (
    "aac", "aiff", "amr", "avi", "flac", "flv", "m4a", "mkv",
    "mp3", "mpeg", "ogg", "opus", "wav", "webm", "wma", "wmv",
)  # fmt: skip
FLASH = "fun-asr-flash-2026-06-15"
WELCOME = recording("welcome")
PLAIN = Options()
TWICE = "sent twice after an unclear failure: it may have been charged twice"


class Making(Protocol):
    def __call__(
        self, service: Any, *, retrier: Retrier | None = None, key: str = ...
    ) -> Provider: ...


@dataclass
class Bench:
    """A provider, its service, and how this service says things."""

    name: str
    service: Emulator
    time: Time
    make: Making
    """A provider of the same kind with another key or another retrier."""
    provider: Provider
    model: Model
    key: str
    path: str
    """Of the call that recognizes, and costs."""
    billed: Callable[[Path], int]
    limited: Callable[[str | None], Any]
    """429, with a `Retry-After` or without."""
    failing: Any
    """500."""
    lost: Any
    """A gateway that lost sight of the service."""
    unhappy: Callable[[str], Any]
    """An error in an answer that says 200; it holds the given text."""
    on_text: OnText | None = None

    @property
    def route(self) -> str:
        return f"POST {self.path}"

    @property
    def calls(self) -> list[Received]:
        return self.service.requests.to("POST", self.path)

    def transcribe(
        self, audio: AudioFile, options: Options = PLAIN, *, by: Provider | None = None
    ) -> Transcript:
        provider = by or self.provider
        return provider.transcribe(audio, self.model, options, on_text=self.on_text)


def onemin_bench(time: Time) -> Bench:
    service = OneMin(clock=time.clock)

    def make(service: Any, *, retrier: Retrier | None = None, key: str = ONEMIN_KEY) -> Provider:
        return onemin(service, time=time, retrier=retrier, key=key)

    return Bench(
        name="onemin",
        service=service,
        time=time,
        make=make,
        provider=make(service),
        model=resolve("qwen3-asr-flash", provider="onemin"),
        key=ONEMIN_KEY,
        path="/api/features",
        billed=service.billed,
        limited=lambda seconds: onemin_errors.rate_limited(header=seconds),
        failing=onemin_errors.server_error(),
        lost=onemin_errors.gateway_page(504),
        unhappy=lambda text: onemin_errors.coded(200, "BROKEN", text),
    )


def qwen_bench(time: Time, *, stream: bool = False, model: str = "qwen3-asr-flash") -> Bench:
    service = DashScope(clock=time.clock)

    def make(service: Any, *, retrier: Retrier | None = None, key: str = QWEN_KEY) -> Provider:
        return qwen(service, time=time, retrier=retrier, key=key)

    return Bench(
        name="qwen-stream" if stream else "qwen",
        service=service,
        time=time,
        make=make,
        provider=make(service),
        model=resolve(model, provider="qwen"),
        key=QWEN_KEY,
        path="/api/v1/services/aigc/multimodal-generation/generation",
        billed=service.billed,
        limited=lambda seconds: faults.rate_quota(retry_after=seconds),
        failing=faults.internal_error(),
        lost=faults.gateway_timeout(),
        unhappy=lambda text: faults.failed_in_ok("DataInspectionFailed", text),
        on_text=(lambda _: None) if stream else None,
    )


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture(params=NETWORK)
def bench(request: pytest.FixtureRequest, time: Time) -> Iterator[Bench]:
    makers = {
        "onemin": lambda: onemin_bench(time),
        "qwen": lambda: qwen_bench(time),
        "qwen-stream": lambda: qwen_bench(time, stream=True),
        "qwen-flash": lambda: qwen_bench(time, model=FLASH),
        "qwen-flash-stream": lambda: qwen_bench(time, stream=True, model=FLASH),
    }
    bench = makers[request.param]()
    yield bench
    bench.provider.close()
    if isinstance(bench.service, DashScope):
        bench.service.close()


@pytest.fixture
def audio() -> AudioFile:
    return audio_of(WELCOME)


# --- words ------------------------------------------------------------------------------------


@pytest.mark.parametrize("spoken", RECORDINGS, ids=lambda r: r.name)
def test_a_recording_comes_back_with_its_words(bench: Bench, spoken: Recording) -> None:
    transcript = bench.transcribe(probe(spoken.path))

    assert transcript.text == spoken.text
    assert transcript.provider == bench.provider.name
    assert transcript.model == bench.model.id
    assert transcript.duration == pytest.approx(spoken.seconds, abs=0.01)
    assert transcript.request_ids
    assert transcript.warnings == ()
    assert bench.billed(spoken.path) == 1


@pytest.fixture(scope="module")
def local() -> Iterator[Local]:
    provider = Local(workers=1)
    yield provider
    provider.close()


@pytest.mark.parametrize("name", ["welcome", "number"])
def test_the_embedded_engine_finds_the_words_too(local: Local, name: str) -> None:
    spoken = recording(name)
    if available() is not None:  # there is no wheel for every Python
        with pytest.raises(MissingHelperError):
            local.transcribe(probe(spoken.path), resolve("local"), PLAIN)
        return

    transcript = local.transcribe(probe(spoken.path), resolve("local"), PLAIN)

    assert words(transcript.text) == words(spoken.heard)
    assert transcript.provider == "local"
    assert transcript.duration == pytest.approx(spoken.seconds, abs=0.01)
    assert_times_rise(transcript)
    assert transcript.timed


@pytest.mark.parametrize("container", FORMATS)
def test_each_format_that_the_model_takes_is_sent_as_it_is_and_heard_to_the_word(
    bench: Bench, container: str, formats: dict[str, Path]
) -> None:
    found = probe(formats[container])
    assert found.container == container
    if (bench.model.id, container) == (FLASH, "aiff"):
        assert container not in bench.model.formats
        return
    assert container in bench.model.formats

    transcript = bench.transcribe(found)

    assert transcript.text == recording("bridge").text
    assert bench.billed(formats[container]) == 1
    assert_times_rise(transcript)


@pytest.fixture(scope="module")
def formats(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("formats")
    return {name: encode_as(recording("bridge").path, name, folder) for name in FORMATS}


def assert_times_rise(transcript: Transcript) -> None:
    """Absent, or rising and within the recording; words too."""
    times = [t for s in transcript.segments for t in (s.start, s.end)]
    if None in times:
        assert set(times) == {None}
        assert all(not segment.words for segment in transcript.segments)
        return
    known = [t for t in times if t is not None]
    inner = [t for s in transcript.segments for w in s.words for t in (w.start, w.end)]
    for row in (known, inner):
        assert all(earlier <= later for earlier, later in itertools.pairwise(row))
        assert all(0 <= t <= (transcript.duration or math.inf) + 0.01 for t in row)


# --- keys -------------------------------------------------------------------------------------


def test_a_wrong_key_is_refused_at_once(bench: Bench, audio: AudioFile) -> None:
    wrong = "sk-wrong-0123456789"

    with pytest.raises(KeyRefusedError) as caught:
        bench.transcribe(audio, by=bench.make(bench.service, key=wrong))

    assert caught.value.exit_status == 4
    assert caught.value.stops_run
    assert caught.value.http_status == 401
    assert "was refused" in str(caught.value)
    assert "API_KEY" in str(caught.value)
    assert wrong not in str(caught.value)
    assert len(bench.service.requests) == 1


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 429, 500])
def test_a_service_that_repeats_the_key_does_not_make_us_show_it(
    bench: Bench, audio: AudioFile, status: int
) -> None:
    def echo(request: Received) -> httpx.Response:
        said = ", ".join(f"{name}: {value}" for name, value in request.headers.items())
        body = {"code": f"Bad.{bench.key}", "errorCode": bench.key, "message": said,
                "request_id": bench.key, "error": bench.key}  # fmt: skip
        return httpx.Response(status, json=body)

    bench.service.failures.add(echo, route=bench.route, times=99)

    with pytest.raises(AsrError) as caught:
        bench.transcribe(audio)

    shown = [str(caught.value), repr(caught.value), caught.value.hint, caught.value.code]
    assert bench.key not in str(shown)


# --- redirects --------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_nothing_goes_to_the_second_host(
    bench: Bench, audio: AudioFile, status: int
) -> None:
    elsewhere = onemin_errors.redirect("https://elsewhere.example/take", status)
    bench.service.failures.add(elsewhere, route=bench.route, times=99)

    with pytest.raises(RedirectError, match=r"redirected to elsewhere\.example") as caught:
        bench.transcribe(audio)

    assert caught.value.exit_status == 9
    assert len(bench.calls) == 1
    assert "elsewhere.example" not in {r.url.host for r in bench.service.requests}


# --- limits -----------------------------------------------------------------------------------


def test_a_rate_limit_is_waited_for_as_long_as_the_service_says(
    bench: Bench, audio: AudioFile
) -> None:
    bench.service.failures.add(bench.limited("7"), route=bench.route)

    transcript = bench.transcribe(audio)

    assert transcript.text == WELCOME.text
    assert transcript.warnings == ()
    assert sum(bench.time.waits) == pytest.approx(7.0)
    assert bench.billed(WELCOME.path) == 1


@pytest.mark.parametrize("header", ["soon", "nan", "-5", "", "1_0"])
def test_a_wait_that_is_nonsense_becomes_one_of_our_own(
    bench: Bench, audio: AudioFile, header: str
) -> None:
    bench.service.failures.add(bench.limited(header), route=bench.route)

    assert bench.transcribe(audio).text == WELCOME.text
    assert sum(bench.time.waits) == pytest.approx(1.0)


def test_a_rate_limit_that_does_not_end_is_given_up(bench: Bench, audio: AudioFile) -> None:
    bench.service.failures.add(bench.limited(None), route=bench.route, times=math.inf)

    with pytest.raises(RateLimitedError) as caught:
        bench.transcribe(audio)

    assert caught.value.exit_status == 5
    assert caught.value.stops_run
    assert caught.value.retryable
    assert caught.value.http_status == 429
    assert len(bench.calls) == 5
    assert not caught.value.possible_duplicate


@pytest.mark.parametrize("retries", [0, 2])
def test_as_many_tries_are_made_as_are_allowed(
    bench: Bench, audio: AudioFile, retries: int
) -> None:
    bench.service.failures.add(bench.failing, route=bench.route, times=math.inf)
    provider = bench.make(bench.service, retrier=bench.time.retrier(retries=retries))

    with pytest.raises(ServiceError) as caught:
        bench.transcribe(audio, by=provider)

    assert caught.value.exit_status == 9
    assert caught.value.http_status == 500
    assert len(bench.calls) == 1 + retries
    assert bench.billed(WELCOME.path) == 0


def test_a_service_that_failed_is_asked_again(bench: Bench, audio: AudioFile) -> None:
    bench.service.failures.add(bench.failing, route=bench.route, times=4)

    transcript = bench.transcribe(audio)

    assert transcript.text == WELCOME.text
    assert transcript.warnings == ()
    assert bench.billed(WELCOME.path) == 1


# --- unclear failures -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "trouble",
    [Drop(), Drop("close"), Drop("stall"), httpx.ReadTimeout("timed out")],
    ids=["reset", "closed", "stalled", "time-out"],
)
def test_after_an_unclear_failure_a_call_is_sent_once_more_and_marked(
    bench: Bench, audio: AudioFile, trouble: Any
) -> None:
    bench.service.failures.add(After(trouble), route=bench.route)

    transcript = bench.transcribe(audio)

    assert transcript.text == WELCOME.text
    assert transcript.warnings == (TWICE,)
    assert len(bench.calls) == 2
    assert bench.billed(WELCOME.path) == 2


@pytest.mark.parametrize(
    "trouble",
    [Drop(), Drop("close"), Drop("stall"), httpx.ReadTimeout("timed out")],
    ids=["reset", "closed", "stalled", "time-out"],
)
def test_a_second_unclear_failure_is_the_last(bench: Bench, audio: AudioFile, trouble: Any) -> None:
    bench.service.failures.add(After(trouble), route=bench.route, times=math.inf)

    with pytest.raises(NetworkError) as caught:
        bench.transcribe(audio)

    assert caught.value.exit_status == 6
    assert caught.value.possible_duplicate
    assert len(bench.calls) == 2
    assert bench.billed(WELCOME.path) == 2


def test_a_gateway_that_lost_the_service_is_an_unclear_failure(
    bench: Bench, audio: AudioFile
) -> None:
    bench.service.failures.add(After(bench.lost), route=bench.route, times=math.inf)

    with pytest.raises(ServiceError) as caught:
        bench.transcribe(audio)

    assert caught.value.exit_status == 9
    assert caught.value.possible_duplicate
    assert bench.billed(WELCOME.path) == 2


def test_a_failure_before_and_one_after_an_unclear_one_do_not_allow_a_third_call(
    bench: Bench, audio: AudioFile
) -> None:
    bench.service.failures.add(
        bench.failing, After(Drop()), bench.failing, After(Drop()), route=bench.route
    )

    with pytest.raises(NetworkError) as caught:
        bench.transcribe(audio)

    assert caught.value.possible_duplicate
    assert len(bench.calls) == 4
    assert bench.billed(WELCOME.path) == 2


def test_a_connection_that_was_never_made_is_tried_again_without_a_mark(
    bench: Bench, audio: AudioFile
) -> None:
    bench.service.failures.add(httpx.ConnectError("refused"), route=bench.route, times=2)

    transcript = bench.transcribe(audio)

    assert transcript.text == WELCOME.text
    assert transcript.warnings == ()
    assert bench.billed(WELCOME.path) == 1


def test_p10_an_answer_whose_end_nobody_can_see_is_unclear_until_it_is_whole(
    bench: Bench, audio: AudioFile
) -> None:
    # Neither length nor chunks: the connection ends, and 200 says that all is well.
    def half(request: Received) -> httpx.Response:
        usual = bench.service.answer(request)
        content = usual.read()[:90]
        kind = {"content-type": usual.headers["content-type"]}
        return httpx.Response(200, headers=kind, stream=httpx.ByteStream(content))

    bench.service.failures.add(half, route=bench.route)

    transcript = bench.transcribe(audio)

    assert transcript.text == WELCOME.text
    assert transcript.warnings == (TWICE,)
    assert len(bench.calls) == 2


def test_an_answer_that_breaks_off_is_an_unclear_failure(bench: Bench, audio: AudioFile) -> None:
    bench.service.failures.add(Drop("close", writing=40), route=bench.route)

    transcript = bench.transcribe(audio)

    assert transcript.text == WELCOME.text
    assert transcript.warnings == (TWICE,)


# --- answers that mean nothing ----------------------------------------------------------------


def response(body: str, *, kind: str = "application/json") -> httpx.Response:
    content = body.encode()
    headers = {"content-type": kind, "content-length": str(len(content))}
    return httpx.Response(200, content=content, headers=headers)


NONSENSE = {
    "page": response("<!DOCTYPE html><html><body>Welcome</body></html>", kind="text/html"),
    "text": response("OK", kind="text/plain"),
    "empty": response(""),
    "cut": response('{"aiRecord": {"status": "SUCCESS", "output": {"choices": [{"mess'),
    "nested": response("[" * 100_000),
    "digits": response('{"aiRecord": ' + "9" * 5_000 + "}"),
    "null": response("null"),
    "number": response("42"),
    "list": response("[]"),
    "string": response('"text"'),
    "object": response("{}"),
    "wrong types": response('{"aiRecord": 5, "output": 5, "request_id": 7, "usage": "x"}'),
    "wrong types inside": response(
        json.dumps(
            {
                "aiRecord": {"status": "SUCCESS", "uuid": 5, "aiRecordDetail": [5]},
                "output": {"choices": [{"finish_reason": "stop", "message": 5}]},
            }
        )
    ),
    "no text": response(
        json.dumps(
            {
                "aiRecord": {
                    "status": "SUCCESS",
                    "aiRecordDetail": {"resultObject": [{"text": None}]},
                },
                "output": {
                    "choices": [{"finish_reason": "stop", "message": {"content": [{"text": None}]}}]
                },
            }
        )
    ),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_p18_an_answer_that_means_nothing_is_unexpected_and_not_asked_for_again(
    bench: Bench, audio: AudioFile, name: str
) -> None:
    bench.service.failures.add(NONSENSE[name], route=bench.route, times=99)

    with pytest.raises(UnexpectedAnswerError) as caught:
        bench.transcribe(audio)

    assert caught.value.exit_status == 9
    assert caught.value.http_status == 200
    assert len(bench.calls) == 1
    assert "<" not in str(caught.value)


def test_an_error_in_an_answer_that_says_200_is_an_error(bench: Bench, audio: AudioFile) -> None:
    bench.service.failures.add(bench.unhappy("this will not do"), route=bench.route, times=99)

    with pytest.raises(ServiceError, match="this will not do") as caught:
        bench.transcribe(audio)

    assert caught.value.exit_status == 9
    assert caught.value.code is not None
    assert len(bench.calls) == 1


def test_the_reason_is_told_once_and_on_one_line(bench: Bench, audio: AudioFile) -> None:
    bench.service.failures.add(bench.unhappy("this\nwill\r\nnot\tdo"), route=bench.route)

    with pytest.raises(ServiceError) as caught:
        bench.transcribe(audio)

    assert str(caught.value).count("this will not do") == 1


def test_the_id_of_a_request_that_failed_is_kept(bench: Bench, audio: AudioFile) -> None:
    def failing(_: Received) -> httpx.Response:
        headers = {"x-request-id": "req-5f0c2e9a"}
        return httpx.Response(400, headers=headers, json={"code": "X", "message": "no"})

    bench.service.failures.add(failing, route=bench.route)

    with pytest.raises(ServiceError, match="request req-5f0c2e9a") as caught:
        bench.transcribe(audio)

    assert caught.value.request_id == "req-5f0c2e9a"


# --- giving up --------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["limited", "failing", "unclear"])
def test_a_run_that_is_given_up_stops_waiting(bench: Bench, audio: AudioFile, what: str) -> None:
    answers = {"limited": bench.limited("100"), "failing": bench.failing, "unclear": Drop()}
    bench.service.failures.add(answers[what], route=bench.route, times=math.inf)
    waits = bench.time.waits
    provider = bench.make(bench.service, retrier=bench.time.retrier(cancelled=lambda: bool(waits)))

    with pytest.raises(AsrError):
        bench.transcribe(audio, by=provider)

    assert len(bench.calls) == 1
    assert sum(waits) <= 0.25


def test_a_run_that_was_given_up_before_sends_nothing(bench: Bench, audio: AudioFile) -> None:
    provider = bench.make(bench.service, retrier=bench.time.retrier(cancelled=lambda: True))

    with pytest.raises(NetworkError) as caught:
        bench.transcribe(audio, by=provider)

    assert caught.value.code == "cancelled"
    assert bench.service.requests == []
