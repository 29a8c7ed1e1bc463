"""Clips cut at pauses, recognized one by one, told in order."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from asrcli.core.live_events import Final, Gap, LiveEvent, LiveState, Status
from asrcli.core.near import Clip, Cutter, Near
from asrcli.errors import ArrearsError, MicrophoneError, NetworkError
from asrcli.transcript import Segment, Timing, Transcript, Word

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

RATE = 16_000


def tone(seconds: float, level: float = 0.1) -> Samples:
    return np.full(round(seconds * RATE), level, dtype=np.float32)


def quiet(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE), dtype=np.float32)


def blocks(*parts: Samples) -> Iterator[Samples]:
    whole = np.concatenate(parts)
    for begin in range(0, len(whole), RATE // 10):
        yield whole[begin : begin + RATE // 10]


def clips(*parts: Samples, **options: Any) -> list[Clip]:
    cutter = Cutter(RATE, **options)
    cut = [cutter.take(block) for block in blocks(*parts)]
    return [clip for clip in [*cut, cutter.rest()] if clip is not None]


def bounds(found: list[Clip]) -> list[tuple[float, float]]:
    return [(round(clip.start, 1), round(clip.end, 1)) for clip in found]


def heard(clip: Clip) -> Transcript:
    """What a service says: where the clip began."""
    return Transcript((Segment(f"at {clip.start:.1f}"),), "svc", "m", billed_seconds=1.0)


# --- cutting ------------------------------------------------------------------------------------


def test_silence_makes_no_clip() -> None:
    assert clips(quiet(30.0)) == []


def test_a_long_pause_ends_a_clip_of_any_length() -> None:
    found = clips(quiet(1.0), tone(1.0), quiet(2.0), tone(2.0), quiet(1.0))

    assert bounds(found) == [(0.7, 2.8), (3.7, 6.8)]
    assert not any(clip.cut for clip in found)


def test_a_short_pause_ends_a_clip_that_is_long_enough() -> None:
    sentence = (tone(2.0), quiet(0.4))
    found = clips(*sentence * 4)

    assert bounds(found)[0] == (0.0, 7.1)


def test_speech_without_a_pause_is_cut_at_its_quietest_place_and_loses_nothing() -> None:
    found = clips(tone(11.0), tone(0.2, 0.01), tone(9.0), longest=12.0)

    assert bounds(found) == [(0.0, 11.1), (11.1, 20.2)]
    assert found[0].cut
    assert sum(len(block) for clip in found for block in clip.blocks) == round(20.2 * RATE)


def test_a_clip_holds_the_samples_between_its_times() -> None:
    sound: Samples = np.arange(5 * RATE, dtype=np.float32) / np.float32(5 * RATE)
    (clip,) = clips(sound)

    joined = np.concatenate(clip.blocks)
    assert np.array_equal(joined, sound[round(clip.start * RATE) : round(clip.end * RATE)])


# --- recognizing --------------------------------------------------------------------------------


class Ear:
    def __init__(self) -> None:
        self.events: list[LiveEvent] = []

    def __call__(self, event: LiveEvent) -> None:
        self.events.append(event)

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def texts(self) -> list[str]:
        return [final.segment.text for final in self.of(Final)]


@pytest.fixture
def ear() -> Ear:
    return Ear()


THREE = [tone(1.0), quiet(2.0)] * 3
"""Clips at 0.0, 2.7 and 5.7."""


def test_clips_are_told_in_order_whoever_answers_first(ear: Ear) -> None:
    third = threading.Event()

    def recognize(clip: Clip) -> Transcript:
        if clip.start > 5:
            third.set()
        else:
            assert third.wait(10)
        return heard(clip)

    outcome = Near(recognize, ear, service="svc", in_flight=3).run(blocks(*THREE))

    assert ear.texts == ["at 0.0", "at 2.7", "at 5.7"]
    assert (outcome.finished, outcome.error, outcome.billed_seconds) == (True, None, 3.0)
    assert outcome.seconds == pytest.approx(9.0)


def test_no_more_are_asked_for_at_once_than_allowed(ear: Ear) -> None:
    busy: list[float] = []
    most: list[int] = []

    def recognize(clip: Clip) -> Transcript:
        busy.append(clip.start)
        most.append(len(busy))
        busy.remove(clip.start)
        return heard(clip)

    Near(recognize, ear, service="svc", in_flight=1).run(blocks(*THREE))

    assert most == [1, 1, 1]


def test_a_text_without_times_has_those_of_its_clip(ear: Ear) -> None:
    Near(heard, ear, service="svc").run(blocks(*THREE))

    segment = ear.of(Final)[1].segment
    assert (segment.start, segment.timing) == (pytest.approx(2.7), Timing.VAD)
    assert segment.end == pytest.approx(4.8)


def test_times_of_the_service_are_moved_to_the_stream(ear: Ear) -> None:
    def recognize(clip: Clip) -> Transcript:
        words = (Word("a", 0.1, 0.2),)
        return Transcript((Segment("a", 0.1, 0.3, Timing.MODEL, words=words),), "svc", "m")

    Near(recognize, ear, service="svc").run(blocks(*THREE))

    segment = ear.of(Final)[1].segment
    assert (segment.start, segment.end) == (pytest.approx(2.8), pytest.approx(3.0))
    assert segment.words[0].start == pytest.approx(2.8)
    assert segment.timing is Timing.MODEL


def test_a_clip_that_fails_is_a_gap_and_the_others_are_told(ear: Ear) -> None:
    def recognize(clip: Clip) -> Transcript:
        if 2 < clip.start < 5:
            raise NetworkError("svc", "gone")
        return heard(clip)

    outcome = Near(recognize, ear, service="svc").run(blocks(*THREE))

    assert ear.texts == ["at 0.0", "at 5.7"]
    (gap,) = ear.of(Gap)
    assert (gap.start, gap.end, gap.reason) == (
        pytest.approx(2.7),
        pytest.approx(4.8),
        "svc: gone",
    )
    assert isinstance(outcome.error, NetworkError)
    assert not outcome.finished


def test_an_error_that_no_clip_would_escape_ends_it(ear: Ear) -> None:
    def recognize(clip: Clip) -> Transcript:
        raise ArrearsError("svc", "no money")

    outcome = Near(recognize, ear, service="svc", in_flight=1).run(blocks(*THREE * 100))

    assert outcome.error is not None
    assert outcome.error.exit_status == 5
    assert ear.texts == []


def test_w14_w16_a_pipe_waits_for_answers(ear: Ear) -> None:
    waiting: list[float] = []

    def recognize(clip: Clip) -> Transcript:
        waiting.append(near._waiting())
        return heard(clip)

    near = Near(recognize, ear, service="svc", in_flight=1, most_waiting=5.0)
    near.run(blocks(*THREE * 30))

    assert len(ear.texts) == 90
    assert max(waiting) < 5.0 + 2.2


def test_w16_a_microphone_gives_up_the_oldest_and_says_so(ear: Ear) -> None:
    all_heard = threading.Event()

    def sound() -> Iterator[Samples]:
        yield from blocks(*THREE * 5)
        all_heard.set()

    def recognize(clip: Clip) -> Transcript:
        assert all_heard.wait(10)
        return heard(clip)

    outcome = Near(recognize, ear, service="svc", in_flight=1, most_kept=6.0).run(sound())

    assert ear.texts[-1] == "at 41.7"
    assert len(ear.texts) + len(ear.of(Gap)) == 15
    assert ear.of(Gap)
    assert outcome.dropped == pytest.approx(sum(g.end - g.start for g in ear.of(Gap)))


def test_g08_stopping_recognizes_what_was_said_so_far(ear: Ear) -> None:
    hung = threading.Event()

    def sound() -> Iterator[Samples]:
        yield from blocks(tone(1.0))
        near.stop()
        hung.wait(10)

    near = Near(heard, ear, service="svc")
    outcome = near.run(sound())
    hung.set()

    assert ear.texts == ["at 0.0"]
    assert outcome.finished


def test_answers_that_do_not_come_at_the_end_are_gaps_and_9(ear: Ear) -> None:
    released = threading.Event()

    def recognize(clip: Clip) -> Transcript:
        released.wait(10)
        return heard(clip)

    outcome = Near(recognize, ear, service="svc", patience=0.2).run(blocks(*THREE))
    released.set()

    assert outcome.error is not None
    assert (outcome.error.exit_status, len(ear.of(Gap))) == (9, 3)


def test_w17_a_microphone_that_fails_keeps_the_text(ear: Ear) -> None:
    def sound() -> Iterator[Samples]:
        yield from blocks(*THREE)
        raise MicrophoneError("it went away")

    outcome = Near(heard, ear, service="svc").run(sound())

    assert len(ear.texts) == 3
    assert isinstance(outcome.error, MicrophoneError)


def test_a_mistake_of_ours_is_raised(ear: Ear) -> None:
    def recognize(clip: Clip) -> Transcript:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Near(recognize, ear, service="svc").run(blocks(*THREE))


def test_the_state_is_told(ear: Ear) -> None:
    Near(heard, ear, service="svc").run(blocks(*THREE))

    assert ear.of(Status)[0].service == "svc"
    assert ear.of(Status)[0].state in {LiveState.LISTENING, LiveState.FINISHING}
