"""Whatever order a service tells things in, and however often: one final each, and in order."""

from __future__ import annotations

import json
import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from asrcli.protocol.dialogue import Dialogue
from asrcli.protocol.events import Event, Failed
from asrcli.protocol.realtime_asr import RealtimeASR, RealtimeASROptions
from asrcli.protocol.realtime_omni import RealtimeOmni, RealtimeOmniOptions
from asrcli.protocol.run_task import RunTask, RunTaskOptions
from tests.emulators.realtime.asr import ASRSession
from tests.emulators.realtime.omni import OmniSession
from tests.emulators.realtime.run_task import TaskSession
from tests.emulators.realtime.session import Session
from tests.emulators.realtime.toy import talk
from tests.protocol.conversation import converse, finals, made, texts

TASK = "0" * 32
SAID = ["one two", "three", "four five six", "seven"]
AUDIO = talk(*SAID, pause=1.5)


def new_task() -> RunTask:
    return RunTask(RunTaskOptions(model="fun-asr-realtime"), make_id=lambda: TASK)


def new_asr() -> RealtimeASR:
    return RealtimeASR(RealtimeASROptions(model="qwen3-asr-flash-realtime"))


def new_omni() -> RealtimeOmni:
    return RealtimeOmni(RealtimeOmniOptions(model="qwen3.5-omni-flash-realtime"))


def events_of(kind: type[Session], dialogue: Dialogue) -> list[dict[str, Any]]:
    """All that the service tells of four utterances, between its first words and its last."""
    session = made(kind, dialogue)
    told: list[dict[str, Any]] = []
    received = dialogue.receive

    def listen(message: str | bytes) -> None:
        told.append(json.loads(message))
        received(message)

    dialogue.receive = listen  # type: ignore[method-assign]
    assert texts(converse(dialogue, session, AUDIO)) == SAID
    edges = ("session.", "task-started", "task-finished")
    names = [str(m.get("type") or m["header"]["event"]) for m in told]
    return [m for m, name in zip(told, names, strict=True) if not name.startswith(edges)]


TASK_EVENTS = events_of(TaskSession, new_task())
ASR_EVENTS = events_of(ASRSession, new_asr())
OMNI_EVENTS = events_of(OmniSession, new_omni())

CREATED = '{"type": "session.created", "session": {"id": "s"}}'
UPDATED = '{"type": "session.updated", "session": {"id": "s"}}'
STARTED = json.dumps({"header": {"task_id": TASK, "event": "task-started"}, "payload": {}})


def begun(dialogue: Dialogue) -> Dialogue:
    dialogue.start()
    for message in (STARTED,) if isinstance(dialogue, RunTask) else (CREATED, UPDATED):
        dialogue.receive(message)
    dialogue.send_audio(AUDIO)
    return dialogue


def told(dialogue: Dialogue, events: list[dict[str, Any]]) -> list[Event]:
    for event in events:
        dialogue.receive(json.dumps(event))
    dialogue.give_up()
    return dialogue.events_received()


@st.composite
def disorders(draw: st.DrawFn, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events in another order, some of them twice or not at all."""
    shuffle = random.Random(draw(st.integers(0, 2**32)))
    copies = [event for event in events for _ in range(shuffle.choice([0, 1, 1, 1, 2, 3]))]
    if draw(st.booleans()):
        shuffle.shuffle(copies)
    else:
        # A few steps away from where it was, as networks and threads do it.
        reach = draw(st.integers(1, 6))
        places = [number + shuffle.uniform(0, reach) for number in range(len(copies))]
        order = sorted(range(len(copies)), key=places.__getitem__)
        copies = [copies[number] for number in order]
    return copies


def first_sights(events: list[dict[str, Any]]) -> list[str]:
    names = [event.get("item_id") for event in events if event["type"].startswith(("inp", "con"))]
    return list(dict.fromkeys(name for name in names if isinstance(name, str)))


@settings(max_examples=80, deadline=None)
@given(disorders(TASK_EVENTS))
def test_a_task_tells_each_sentence_once_and_in_order(events: list[dict[str, Any]]) -> None:
    heard = told(begun(new_task()), events)

    numbers = [int(final.utterance) for final in finals(heard)]
    assert numbers == sorted(set(numbers))
    assert not any(isinstance(event, Failed) for event in heard)


@settings(max_examples=80, deadline=None)
@given(disorders(ASR_EVENTS))
def test_a_session_tells_each_utterance_once_and_in_order(events: list[dict[str, Any]]) -> None:
    dialogue = begun(new_asr())
    heard = told(dialogue, events)

    names = [final.utterance for final in finals(heard)]
    assert names == [name for name in first_sights(events) if name in names]
    assert not any(isinstance(event, Failed) for event in heard)
    assert 0 <= dialogue.acknowledged <= dialogue.sent


@settings(max_examples=80, deadline=None)
@given(disorders(OMNI_EVENTS))
def test_an_omni_session_tells_each_utterance_once_and_in_order(
    events: list[dict[str, Any]],
) -> None:
    heard = told(begun(new_omni()), events)

    names = [final.utterance for final in finals(heard)]
    assert names == [name for name in first_sights(events) if name in names]
    assert not any(isinstance(event, Failed) for event in heard)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(ASR_EVENTS), max_size=60))
def test_what_is_answered_never_shrinks(events: list[dict[str, Any]]) -> None:
    dialogue = begun(new_asr())
    answered = [0.0]
    for event in events:
        dialogue.receive(json.dumps(event))
        answered.append(dialogue.acknowledged)

    assert answered == sorted(answered)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(TASK_EVENTS + ASR_EVENTS + OMNI_EVENTS), st.data())
def test_no_field_of_any_event_can_break_a_dialogue(
    event: dict[str, Any], data: st.DataObject
) -> None:
    broken = _broken(json.loads(json.dumps(event)), data)
    for dialogue in (begun(new_task()), begun(new_asr()), begun(new_omni())):
        dialogue.receive(json.dumps(broken))
        dialogue.receive(json.dumps(event))
        dialogue.give_up()

        assert 0 <= dialogue.acknowledged <= dialogue.sent


def _broken(value: Any, data: st.DataObject) -> Any:
    """With one value somewhere inside replaced by any other."""
    if not isinstance(value, dict | list) or not value or data.draw(st.integers(0, 4)) == 0:
        return data.draw(JSON)
    key = data.draw(st.sampled_from(sorted(value) if isinstance(value, dict) else [0]))
    value[key] = _broken(value[key], data)
    return value


@settings(max_examples=15, deadline=None)
@given(st.integers(100, 8000))
def test_the_size_of_the_chunks_changes_nothing(samples: int) -> None:
    dialogue = new_asr()

    assert texts(converse(dialogue, made(ASRSession, dialogue), AUDIO, chunk=2 * samples)) == SAID
