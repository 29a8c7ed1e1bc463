"""Cutting, recognizing and joining together: no word is lost, and none is there twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from random import Random

import pytest

from asrcli.core.join import Part, gap, join
from asrcli.media.parcels import Parcel, cues, parcels
from asrcli.transcript import Segment, Timing, Transcript, Word
from tests.emulators.toy_speech import RATE, Spoken, ToySpeech, chatter, hear, sermon

Answer = Callable[[list[Spoken]], tuple[Segment, ...]]


def text_alone(heard: list[Spoken]) -> tuple[Segment, ...]:
    return (Segment(" ".join(word.text for word in heard)),) if heard else ()


def with_words(heard: list[Spoken]) -> tuple[Segment, ...]:
    """Sentences of ten words, each with its times."""
    segments = []
    for i in range(0, len(heard), 10):
        words = tuple(Word(w.text, w.first / RATE, w.stop / RATE) for w in heard[i : i + 10])
        text = " ".join(word.text for word in words).capitalize() + "."
        segments.append(
            Segment(text, words[0].start, words[-1].end, timing=Timing.MODEL, words=words)
        )
    return tuple(segments)


def recognized(pieces: Iterable[Parcel], answer: Answer, *, seed: int) -> Iterator[Part]:
    random = Random(seed)
    for parcel in pieces:
        segments = answer(hear(parcel.pcm, random=random))
        yield Part(parcel.place, Transcript(segments, provider="toy", model="toy"))


def put_together(parts: Iterable[Part], *, timing: Timing = Timing.PIECE) -> Transcript:
    shuffled = list(parts)
    Random(1).shuffle(shuffled)
    return join(shuffled, provider="toy", model="toy", duration=None, timing=timing)


def words_of(transcript: Transcript) -> list[str]:
    return transcript.text.lower().replace(".", "").split()


def said(speech: ToySpeech) -> list[str]:
    return [word.text for word in speech.words]


@pytest.mark.parametrize("answer", [text_alone, with_words])
@pytest.mark.parametrize(
    "speech",
    [chatter(3_600, seed=1), sermon(3_600, seed=2)],
    ids=["with pauses", "without a pause"],
)
def test_of_an_hour_no_word_is_lost_or_doubled(speech: ToySpeech, answer: Answer) -> None:
    pieces = parcels(speech.blocks(), longest=180, first=60, neural=False)

    transcript = put_together(recognized(pieces, answer, seed=3))

    assert words_of(transcript) == said(speech)


def test_with_times_even_the_same_word_over_and_over_is_there_as_often_as_it_was_said() -> None:
    speech = sermon(900, seed=12, most_times=12)
    pieces = parcels(speech.blocks(), longest=30, neural=False)

    transcript = put_together(recognized(pieces, with_words, seed=13))

    assert words_of(transcript) == said(speech)


@pytest.mark.parametrize("speech", [chatter(600, seed=4), sermon(600, seed=5, most_dip=17)])
def test_as_cues_no_word_is_lost_or_doubled_and_none_is_shown_before_the_one_before(
    speech: ToySpeech,
) -> None:
    pieces = cues(speech.blocks(), longest=8, neural=False)

    transcript = put_together(recognized(pieces, text_alone, seed=6), timing=Timing.VAD)

    starts = [s.start for s in transcript.segments if s.start is not None]
    assert words_of(transcript) == said(speech)
    assert starts == sorted(starts)
    assert all(s.timing is Timing.VAD for s in transcript.segments)
    assert all(s.end is not None and s.end <= b for s, b in zip(
        transcript.segments[:-1], starts[1:], strict=True))  # fmt: skip


@pytest.mark.parametrize("speech", [chatter(600, seed=7), sermon(400, seed=8, most_times=9)])
def test_times_of_words_are_those_of_the_recording_to_the_sample(speech: ToySpeech) -> None:
    pieces = parcels(speech.blocks(), longest=60, neural=False)

    transcript = put_together(recognized(pieces, with_words, seed=9))

    words = [word for segment in transcript.segments for word in segment.words]
    found = [Spoken(w.text, round(w.start * RATE), round(w.end * RATE)) for w in words]
    assert found == speech.words


def test_what_failed_is_marked_and_the_words_around_it_are_all_there() -> None:
    speech = chatter(400, seed=10)
    parts = list(
        recognized(parcels(speech.blocks(), longest=60, neural=False), text_alone, seed=11)
    )
    place = parts[3].place
    parts[3] = gap(place)

    transcript = put_together(parts)

    mark = transcript.segments[3]
    here = [w.text for w in speech.words
            if not place.start * RATE <= w.first < place.end * RATE]  # fmt: skip
    others = [s.text for s in transcript.segments if s is not mark]
    assert mark.text.startswith("[no transcript 00:0")
    assert (mark.start, mark.end) == (place.start, place.end)
    assert " ".join(others).split() == here
