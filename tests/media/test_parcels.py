from __future__ import annotations

import tracemalloc
from collections.abc import Iterable, Iterator
from itertools import islice, pairwise

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from asrcli.media.parcels import Parcel, cues, parcels
from tests.emulators.toy_speech import ToySpeech, chatter, sermon
from tests.recordings import RATE, RECORDINGS, recording

Samples = NDArray[np.float32]


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE), dtype=np.float32)


def noise(seconds: float, level: float, *, seed: int = 1) -> Samples:
    """White noise, RMS at `level` dBFS."""
    samples = np.random.default_rng(seed).standard_normal(round(seconds * RATE))
    return (samples * 10 ** (level / 20)).astype(np.float32)


def clip(name: str) -> Samples:
    samples, _ = soundfile.read(recording(name).path, dtype="float32")
    return samples  # type: ignore[no-any-return]


def blocks_of(*parts: Samples, size: int = RATE) -> Iterator[Samples]:
    samples = np.concatenate(parts)
    return (samples[i : i + size] for i in range(0, len(samples), size))


def bounds(pieces: Iterable[Parcel]) -> list[tuple[float, float]]:
    return [(piece.place.start, piece.place.end) for piece in pieces]


def sound(speech: ToySpeech) -> NDArray[np.int16]:
    samples = np.concatenate(list(speech.blocks()))
    return np.asarray(np.rint(samples * 32_768), dtype=np.int16)


# --- what is sent -------------------------------------------------------------------------------


def test_each_sample_of_a_parcel_is_where_its_place_says() -> None:
    speech = chatter(300, seed=1)
    recorded = sound(speech)

    found = list(parcels(speech.blocks(), longest=60, neural=False))

    assert sum(len(piece.place.spans) for piece in found) > len(found)
    for piece in found:
        for span in piece.place.spans:
            inside = piece.pcm[span.inside : span.inside + span.length]
            assert np.array_equal(inside, recorded[span.source : span.source + span.length])
        last = piece.place.spans[-1]
        assert len(piece.pcm) == last.inside + last.length
        assert piece.seconds == piece.place.seconds
        assert np.array_equal(np.rint(piece.samples * 32_768), piece.pcm)


@pytest.mark.parametrize("longest", [10.0, 60.0, 180.0])
@pytest.mark.parametrize("speech", [chatter(600, seed=2), sermon(600, seed=3)])
def test_no_parcel_is_longer_than_it_may_be_and_those_cut_at_pauses_are_well_filled(
    speech: ToySpeech, longest: float
) -> None:
    found = list(parcels(speech.blocks(), longest=longest, neural=False))

    assert all(piece.seconds <= longest for piece in found)
    for piece, following in pairwise(found):
        assert piece.seconds >= longest / 2
        if following.place.seam is None:
            assert piece.seconds >= longest * 2 / 3 - 0.01
            assert piece.place.end <= following.place.start
        else:
            shared = piece.place.end - following.place.start
            assert following.place.start < following.place.seam < piece.place.end
            assert longest / 5 <= shared <= 2 * longest / 5 or 1.6 <= shared <= 3.2


def test_with_pauses_every_cut_is_in_one() -> None:
    speech = chatter(600, seed=4)

    found = list(parcels(speech.blocks(), longest=60, first=20, neural=False))

    edges = [edge * RATE for place in bounds(found) for edge in place]
    inside = [w for w in speech.words if any(w.first < edge < w.stop for edge in edges)]
    assert len(found) > 5
    assert inside == []
    assert all(piece.place.seam is None for piece in found)


def test_the_last_piece_of_a_recording_ends_with_its_last_sample() -> None:
    speech = sermon(20.0, seed=5)

    *_, last = parcels(speech.blocks(), longest=8, neural=False)

    assert last.place.end == speech.seconds


def test_a_long_silence_is_shortened_and_a_short_one_is_left_as_it_is() -> None:
    number, bridge = clip("number"), clip("bridge")
    quiet = len(number) / RATE

    (piece,) = parcels(
        blocks_of(silence(5), number, silence(10), bridge, silence(0.9), number, silence(4)),
        longest=60,
    )

    assert len(piece.place.spans) == 2
    first, second = piece.place.spans
    assert 4.5 <= first.source / RATE <= 5.2
    assert (first.source + first.length) / RATE == pytest.approx(5 + quiet + 0.4, abs=0.4)
    assert second.source / RATE == pytest.approx(15 + quiet - 0.4, abs=0.4)
    end = 15.9 + 2 * quiet + len(bridge) / RATE
    assert (second.source + second.length) / RATE == pytest.approx(end + 0.4, abs=0.4)


def test_of_every_recording_nothing_that_is_spoken_is_left_out() -> None:
    for spoken in RECORDINGS:
        samples, _ = soundfile.read(spoken.path, dtype="float32")
        for made in (
            list(parcels(blocks_of(silence(3), samples, silence(3)), longest=20)),
            list(cues(blocks_of(silence(3), samples, silence(3)), longest=8)),
        ):
            spans = [span for piece in made for span in piece.place.spans]
            for word in spoken.words:
                assert any(
                    span.source <= (3 + word.start + 0.05) * RATE
                    and (3 + word.end - 0.05) * RATE <= span.source + span.length
                    for span in spans
                ), (spoken.name, word)


@pytest.mark.parametrize("cut", [parcels, cues])
@pytest.mark.parametrize(
    "samples",
    [silence(0), silence(30), noise(30, -30), noise(1, -60), silence(0.005)],
    ids=["nothing", "zeros", "noise", "a second of noise", "less than a frame"],
)
def test_where_nobody_speaks_nothing_is_sent(cut: object, samples: Samples) -> None:
    assert callable(cut)
    assert list(cut(blocks_of(samples), longest=10)) == []


