from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from asrcli.media.speech import Piece, cut, has_speech, speech_spans, utterances
from tests.recordings import RATE, RECORDINGS, Recording, recording

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

CLIPS = [clip for clip in RECORDINGS if clip.seconds < 30]


def read(clip: Recording) -> Samples:
    samples, _ = soundfile.read(clip.path, dtype="float32")
    return samples  # type: ignore[no-any-return]


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE), dtype=np.float32)


def noise(seconds: float, level: float, *, seed: int = 1, rate: int = RATE) -> Samples:
    """White noise, RMS at `level` dBFS."""
    samples = np.random.default_rng(seed).standard_normal(round(seconds * rate))
    return (samples * 10 ** (level / 20)).astype(np.float32)


def pink(seconds: float, level: float) -> Samples:
    spectrum = np.fft.rfft(noise(seconds, 0))
    samples: Samples = np.fft.irfft(spectrum / np.sqrt(np.arange(1, len(spectrum) + 1))).astype(
        np.float32
    )
    return samples * np.float32(10 ** (level / 20) / samples.std())


def tune(seconds: float) -> Samples:
    """Plucked notes with overtones, four a second, now and then two at once."""
    rng = np.random.default_rng(4)
    time = np.arange(RATE // 4) / RATE
    notes = []
    for _ in range(round(seconds * 4)):
        pitches = rng.choice([196.0, 262.0, 294.0, 330.0, 392.0, 440.0], size=rng.integers(1, 3))
        waves = [np.sin(2 * np.pi * p * k * time) / k for p in pitches for k in (1, 2, 3)]
        notes.append(0.1 * np.sum(waves, axis=0) * np.exp(-6 * time))
    return np.concatenate(notes).astype(np.float32)


def blocks_of(samples: Samples, size: int = RATE) -> Iterator[Samples]:
    return (samples[i : i + size] for i in range(0, len(samples), size))


def together(*parts: Samples) -> Samples:
    return np.concatenate(parts)


# --- cutting ----------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None, database=None)
@given(
    seconds=st.floats(0, 60),
    block=st.integers(300, 30_000),
    target=st.floats(4, 20),
    more=st.floats(0, 10),
    seed=st.integers(0, 9),
)
def test_pieces_join_to_the_recording_and_none_exceeds_the_limit(
    seconds: float, block: int, target: float, more: float, seed: int
) -> None:
    rate = 1_000
    swell = 1 + np.sin(np.arange(round(seconds * rate)) / rate * (seed + 1))
    samples = (noise(seconds, -20, seed=seed, rate=rate) * swell).astype(np.float32)

    limit = target + more
    pieces = list(cut(blocks_of(samples, block), target=target, limit=limit, sample_rate=rate))

    assert np.array_equal(np.concatenate([silence(0), *(p.samples for p in pieces)]), samples)
    assert [p.first for p in pieces[1:]] == [p.stop for p in pieces[:-1]]
    assert all(len(p.samples) <= limit * rate for p in pieces)
    assert all(p.end - p.start >= 1.0 for p in pieces) or len(pieces) == 1


def test_a_piece_ends_in_the_middle_of_the_pause_in_the_last_third() -> None:
    samples = together(noise(7, -20), silence(0.4), noise(4, -20), silence(0.4), noise(8, -20))

    first, *_ = cut(blocks_of(samples), target=9.0, limit=12.0)

    assert first.end == pytest.approx(7.2, abs=0.05)
    assert first.clean


def test_the_quietest_place_is_found_above_loud_noise_too() -> None:
    samples = together(noise(8, -14), noise(0.5, -31), noise(12, -14))

    first, *_ = cut(blocks_of(samples), target=9.0, limit=12.0)

    assert first.end == pytest.approx(8.25, abs=0.2)
    assert first.clean


def test_a_pause_after_the_target_is_taken_if_there_is_none_before() -> None:
    samples = together(noise(10.5, -20), silence(0.3), noise(10, -20))

    first, *_ = cut(blocks_of(samples), target=9.0, limit=12.0)

    assert first.end == pytest.approx(10.65, abs=0.05)
    assert first.clean


def test_without_any_pause_the_quietest_place_is_taken_and_said_to_be_no_pause() -> None:
    samples = together(noise(8, -20), noise(0.4, -26), noise(20, -20))

    first, *_ = cut(blocks_of(samples), target=9.0, limit=12.0)

    assert first.end == pytest.approx(8.2, abs=0.15)
    assert not first.clean


def test_speech_is_cut_between_its_sentences() -> None:
    journey = recording("journey")

    pieces = list(cut(blocks_of(read(journey)), target=15.0, limit=20.0))

    inside = [w for w in journey.words for p in pieces[:-1] if w.start < p.end < w.end]
    assert len(pieces) >= 4
    assert inside == []
    assert all(piece.clean for piece in pieces)


def test_a_recording_within_the_limit_is_not_cut_where_nobody_pauses() -> None:
    pieces = list(cut(blocks_of(noise(11, -20)), target=9.0, limit=12.0))

    assert [(p.first, p.stop, p.clean) for p in pieces] == [(0, 11 * RATE, True)]


def test_of_no_samples_there_are_no_pieces() -> None:
    assert list(cut([], target=9.0, limit=12.0)) == []
    assert list(cut([silence(0)], target=9.0, limit=12.0)) == []


@pytest.mark.parametrize(("target", "limit"), [(9.0, 8.0), (0.0, 8.0), (1.0, 8.0)])
def test_times_that_cannot_be_kept_are_refused(target: float, limit: float) -> None:
    with pytest.raises(ValueError, match="cannot cut"):
        next(cut([], target=target, limit=limit))


def test_cutting_hours_holds_no_more_than_a_window() -> None:
    an_hour = (noise(10, -20, seed=i, rate=1_000) for i in range(360))

    tracemalloc.start()
    seconds = sum(p.end - p.start for p in cut(an_hour, target=60, limit=90, sample_rate=1_000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert seconds == pytest.approx(3_600)
    assert peak < 3_000_000  # all of it would be 14.4 MB


# --- utterances -------------------------------------------------------------------------------


def spans_of(pieces: list[Piece]) -> list[tuple[float, float]]:
    return [(piece.start, piece.end) for piece in pieces]


def found(samples: Samples, *, longest: float = 30.0, pause: float = 0.5) -> list[Piece]:
    return list(utterances(blocks_of(samples), longest=longest, pause=pause))


@pytest.mark.parametrize(
    "samples",
    [
        silence(0),
        silence(0.05),
        silence(20),
        noise(8, -10),
        noise(8, -30),
        noise(8, -70),
        together(noise(4, -60), noise(4, -20), noise(4, -60)),
        pink(8, -20),
        together(silence(3), pink(1.5, -15), silence(3)),
        tune(8),
        0.3 * np.sin(2 * np.pi * 440 * np.arange(8 * RATE) / RATE).astype(np.float32),
        together(*[together(noise(0.01, -6), silence(0.5)) for _ in range(12)]),
    ],
    ids=[
        "nothing",
        "a moment",
        "silence",
        "loud noise",
        "noise",
        "hiss",
        "bursts",
        "pink",
        "rustle",
        "tune",
        "tone",
        "clicks",
    ],
)
def test_what_is_no_speech_gives_no_utterance(samples: Samples) -> None:
    assert found(samples) == []
    assert not has_speech(samples)
    assert speech_spans(samples) == []


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.name)
@pytest.mark.parametrize("hiss", [-90.0, -45.0])
def test_no_word_is_clipped(clip: Recording, hiss: float) -> None:
    samples = together(silence(2), read(clip), silence(2))
    samples += noise(len(samples) / RATE, hiss)

    spans = spans_of(found(samples, longest=5.0, pause=0.3))

    clipped = [
        word
        for word in clip.words
        if not any(a <= word.start + 2.05 and word.end + 1.95 <= b for a, b in _joined(spans))
    ]
    assert clipped == []


def _joined(spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    joined: list[tuple[float, float]] = []
    for begin, end in spans:
        if joined and joined[-1][1] == begin:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((begin, end))
    return joined


def test_utterances_lie_where_there_is_speech() -> None:
    number, bridge = recording("number"), recording("bridge")
    samples = together(silence(5), read(number), silence(4), read(bridge), silence(6))
    second = 5 + number.seconds + 4

    pieces = found(samples)

    assert len(pieces) == 2
    assert 4.8 <= pieces[0].start <= 5 + number.words[0].start
    assert 5 + number.words[-1].end <= pieces[0].end <= 5.2 + number.seconds
    assert second - 0.2 <= pieces[1].start <= second + bridge.words[0].start
    assert second + bridge.words[-1].end <= pieces[1].end <= second + bridge.seconds + 0.2
    assert all(piece.speech for piece in pieces)


def test_samples_of_an_utterance_are_those_of_the_recording() -> None:
    samples = together(silence(3), read(recording("bridge")), silence(3), read(CLIPS[0]))

    pieces = found(samples)

    assert len(pieces) >= 2
    assert all(np.array_equal(p.samples, samples[p.first : p.stop]) for p in pieces)


def test_a_clip_that_is_all_speech_is_one_utterance_from_its_first_sample_to_its_last() -> None:
    for clip in CLIPS:
        samples = read(clip)

        (piece,) = found(samples, pause=1.5)

        assert np.array_equal(piece.samples, samples)


def test_an_utterance_that_never_ends_is_cut_at_the_quietest_place() -> None:
    clip = recording("meeting")  # nine seconds without a pause
    pieces = found(read(clip), longest=4.0, pause=1.5)

    assert len(pieces) >= 3
    assert all(piece.end - piece.start <= 4.0 for piece in pieces)
    assert [p.first for p in pieces[1:]] == [p.stop for p in pieces[:-1]]


def test_noise_that_comes_and_goes_around_speech_is_left_out() -> None:
    clip = recording("bridge")
    samples = together(pink(10, -22), read(clip) + pink(clip.seconds, -45), tune(10))

    pieces = found(samples)

    assert pieces[0].start == pytest.approx(10 + clip.words[0].start, abs=1.6)
    assert pieces[-1].end == pytest.approx(10 + clip.words[-1].end, abs=1.6)


def test_very_soft_speech_is_heard() -> None:
    clip = recording("bridge")
    samples = together(silence(1), read(clip) * 10 ** (-40 / 20), silence(1)).astype(np.float32)

    assert has_speech(samples)


def test_speech_is_heard_above_steady_noise() -> None:
    clip = recording("bridge")
    samples = together(silence(20), read(clip), silence(20))
    samples += noise(len(samples) / RATE, -30)

    (span,) = _joined(speech_spans(samples))

    assert span[0] == pytest.approx(20 + clip.words[0].start, abs=0.5)
    assert span[1] == pytest.approx(20 + clip.words[-1].end, abs=0.5)


def test_without_the_gate_noise_that_stands_out_is_an_utterance_nobody_judged() -> None:
    samples = together(silence(3), pink(1.5, -15), silence(3))

    (piece,) = utterances(blocks_of(samples), longest=30, neural=False)

    assert piece.speech is None
    assert piece.start == pytest.approx(2.8, abs=0.05)


def test_without_the_gate_silence_and_steady_noise_are_no_speech_but_a_voice_is() -> None:
    assert not has_speech(silence(10), neural=False)
    assert not has_speech(noise(10, -30), neural=False)
    assert has_speech(together(silence(1), read(recording("number"))), neural=False)


def test_samples_that_are_no_numbers_do_no_harm() -> None:
    samples = read(recording("number")).copy()
    samples[1_000:1_200] = np.nan
    samples[1_200:1_300] = np.inf

    (piece,) = found(samples)

    assert len(piece.pcm16()) == 2 * len(samples)


def test_sixteen_bits_come_out_as_they_went_in() -> None:
    pcm, _ = soundfile.read(recording("number").path, dtype="int16")

    (piece,) = found(read(recording("number")))

    assert piece.pcm16() == pcm.astype("<i2").tobytes()


def test_long_silence_and_long_speech_are_held_in_part_only() -> None:
    clip = read(recording("bridge"))
    quiet = (silence(1) for _ in range(600))
    talk = (clip for _ in range(60))

    tracemalloc.start()
    found_in_quiet = sum(1 for _ in utterances(quiet, longest=30))
    _, peak_in_quiet = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    seconds = sum(p.end - p.start for p in utterances(talk, longest=30, pause=3, neural=False))
    _, peak_in_talk = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert found_in_quiet == 0
    assert seconds == pytest.approx(60 * len(clip) / RATE, abs=1)
    assert max(peak_in_quiet, peak_in_talk) < 15_000_000  # ten minutes are 38.4 MB


def test_a_constant_offset_hides_no_pause() -> None:
    number, bridge = recording("number"), recording("bridge")
    samples = together(silence(3), read(number), silence(3), read(bridge), silence(3))

    assert spans_of(found(samples + np.float32(0.1))) == spans_of(found(samples))
