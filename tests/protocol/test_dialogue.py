from __future__ import annotations

import pytest

from asrcli.errors import NetworkError, Retry, ServiceError
from asrcli.protocol.dialogue import Dialogue, State, join_url
from asrcli.protocol.events import Failed, Noted
from asrcli.protocol.realtime_asr import RealtimeASR, RealtimeASROptions
from asrcli.protocol.realtime_omni import RealtimeOmni, RealtimeOmniOptions
from asrcli.protocol.realtime_openai import RealtimeOpenAI, RealtimeOpenAIOptions
from asrcli.protocol.realtime_vllm import RealtimeVLLM, RealtimeVLLMOptions
from asrcli.protocol.run_task import RunTask, RunTaskOptions


def new_dialogues() -> list[Dialogue]:
    return [
        RunTask(RunTaskOptions(model="fun-asr-realtime")),
        RealtimeASR(RealtimeASROptions(model="qwen3-asr-flash-realtime")),
        RealtimeOmni(RealtimeOmniOptions(model="qwen3.5-omni-flash-realtime")),
        RealtimeOpenAI(RealtimeOpenAIOptions(model="whisper-1")),
        RealtimeVLLM(RealtimeVLLMOptions(model="whisper")),
    ]


@pytest.fixture(params=range(5), ids=["task", "asr", "omni", "openai", "vllm"])
def dialogue(request: pytest.FixtureRequest) -> Dialogue:
    number: int = request.param
    return new_dialogues()[number]


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("wss://h/api-ws/v1", "wss://h/api-ws/v1/realtime?model=m"),
        ("wss://h/api-ws/v1/", "wss://h/api-ws/v1/realtime?model=m"),
        ("wss://h/api-ws/v1/inference", "wss://h/api-ws/v1/realtime?model=m"),
        ("wss://h/api-ws/v1/inference/", "wss://h/api-ws/v1/realtime?model=m"),
        ("https://h:8443/v1", "wss://h:8443/v1/realtime?model=m"),
        ("http://127.0.0.1:1/v1", "ws://127.0.0.1:1/v1/realtime?model=m"),
        ("wss://h/v1?region=x", "wss://h/v1/realtime?region=x&model=m"),
        ("wss://h/v1?model=other", "wss://h/v1/realtime?model=other"),
    ],
)
def test_the_address_is_made_of_any_form_of_base_url(base: str, expected: str) -> None:
    assert join_url(base, "realtime", {"model": "m"}) == expected


@pytest.mark.parametrize("base", ["", "h/v1", "ftp://h/v1", "wss://"])
def test_a_base_that_is_no_url_of_a_service_is_refused(base: str) -> None:
    with pytest.raises(ValueError, match="not the URL"):
        join_url(base, "realtime", {})


def test_nothing_can_be_done_before_the_start(dialogue: Dialogue) -> None:
    with pytest.raises(RuntimeError, match="new"):
        dialogue.send_audio(bytes(320))
    with pytest.raises(RuntimeError, match="new"):
        dialogue.finish()
    with pytest.raises(RuntimeError, match="before"):
        dialogue.receive("{}")


def test_audio_is_not_accepted_before_the_service_listens(dialogue: Dialogue) -> None:
    dialogue.start()

    assert not dialogue.accepts_audio
    with pytest.raises(RuntimeError, match="starting"):
        dialogue.send_audio(bytes(320))


def test_a_dialogue_starts_and_finishes_once(dialogue: Dialogue) -> None:
    dialogue.start()
    dialogue.finish()

    with pytest.raises(RuntimeError):
        dialogue.start()
    with pytest.raises(RuntimeError):
        dialogue.finish()


def test_a_service_that_says_nothing_is_given_up_after_ten_seconds(dialogue: Dialogue) -> None:
    dialogue.start()
    patience = dialogue.patience

    dialogue.timed_out()

    assert patience == 10.0
    (failure,) = dialogue.events_received()
    assert isinstance(failure, Failed)
    assert (failure.code, failure.kind, failure.retry) == (
        "NoStart",
        NetworkError,
        Retry.TRANSIENT,
    )


@pytest.mark.parametrize("code", [1000, 1011, None])
def test_w05_w06_a_connection_that_ends_early_is_a_failure_that_may_be_tried_again(
    dialogue: Dialogue, code: int | None
) -> None:
    dialogue.start()
    dialogue.closed(code)
    dialogue.closed(code)

    (failure,) = dialogue.events_received()
    assert isinstance(failure, Failed)
    assert failure.retry is Retry.TRANSIENT
    assert dialogue.failure == failure
    assert dialogue.over


def test_a_dialogue_that_is_over_takes_nothing_more_in_and_does_not_mind(
    dialogue: Dialogue,
) -> None:
    dialogue.start()
    dialogue.closed(1011)
    dialogue.events_received()

    dialogue.receive('{"type": "error", "error": {"message": "late"}}')
    dialogue.finish()
    dialogue.timed_out()

    assert dialogue.events_received() == []
    assert dialogue.state is State.FAILED
    with pytest.raises(RuntimeError, match="failed"):
        dialogue.send_audio(bytes(320))


@pytest.mark.parametrize(
    "message", [b"\x00\x01", "not JSON", "[1, 2]", "null", '"text"', "[" * 100_000, "{" * 9]
)
def test_w10_messages_that_mean_nothing_are_noted_once_and_ignored(
    dialogue: Dialogue, message: str | bytes
) -> None:
    dialogue.start()
    dialogue.receive(message)
    dialogue.receive(message)

    (note,) = dialogue.events_received()
    assert isinstance(note, Noted)
    assert note.name in {"binary", "unreadable"}
    assert dialogue.notes[note.name] == 2
    assert not dialogue.over


def test_w10_unknown_events_are_counted_by_name_and_told_once(dialogue: Dialogue) -> None:
    dialogue.start()
    for name in ("novelty", "novelty", "news"):
        dialogue.receive(f'{{"type": "{name}", "header": {{"event": "{name}"}}}}')

    told = [event.name for event in dialogue.events_received() if isinstance(event, Noted)]
    assert told == ["unknown:novelty", "unknown:news"]
    assert dialogue.notes["unknown:novelty"] == 2


@pytest.mark.parametrize("message", ["{}", '{"type": 5}', '{"type": null, "header": []}'])
def test_w10_events_without_a_name_are_ignored(dialogue: Dialogue, message: str) -> None:
    dialogue.start()

    dialogue.receive(message)

    assert not dialogue.over


def test_only_a_dialogue_in_manual_mode_can_be_told_where_utterances_end() -> None:
    for dialogue in new_dialogues():
        dialogue.start()
        if not dialogue.manual:
            with pytest.raises(RuntimeError, match="by itself"):
                dialogue.end_utterance()


def test_an_error_names_the_session_for_a_report() -> None:
    dialogue = RunTask(RunTaskOptions(model="m"), make_id=lambda: "T")
    dialogue.start()
    dialogue.closed(1011, "restarting")

    assert dialogue.failure is not None
    error = dialogue.failure.error("qwen")
    assert isinstance(error, ServiceError)
    assert str(error).endswith("restarting (Close1011, request T)")