def test_noise_between_two_who_speak_is_not_sent_with_them() -> None:
    number = clip("number")
    applause = noise(12, -25) * np.repeat([0.2, 1.0, 0.4], 4 * RATE).astype(np.float32)

    found = list(parcels(blocks_of(number, silence(3), applause, silence(3), number), longest=60))

    assert sum(piece.seconds for piece in found) < 2 * len(number) / RATE + 2.5


def test_a_soft_voice_behind_loud_music_is_sent() -> None:
    time = np.arange(60 * RATE) / RATE
    music = (0.4 * np.sin(2 * np.pi * 220 * time)).astype(np.float32)
    soft = clip("number") * np.float32(0.05)

    found = list(parcels(blocks_of(music, silence(3), soft, silence(3)), longest=180))

    assert found[-1].place.end >= 63 + len(soft) / RATE - 0.3


def test_a_short_word_alone_is_sent_however_short() -> None:
    yes = clip("number")[: round(0.6 * RATE)]

    found = list(parcels(blocks_of(silence(20), yes, silence(20)), longest=60, neural=False))

    assert 0.5 < sum(piece.seconds for piece in found) < 2


def test_samples_that_are_no_numbers_do_no_harm() -> None:
    samples = clip("number").copy()
    samples[1_000:1_100] = np.nan
    samples[1_100:1_200] = np.inf

    (piece,) = parcels(blocks_of(samples), longest=60)

    assert len(piece.pcm) > RATE


# --- first, cues, channels ----------------------------------------------------------------------


def test_the_first_parcels_are_short_and_come_while_the_rest_is_still_to_be_read() -> None:
    read = 0

    def counted() -> Iterator[Samples]:
        nonlocal read
        for block in chatter(900, seed=6).blocks(RATE):
            read += len(block)
            yield block

    made = parcels(counted(), longest=180, first=60, neural=False)
    *early, late = islice(made, 5)

    assert all(40 <= parcel.seconds <= 60 for parcel in early)
    assert late.seconds >= 120
    assert read <= 540 * RATE
    read = 0
    next(parcels(counted(), longest=180, first=60, neural=False))
    assert read <= 80 * RATE


def test_without_a_pause_the_first_parcel_comes_after_no_more_than_the_longest() -> None:
    read = 0

    def counted() -> Iterator[Samples]:
        nonlocal read
        for block in sermon(400, seed=7).blocks(RATE):
            read += len(block)
            yield block

    next(parcels(counted(), longest=180, first=60, neural=False))

    assert read <= 190 * RATE


def test_cues_end_at_pauses_and_are_as_short_as_asked_for() -> None:
    speech = chatter(300, seed=8)

    found = list(cues(speech.blocks(), longest=8, neural=False))

    assert all(piece.seconds <= 8 and len(piece.place.spans) == 1 for piece in found)
    assert all(a.place.end <= b.place.start for a, b in pairwise(found))
    pauses = [b.first - a.stop for a, b in pairwise(speech.words)]
    assert len(found) > sum(pause > 0.7 * RATE for pause in pauses)


def test_every_place_knows_the_channel_it_is_from() -> None:
    speech = chatter(60, seed=9)

    assert {p.place.channel for p in parcels(speech.blocks(), longest=30, channel=1)} <= {1}
    assert {p.place.channel for p in cues(speech.blocks(), longest=8, neural=False, channel=2)} == {
        2
    }


@pytest.mark.parametrize("arguments", [{"longest": 2.9}, {"longest": 60, "first": 0.5}])
def test_parcels_too_short_to_be_made_are_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="too short"):
        next(parcels([], **arguments))  # type: ignore[arg-type]


# --- always the same, in little memory ----------------------------------------------------------


@settings(max_examples=8, deadline=None, database=None)
@given(size=st.integers(1_000, 400_000), seed=st.integers(0, 3))
def test_the_blocks_that_samples_come_in_make_no_difference(size: int, seed: int) -> None:
    for speech in (chatter(80, seed=seed), sermon(80, seed=seed)):
        one = list(parcels(speech.blocks(), longest=30, first=10, neural=False))
        other = list(parcels(speech.blocks(size), longest=30, first=10, neural=False))

        assert [piece.place for piece in one] == [piece.place for piece in other]
        assert [piece.digest() for piece in one] == [piece.digest() for piece in other]


def test_a_digest_stays_the_same_from_version_to_version_and_is_of_the_sound_alone() -> None:
    speech = chatter(30, seed=10)

    (one,) = parcels(speech.blocks(), longest=60, neural=False)
    (other,) = parcels(
        (block for part in ([silence(8)], speech.blocks()) for block in part),
        longest=60,
        neural=False,
        channel=1,
    )

    assert one.place != other.place
    assert len(one.digest()) == 64
    assert Parcel(one.pcm.copy(), other.place).digest() == one.digest()


def test_six_hours_are_held_in_part_only() -> None:
    talk = [*chatter(400, seed=11).blocks(10 * RATE)]
    quiet = silence(60)

    def recorded() -> Iterator[Samples]:
        for hour in range(6):
            yield from (quiet for _ in range(58))
            yield from (talk if hour in {0, 3, 5} else ())

    tracemalloc.start()
    found = sum(1 for _ in parcels(recorded(), longest=180, first=60, neural=False))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert found >= 6
    assert peak < 45_000_000  # six hours are 1.4 GB
