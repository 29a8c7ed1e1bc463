"""Qwen-Omni by chat completions: the call, the stream, what becomes of what it says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from asrcli.errors import (
    AsrError,
    InputRefusedError,
    KeyRefusedError,
    NetworkError,
    RateLimitedError,
    RefusedError,
    Retry,
    ServiceError,
    UnexpectedAnswerError,
    UnsupportedFormatError,
)
from asrcli.media.probe import probe
from asrcli.providers.base import Hotword, Model, Options, Reference
from asrcli.providers.catalogue import resolve
from asrcli.providers.qwen.failures import read_failure
from asrcli.providers.qwen.flash import data_uri
from asrcli.providers.qwen.omni import CUT as CUT_WARNING
from asrcli.providers.qwen.omni import Omni, read_events, request_body
from asrcli.secret import Secret
from asrcli.transcript import Segment, Transcript
from asrcli.transport.connection import Connection
from asrcli.transport.http import HTTPClient, ServerEvent
from asrcli.transport.retry import Retrier, RetryPolicy
from tests.emulators.dashscope import (
    CUT,
    LOOP,
    PREAMBLE,
    REFUSAL,
    THINKING,
    DashScope,
    OmniScript,
    faults,
    fetch_from,
)
from tests.emulators.dashscope.hosts import KEY
from tests.providers.calling import INTL, Time, audio_of, qwen
from tests.recordings import encode_as, recording

WELCOME = recording("welcome")
URL = "https://files.example/talks/welcome.wav"
FLASH, PLUS = resolve("qwen3.5-omni-flash"), resolve("qwen3.5-omni-plus")
OLD, NEW = resolve("qwen3-omni-flash"), resolve("qwen3.8-omni-flash")
EVERY = pytest.mark.parametrize("model", [FLASH, PLUS, OLD, NEW], ids=lambda model: model.id)
PLAIN = Options()
FEELING = Options(emotion=True)
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
def omni(service: DashScope, time: Time) -> Iterator[Omni]:
    http = client(service)
    yield Omni(http, time.retrier())
    http.close()


def client(service: Callable[[httpx.Request], httpx.Response], key: str = KEY) -> HTTPClient:
    return HTTPClient(
        "qwen",
        INTL.compatible,
        {"Authorization": Secret(key)},
        Connection(environ={}),
        retrier=Retrier(RetryPolicy(retries=0, outage=0)),
        read_failure=read_failure,
        transport=httpx.MockTransport(service),
    )


def transcribe(
    omni: Omni,
    model: Model = FLASH,
    options: Options = PLAIN,
    on_text: Callable[[str], None] | None = None,
) -> Transcript:
    audio = audio_of(WELCOME)
    return omni.transcribe(audio, data_uri(audio), model, options, on_text=on_text)


def body_of(service: DashScope) -> dict[str, Any]:
    found: dict[str, Any] = service.requests[-1].json
    return found


# --- calls ------------------------------------------------------------------------------------


@EVERY
def test_a_file_comes_back_as_one_text(omni: Omni, service: DashScope, model: Model) -> None:
    told: list[str] = []

    found = transcribe(omni, model, on_text=told.append)

    assert found.segments == (Segment(WELCOME.text),)
    assert found.duration == WELCOME.seconds
    assert found.billed_seconds is None
    assert found.warnings == ()
    assert found.request_ids == (f"chatcmpl-{service.ledger.charges[0].request_id}",)
    assert told[0] == "Good"
    assert told[-1] == WELCOME.text


@EVERY
def test_no_model_thinks(omni: Omni, service: DashScope, model: Model) -> None:
    transcribe(omni, model)

    switches = {"enable_thinking", "reasoning_effort"} & body_of(service).keys()
    assert switches == {OLD: {"enable_thinking"}, NEW: {"reasoning_effort"}}.get(model, set())
    assert '"reasoning_content"' not in json.dumps(body_of(service))


@pytest.mark.parametrize("container", ["mp3", "amr", "m4a"])
def test_the_format_is_named_by_the_content(
    omni: Omni, service: DashScope, tmp_path: Path, container: str
) -> None:
    audio = probe(encode_as(WELCOME.path, container, tmp_path))

    omni.transcribe(audio, data_uri(audio), FLASH, PLAIN)

    sound = body_of(service)["messages"][1]["content"][0]["input_audio"]
    assert sound["format"] == container


def test_a_url_goes_to_the_service_as_it_is(omni: Omni, service: DashScope) -> None:
    found = omni.transcribe(Reference(None, URL), URL, FLASH, PLAIN)

    assert found.text == WELCOME.text
    assert found.duration is None
    sound = body_of(service)["messages"][1]["content"][0]["input_audio"]
    assert sound == {"data": URL, "format": "wav"}


def test_an_upload_is_resolved(omni: Omni, service: DashScope, time: Time) -> None:
    provider = qwen(service, time=time)
    stored = provider.upload(audio_of(WELCOME), FLASH)
    provider.close()

    found = omni.transcribe(stored, stored.location, FLASH, PLAIN)

    assert found.text == WELCOME.text
    assert service.requests[-1].headers["x-dashscope-ossresourceresolve"] == "enable"


def test_a_url_that_tells_no_format_is_refused_before_anything_is_sent(
    omni: Omni, service: DashScope
) -> None:
    url = "https://files.example/talk"
    with pytest.raises(UnsupportedFormatError, match="format"):
        omni.transcribe(Reference(None, url), url, FLASH, PLAIN)

    assert list(service.requests) == []


def test_the_system_message_asks_for_the_transcript_and_holds_prompt_and_hotwords() -> None:
    options = Options(
        language="German",
        prompt="About boats.",
        hotwords=(Hotword("Kiel", 5), Hotword("Förde")),
        emotion=True,
    )

    system, user = request_body("data:,", "wav", FLASH, options)["messages"]

    assert system["role"] == "system"
    assert "exactly as it is spoken" in system["content"]
    for part in ("German", "About boats.", "Kiel, Förde", "`emotion: `"):
        assert part in system["content"]
    assert user["content"][1]["type"] == "text"


def test_the_language_that_was_asked_for_is_told_as_a_code(omni: Omni) -> None:
    found = transcribe(omni, options=Options(language="English"))

    assert (found.language, found.segments[0].language) == ("en", "en")


# --- what it says -----------------------------------------------------------------------------


def test_a_preamble_is_no_speech(omni: Omni, service: DashScope) -> None:
    service.omni.script = PREAMBLE

    found = transcribe(omni)

    assert found.text == WELCOME.text
    assert any("Sure! Here is the transcript" in warning for warning in found.warnings)


def test_a_refusal_is_an_error_that_quotes_it(omni: Omni, service: DashScope) -> None:
    service.omni.script = REFUSAL

    with pytest.raises(RefusedError, match="I can't listen to audio") as caught:
        transcribe(omni)

    assert caught.value.request_id
    assert "qwen3-asr-flash" in (caught.value.hint or "")
    assert len(service.requests) == 1


def test_a_loop_is_cut_off_and_told(omni: Omni, service: DashScope) -> None:
    service.omni.script = LOOP

    found = transcribe(omni)

    assert found.text == WELCOME.text
    assert found.warnings[0] == CUT_WARNING
    assert any("repeated itself 61 times" in warning for warning in found.warnings)


def test_a_text_that_was_cut_by_its_length_says_so(omni: Omni, service: DashScope) -> None:
    service.omni.script = CUT

    found = transcribe(omni)

    assert WELCOME.text.startswith(found.text)
    assert found.warnings == (CUT_WARNING,)


def test_a_text_that_ends_before_it_begins_is_an_error(omni: Omni, service: DashScope) -> None:
    service.omni.script = OmniScript(text="", reasoning="Let me see.", finish_reason="length")

    with pytest.raises(UnexpectedAnswerError, match="no text"):
        transcribe(omni)


def test_thoughts_are_no_speech(omni: Omni, service: DashScope) -> None:
    service.omni.script = THINKING

    assert transcribe(omni).text == WELCOME.text


@pytest.mark.parametrize("text", ["", "[no speech]"])
def test_silence_is_an_empty_transcript(omni: Omni, service: DashScope, text: str) -> None:
    service.omni.script = OmniScript(text=text)

    assert transcribe(omni).segments == ()


def test_moderation_is_an_error(omni: Omni, service: DashScope) -> None:
    service.omni.script = OmniScript(kept=0.5, finish_reason="content_filter")

    with pytest.raises(RefusedError, match="moderation"):
        transcribe(omni)


def test_an_end_for_another_reason_is_an_error(omni: Omni, service: DashScope) -> None:
    service.omni.script = OmniScript(finish_reason="tool_calls")

    with pytest.raises(UnexpectedAnswerError, match="tool_calls"):
        transcribe(omni)


def test_the_emotion_comes_from_the_last_line_and_is_not_shown(
    omni: Omni, service: DashScope
) -> None:
    service.omni.script = OmniScript(after="\nemotion: happy")
    told: list[str] = []

    found = transcribe(omni, options=FEELING, on_text=told.append)

    assert found.segments == (Segment(WELCOME.text, emotion="happy"),)
    assert not any("emotion" in text for text in told)


# --- the count of the audio -------------------------------------------------------------------


def events(*, finish: str | None = "stop", usage: Any = None, text: str = "Hi.") -> list[Any]:
    def chunk(**delta: Any) -> dict[str, Any]:
        return {"index": 0, "delta": delta, "finish_reason": None}

    last = {**chunk(content=""), "finish_reason": finish}
    return [
        {"id": "chatcmpl-1", "choices": [chunk(role="assistant", content="")]},
        {"id": "chatcmpl-1", "choices": [chunk(content=text)]},
        {"id": "chatcmpl-1", "choices": [last], "usage": None},
        {"id": "chatcmpl-1", "choices": [], "usage": usage},
    ]


def read(bodies: list[Any], *, duration: float | None = 10.0, model: Model = FLASH) -> Transcript:
    stream = [ServerEvent(json.dumps(body)) for body in bodies]
    stream.append(ServerEvent("[DONE]"))
    return read_events(stream, model, PLAIN, duration=duration)


def counted(tokens: int, **more: Any) -> dict[str, Any]:
    return {"prompt_tokens_details": {"audio_tokens": tokens}, **more}


def test_billed_seconds_are_only_those_that_are_told() -> None:
    assert read(events(usage=counted(70))).billed_seconds is None
    assert read(events(usage=counted(70, seconds=10))).billed_seconds == 10


def test_audio_that_was_not_counted_was_not_heard() -> None:
    assert "made the text up" in "".join(read(events(usage=counted(0))).warnings)


@pytest.mark.parametrize(("tokens", "told"), [(35, True), (65, False), (90, False)])
def test_audio_that_was_heard_in_part_is_told(tokens: int, told: bool) -> None:
    found = read(events(usage=counted(tokens)))

    assert any("heard only about 5 s of the 10 s" in w for w in found.warnings) is told


@pytest.mark.parametrize(
    "usage", [None, "much", {}, {"prompt_tokens_details": {"audio_tokens": None}}]
)
def test_a_missing_count_is_no_reason_to_fail(usage: Any) -> None:
    assert read(events(usage=usage)).warnings == ()


def test_content_may_come_as_a_list() -> None:
    bodies = events()
    bodies[1]["choices"][0]["delta"]["content"] = [{"type": "text", "text": "Hello."}]

    assert read(bodies).text == "Hello."


# --- what goes wrong --------------------------------------------------------------------------


@pytest.mark.parametrize("finish", [None, "null", ""])
def test_a_stream_that_does_not_say_its_end_is_no_transcript(finish: str | None) -> None:
    with pytest.raises(NetworkError, match="before the text did") as caught:
        read(events(finish=finish))

    assert caught.value.retry is Retry.AMBIGUOUS


def test_a_stream_that_is_cut_after_its_end_is_whole() -> None:
    def stream() -> Iterator[ServerEvent]:
        for body in events()[:3]:
            yield ServerEvent(json.dumps(body))
        raise NetworkError("qwen", "gone")

    assert read_events(stream(), FLASH, PLAIN, duration=10.0).text == "Hi."


@pytest.mark.parametrize("cut", [1, 2, 6])
def test_a_cut_stream_is_asked_for_once_more(omni: Omni, service: DashScope, cut: int) -> None:
    service.failures.append(faults.cut_stream(service, events=cut))

    found = transcribe(omni)

    assert found.text == WELCOME.text
    assert (TWICE in found.warnings) is True
    assert len(service.requests) == 2


def test_a_stream_that_is_cut_each_time_is_an_error(omni: Omni, service: DashScope) -> None:
    service.failures.add(faults.cut_stream(service, events=4), times=9)

    with pytest.raises(NetworkError) as caught:
        transcribe(omni)

    assert caught.value.possible_duplicate
    assert len(service.requests) == 2


def test_an_error_within_the_stream_is_an_error(omni: Omni, service: DashScope) -> None:
    fault = faults.error_in_stream(
        service, events=3, status=400, code="DataInspectionFailed", message="Not nice."
    )
    service.failures.append(fault)

    with pytest.raises(RefusedError, match=r"Not nice\.") as caught:
        transcribe(omni)

    assert caught.value.request_id


def test_an_error_at_the_start_of_the_stream_is_tried_again(omni: Omni, service: DashScope) -> None:
    service.failures.append(faults.error_in_stream(service, events=0, code="ServiceUnavailable"))

    assert transcribe(omni).text == WELCOME.text
    assert len(service.requests) == 2


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (faults.invalid_key(), KeyRefusedError),
        (faults.failed_in_ok(), ServiceError),
        (faults.data_inspection_failed(), RefusedError),
        (faults.html(), ServiceError),
    ],
)
def test_an_error_in_place_of_a_stream_is_the_right_one(
    omni: Omni, service: DashScope, fault: Any, kind: type[AsrError]
) -> None:
    service.failures.add(fault, times=99)

    with pytest.raises(kind):
        transcribe(omni)


def test_a_rate_limit_is_waited_for(omni: Omni, service: DashScope, time: Time) -> None:
    service.failures.append(faults.rate_quota(retry_after="3"))

    assert transcribe(omni).text == WELCOME.text
    assert sum(time.waits) >= 3


def test_a_rate_limit_that_stays_is_an_error(omni: Omni, service: DashScope) -> None:
    service.failures.add(faults.rate_quota(), times=99)

    with pytest.raises(RateLimitedError):
        transcribe(omni)


def test_an_event_that_cannot_be_read_is_an_error(omni: Omni, service: DashScope) -> None:
    garbage = b'data: {"id":\n\ndata: [DONE]\n\n'
    headers = {"content-type": "text/event-stream"}
    service.failures.append(lambda _: httpx.Response(200, headers=headers, content=garbage))

    with pytest.raises(UnexpectedAnswerError):
        transcribe(omni)


def test_a_file_that_the_model_cannot_decode_is_the_files_fault(omni: Omni, tmp_path: Path) -> None:
    path = tmp_path / "noise.wav"
    path.write_bytes(b"RIFF" + bytes(400))
    audio = replace(audio_of(WELCOME), path=path, size=404)

    with pytest.raises(InputRefusedError):
        omni.transcribe(audio, data_uri(audio), FLASH, PLAIN)
