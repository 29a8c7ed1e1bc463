"""Qwen Cloud as a whole, in front of the emulated service."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from asrcli.errors import (
    AsrError,
    KeyRefusedError,
    NetworkError,
    RateLimitedError,
    RefusedError,
    RightsError,
    ServiceError,
    UsageError,
)
from asrcli.media.audio import AudioFile
from asrcli.providers.base import API, Model, Options, Reference
from asrcli.providers.catalogue import resolve
from asrcli.providers.qwen.flash import encoded_size
from asrcli.providers.qwen.provider import Qwen
from tests.emulators.dashscope import faults
from tests.emulators.dashscope.app import DashScope
from tests.emulators.dashscope.hosts import KEY, Key
from tests.emulators.dashscope.sources import fetch_from
from tests.emulators.service import Received
from tests.emulators.troubles import After, Drop
from tests.providers.calling import INTL, Time, audio_of, qwen
from tests.recordings import recording, silence

PATH = "/api/v1/services/aigc/multimodal-generation/generation"
CALL = f"POST {PATH}"
RESOLVE = "x-dashscope-ossresourceresolve"
WELCOME = recording("welcome")
LESSON = recording("lesson")
URL = "https://files.example/talks/welcome.wav"
TWICE = "sent twice after an unclear failure: it may have been charged twice"


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def service(time: Time) -> Iterator[DashScope]:
    service = DashScope(clock=time.clock, fetch=fetch_from({URL: WELCOME.path}))
    yield service
    service.close()


@pytest.fixture
def provider(service: DashScope, time: Time) -> Qwen:
    return qwen(service, time=time)


@pytest.fixture
def model() -> Model:
    return resolve("qwen3-asr-flash", provider="qwen")


@pytest.fixture
def audio() -> AudioFile:
    return audio_of(WELCOME)


def calls(service: DashScope) -> list[Received]:
    return service.requests.to("POST", PATH)


def location_of(call: Received) -> str:
    location: str = call.json["input"]["messages"][-1]["content"][0]["audio"]
    return location


# --- one call -----------------------------------------------------------------------------------


def test_a_short_file_is_sent_inside_the_request(
    provider: Qwen, service: DashScope, model: Model, audio: AudioFile
) -> None:
    transcript = provider.transcribe(audio, model, Options())

    assert transcript.text == WELCOME.text
    assert (transcript.language, transcript.segments[0].emotion) == ("en", "neutral")
    assert transcript.duration == WELCOME.seconds
    assert transcript.billed_seconds == 6.0
    assert transcript.request_ids == (service.ledger.charges[0].request_id,)
    (call,) = service.requests
    assert call.route == CALL
    assert call.url.host == "dashscope-intl.aliyuncs.com"
    assert call.headers["authorization"] == f"Bearer {KEY}"
    assert location_of(call).startswith("data:audio/wav;base64,")
    assert RESOLVE not in call.headers
    assert "x-dashscope-sse" not in call.headers
    assert "x-dashscope-workspace" not in call.headers


def test_a_workspace_on_a_shared_host_is_named_in_a_header_of_every_call(
    time: Time, model: Model, audio: AudioFile
) -> None:
    service = DashScope(keys=[Key(subworkspaces=frozenset({"llm-sub"}))], clock=time.clock)
    provider = qwen(service, hosts=replace(INTL, workspace="llm-sub"))

    provider.transcribe(audio, replace(model, max_encoded_bytes=1), Options())

    assert [r.headers.get("x-dashscope-workspace") for r in service.requests] == [
        "llm-sub",
        None,  # the object store
        "llm-sub",
    ]
    service.close()


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        (Options(), {}),
        (Options(language="en"), {"asr_options": {"language": "en"}}),
        (Options(itn=False), {"asr_options": {"enable_itn": False}}),
    ],
)
def test_nothing_is_sent_that_was_not_asked_for(
    provider: Qwen,
    service: DashScope,
    model: Model,
    audio: AudioFile,
    options: Options,
    parameters: dict[str, Any],
) -> None:
    provider.transcribe(audio, model, options)

    body = calls(service)[0].json
    assert body["parameters"] == parameters
    assert [message["role"] for message in body["input"]["messages"]] == ["user"]


def test_itn_is_the_services_to_do(provider: Qwen, model: Model) -> None:
    audio = audio_of(LESSON)

    plain = provider.transcribe(audio, model, Options(itn=False)).text
    normalized = provider.transcribe(audio, model, Options(itn=True)).text

    assert "half past ten." in plain
    assert "half past 10." in normalized


def test_a_prompt_goes_before_the_audio(
    provider: Qwen, service: DashScope, model: Model, audio: AudioFile
) -> None:
    provider.transcribe(audio, model, Options(prompt="A greeting."))

    messages = calls(service)[0].json["input"]["messages"]
    assert messages[0] == {"role": "system", "content": [{"text": "A greeting."}]}
    assert [message["role"] for message in messages] == ["system", "user"]


def test_silence_is_an_empty_transcript(provider: Qwen, model: Model, tmp_path: Path) -> None:
    path = silence(2.0, tmp_path / "silence.wav")

    transcript = provider.transcribe(audio_of(WELCOME, path), model, Options())

    assert (transcript.segments, transcript.text) == ((), "")


def test_a_model_of_another_kind_is_refused_before_anything_is_sent(
    provider: Qwen, service: DashScope, model: Model, audio: AudioFile
) -> None:
    with pytest.raises(UsageError, match="this version"):
        provider.transcribe(audio, replace(model, api=API.TASK), Options())

    assert service.requests == []


# --- where the audio is -------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("above", [0, 1])
def test_a_file_is_inside_the_request_up_to_the_limit_and_uploaded_above_it(
    provider: Qwen,
    service: DashScope,
    model: Model,
    audio: AudioFile,
    above: int,
    stream: bool,
) -> None:
    model = replace(model, max_encoded_bytes=encoded_size(audio) - above)
    on_text = (lambda _: None) if stream else None

    transcript = provider.transcribe(audio, model, Options(), on_text=on_text)

    assert transcript.text == WELCOME.text
    assert transcript.duration == WELCOME.seconds
    (call,) = calls(service)
    if above:
        assert location_of(call) == f"oss://{next(iter(service.uploads.objects))}"
        assert call.headers[RESOLVE] == "enable"
    else:
        assert len(location_of(call)) == model.max_encoded_bytes
        assert RESOLVE not in call.headers


def test_what_was_uploaded_is_recognized_by_its_reference(
    provider: Qwen, service: DashScope, model: Model, audio: AudioFile
) -> None:
    reference = provider.upload(audio, model)

    transcript = provider.transcribe(reference, model, Options())

    assert transcript.text == WELCOME.text
    assert transcript.duration is None
    assert str(reference).startswith("oss://dashscope-instant/")
    assert calls(service)[0].headers[RESOLVE] == "enable"


def test_a_url_is_handed_on_untouched(provider: Qwen, service: DashScope, model: Model) -> None:
    transcript = provider.transcribe(Reference(None, URL), model, Options())

    assert transcript.text == WELCOME.text
    assert location_of(calls(service)[0]) == URL
    assert RESOLVE not in calls(service)[0].headers


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("https://h.example/a b.wav", "https://h.example/a%20b.wav"),
        ("https://h.example/für.wav?x=ü", "https://h.example/f%C3%BCr.wav?x=%C3%BC"),
        (
            "https://h.example/a%20b.wav?Signature=a%2Bb%3D&x=1,2;3~'(*)!",
            "https://h.example/a%20b.wav?Signature=a%2Bb%3D&x=1,2;3~'(*)!",
        ),
    ],
)
def test_a_url_is_percent_encoded_once(time: Time, model: Model, given: str, sent: str) -> None:
    service = DashScope(clock=time.clock, fetch=fetch_from({sent: WELCOME.path}))

    transcript = qwen(service).transcribe(Reference(None, given), model, Options())

    assert transcript.text == WELCOME.text
    service.close()


def test_a_reference_of_another_model_is_refused_as_an_input(
    provider: Qwen, service: DashScope, model: Model, audio: AudioFile
) -> None:
    reference = provider.upload(audio, replace(model, id="qwen3-asr-flash-2026-02-10"))

    with pytest.raises(AsrError) as caught:
        provider.transcribe(reference, model, Options())

    assert caught.value.exit_status == 7


def test_an_uploaded_file_is_not_uploaded_again_when_the_call_fails(
    provider: Qwen, service: DashScope, model: Model, audio: AudioFile
) -> None:
    service.failures.add(faults.internal_error(), Drop(), route=CALL)

    transcript = provider.transcribe(audio, replace(model, max_encoded_bytes=1), Options())

    assert transcript.text == WELCOME.text
    assert len(service.uploads.objects) == 1
    assert len(calls(service)) == 3


# --- keys -----------------------------------------------------------------------------------------


def test_a_key_of_another_region_is_told_where_it_was_found_and_what_may_help(
    time: Time, model: Model, audio: AudioFile
) -> None:
    service = DashScope(keys=[Key(region="cn-beijing")], clock=time.clock)

    with pytest.raises(KeyRefusedError) as caught:
        qwen(service).transcribe(audio, model, Options())

    assert "the key from DASHSCOPE_API_KEY was refused" in str(caught.value)
    assert "--region" in (caught.value.hint or "")
    assert KEY not in str(caught.value)
    assert len(service.requests) == 1
    service.close()


@pytest.mark.parametrize("encoded", [10_000_000, 1])
def test_a_key_without_rights_is_told_for_which_model_and_where(
    provider: Qwen, service: DashScope, model: Model, audio: AudioFile, encoded: int
) -> None:
    service.failures.append(faults.model_access_denied())

    with pytest.raises(RightsError) as caught:
        provider.transcribe(audio, replace(model, max_encoded_bytes=encoded), Options())

    assert "[qwen3-asr-flash at https://dashscope-intl.aliyuncs.com/api/v1]" in str(caught.value)
    assert caught.value.request_id is not None


# --- streams --------------------------------------------------------------------------------------


def test_a_stream_gives_the_text_as_it_grows_and_the_same_transcript(
    provider: Qwen, service: DashScope, model: Model, audio: AudioFile
) -> None:
    texts: list[str] = []

    streamed = provider.transcribe(audio, model, Options(), on_text=texts.append)
    whole = provider.transcribe(audio, model, Options())

    assert texts[:3] == ["", "Good", "Good morning,"]
    assert texts[-1] == WELCOME.text
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(texts))
    assert replace(streamed, request_ids=()) == replace(whole, request_ids=())
    call = calls(service)[0]
    assert call.headers["x-dashscope-sse"] == "enable"
    assert call.headers["accept"] == "text/event-stream"
    assert call.json["parameters"]["incremental_output"] is True


def test_a_stream_is_told_while_it_comes(model: Model, audio: AudioFile) -> None:
    # The second event is made only after the text of the first one was told.
    texts: list[str] = []
    seen: list[list[str]] = []

    def frames() -> Iterator[bytes]:
        for text, end in (("Hello,", "null"), (" you.", "stop")):
            seen.append(list(texts))
            yield _frame(text, end)

    headers = {"content-type": "text/event-stream"}
    provider = qwen(lambda _: httpx.Response(200, headers=headers, content=frames()))

    provider.transcribe(audio, model, Options(), on_text=texts.append)

    assert seen == [[], ["Hello,"]]
    assert texts == ["Hello,", "Hello, you."]


def _frame(text: str, end: str) -> bytes:
    message = {"role": "assistant", "content": [{"text": text}]}
    body = {"output": {"choices": [{"finish_reason": end, "message": message}]}}
    return f"event:result\n:HTTP_STATUS/200\ndata:{json.dumps(body)}\n\n".encode()


@pytest.mark.parametrize("events", [0, 1, 2, 5])
def test_a_stream_that_is_cut_is_asked_for_once_more_and_marked(
    provider: Qwen, service: DashScope, model: Model, audio: AudioFile, events: int
) -> None:
    texts: list[str] = []
    service.failures.add(faults.cut_stream(service, events=events), route=CALL)

    transcript = provider.transcribe(audio, model, Options(), on_text=texts.append)

    assert transcript.text == WELCOME.text
    assert transcript.warnings == (TWICE,)
    assert len(calls(service)) == 2
    assert texts[-1] == WELCOME.text


def test_a_stream_that_is_cut_again_is_given_up_and_marked(
    provider: Qwen, service: DashScope, model: Model, audio: AudioFile
) -> None:
    service.failures.add(faults.cut_stream(service), route=CALL, times=9)

    with pytest.raises(NetworkError) as caught:
        provider.transcribe(audio, model, Options(), on_text=lambda _: None)

    assert caught.value.exit_status == 6
    assert caught.value.possible_duplicate
    assert len(calls(service)) == 2
    assert service.billed(WELCOME.path) == 2


@pytest.mark.parametrize("first", [Drop(), After(Drop()), "cut"])
def test_whatever_was_unclear_first_a_stream_is_sent_twice_at_most(
    provider: Qwen, service: DashScope, model: Model, audio: AudioFile, first: Any
) -> None:
    cut = faults.cut_stream(service)
    service.failures.add(cut if first == "cut" else first, cut, route=CALL)

    with pytest.raises(NetworkError):
        provider.transcribe(audio, model, Options(), on_text=lambda _: None)

    assert len(calls(service)) == 2


def test_a_stream_that_ends_in_silence_before_its_last_event_counts_as_cut(
    provider: Qwen, service: DashScope, model: Model, audio: AudioFile
) -> None:
    # The connection ends as it should; only the service's own mark of the end is missing.
    def without_end(request: Received) -> httpx.Response:
        pieces = list(service.answer(request).iter_raw())
        headers = {"content-type": "text/event-stream", "transfer-encoding": "chunked"}
        return httpx.Response(200, headers=headers, content=iter(pieces[:-1]))

    service.failures.add(without_end, route=CALL)

    transcript = provider.transcribe(audio, model, Options(), on_text=lambda _: None)

    assert transcript.text == WELCOME.text
    assert transcript.warnings == (TWICE,)


def test_an_error_within_a_stream_counts_as_unclear(
    provider: Qwen, service: DashScope, model: Model, audio: AudioFile
) -> None:
    service.failures.add(faults.error_in_stream(service, events=3), route=CALL, times=9)

    with pytest.raises(ServiceError, match="Internal server error!") as caught:
        provider.transcribe(audio, model, Options(), on_text=lambda _: None)

    assert caught.value.possible_duplicate
    assert caught.value.request_id is not None
    assert len(calls(service)) == 2


def test_an_error_in_place_of_a_stream_is_tried_again_as_any_other(
    provider: Qwen, service: DashScope, model: Model, audio: AudioFile
) -> None:
    service.failures.add(faults.error_in_stream(service, events=0), route=CALL, times=4)

    transcript = provider.transcribe(audio, model, Options(), on_text=lambda _: None)

    assert transcript.text == WELCOME.text
    assert transcript.warnings == ()
    assert len(calls(service)) == 5


def test_a_verdict_within_a_stream_is_final(
    provider: Qwen, service: DashScope, model: Model, audio: AudioFile
) -> None:
    verdict = faults.error_in_stream(
        service, events=2, status=400, code="DataInspectionFailed", message="Inappropriate."
    )
    service.failures.add(verdict, route=CALL)

    with pytest.raises(RefusedError, match="Inappropriate"):
        provider.transcribe(audio, model, Options(), on_text=lambda _: None)

    assert len(calls(service)) == 1


def test_a_rate_limit_within_a_stream_slows_down_and_goes_on(
    provider: Qwen, service: DashScope, time: Time, model: Model, audio: AudioFile
) -> None:
    limit = faults.error_in_stream(
        service, events=2, status=429, code="Throttling.RateQuota", message="Too many."
    )
    service.failures.add(limit, route=CALL)

    transcript = provider.transcribe(audio, model, Options(), on_text=lambda _: None)

    assert transcript.text == WELCOME.text
    assert sum(time.waits) == pytest.approx(1.0)


def test_a_stream_that_failed_keeps_no_connection_open_while_its_error_is_kept(
    model: Model, audio: AudioFile
) -> None:
    closed: list[bool] = []

    class Stream(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield _frame("Hello,", "null")
            yield b'event:error\n:HTTP_STATUS/400\ndata:{"code":"Arrearage","message":"no"}\n\n'
            yield b": more\n\n"

        def close(self) -> None:
            closed.append(True)

    headers = {"content-type": "text/event-stream"}
    provider = qwen(lambda _: httpx.Response(200, headers=headers, stream=Stream()))

    try:
        provider.transcribe(audio, model, Options(), on_text=lambda _: None)
    except AsrError as error:
        kept = error

    assert kept.code == "Arrearage"
    assert closed == [True]


def test_a_run_that_is_given_up_does_not_ask_for_a_stream_again(
    service: DashScope, time: Time, model: Model, audio: AudioFile
) -> None:
    service.failures.add(faults.cut_stream(service), route=CALL, times=9)
    provider = qwen(service, retrier=time.retrier(cancelled=lambda: bool(calls(service))))

    with pytest.raises(NetworkError):
        provider.transcribe(audio, model, Options(), on_text=lambda _: None)

    assert len(calls(service)) == 1
    assert time.waits == []


def test_a_stream_holds_its_place_at_the_gate_until_its_end(
    service: DashScope, time: Time, model: Model, audio: AudioFile
) -> None:
    # With leave for one call at a time, an inner wait for leave would never end.
    from asrcli.transport.retry import Retrier
    from asrcli.transport.throttle import Throttle

    throttle = Throttle(1, clock=time.clock, sleep=time.sleep)
    retrier = Retrier(throttle=throttle, clock=time.clock, sleep=time.sleep)
    provider = qwen(service, retrier=retrier)

    provider.transcribe(audio, model, Options(), on_text=lambda _: None)
    transcript = provider.transcribe(audio, model, Options())

    assert transcript.text == WELCOME.text


# --- the end --------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
def test_a_provider_that_was_closed_sends_nothing(
    provider: Qwen, service: DashScope, model: Model, audio: AudioFile, stream: bool
) -> None:
    provider.close()

    with pytest.raises(NetworkError):
        provider.transcribe(audio, model, Options(), on_text=(lambda _: None) if stream else None)

    assert service.requests == []


def test_a_burst_that_the_service_punishes_is_slowed_down(
    provider: Qwen, service: DashScope, time: Time, model: Model, audio: AudioFile
) -> None:
    service.failures.add(faults.burst_rate(retry_after="3"), route=CALL)

    assert provider.transcribe(audio, model, Options()).text == WELCOME.text
    assert sum(time.waits) == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("fault", "kind", "tries"),
    [
        (faults.arrears(), 5, 1),
        (faults.quota_used_up(), 5, 1),
        (faults.billing(), 5, 1),
        (faults.free_tier_only(), 5, 1),
        (faults.model_not_found(), 2, 1),
        (faults.data_inspection_failed(), 9, 1),
        (faults.data_inspection(), 7, 5),
        (faults.service_unavailable(), 9, 5),
        (faults.failed_in_ok(), 9, 5),
        (faults.gateway_timeout(), 9, 2),
        (faults.html(502), 9, 2),
        (faults.rate_quota(), 5, 5),
    ],
)
def test_each_failure_is_tried_again_as_often_as_it_may_be(
    provider: Qwen,
    service: DashScope,
    model: Model,
    audio: AudioFile,
    fault: faults.Fault,
    kind: int,
    tries: int,
) -> None:
    service.failures.add(fault, route=CALL, times=99)

    with pytest.raises(AsrError) as caught:
        provider.transcribe(audio, model, Options())

    assert caught.value.exit_status == kind
    assert len(calls(service)) == tries
    assert caught.value.possible_duplicate is (tries == 2)


def test_a_wait_that_is_too_long_is_left_to_the_user(
    provider: Qwen, service: DashScope, time: Time, model: Model, audio: AudioFile
) -> None:
    service.failures.add(faults.rate_quota(retry_after="3600"), route=CALL)

    with pytest.raises(RateLimitedError) as caught:
        provider.transcribe(audio, model, Options())

    assert caught.value.retry_after == 3600.0
    assert time.waits == []
