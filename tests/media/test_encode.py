"""What is written decodes to what went in, at its place, in a size that was foreseen."""

from __future__ import annotations

import os
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile

from asrcli.errors import NotAudioError, OutputError
from asrcli.media.decode import blocks, read_clip
from asrcli.media.encode import Codec, encode, encode_bytes, estimated_bytes
from asrcli.media.formats import FORMATS
from asrcli.media.probe import probe
from tests.media.likeness import lag, likeness
from tests.recordings import recording

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

RATE = 16_000
SPOKEN = recording("number")
FRAME = {Codec.FLAC: 0, Codec.WAV: 0, Codec.OPUS: 320, Codec.MP3: 576}
"""Samples at 16 kHz."""


@pytest.fixture(scope="module")
def speech() -> Samples:
    samples, _ = soundfile.read(SPOKEN.path, dtype="float32")
    return samples  # type: ignore[no-any-return]


def in_blocks(samples: Samples, size: int = RATE) -> Iterator[Samples]:
    for start in range(0, len(samples), size):
        yield samples[start : start + size]


@pytest.mark.parametrize("codec", Codec)
def test_what_is_written_is_what_it_is_called(
    codec: Codec, speech: Samples, tmp_path: Path
) -> None:
    path = tmp_path / "x"

    size = encode(in_blocks(speech), path, codec)

    audio = probe(path)
    assert size == audio.size == path.stat().st_size
    assert audio.container == codec.container
    assert audio.mime_type == codec.mime_type == FORMATS[codec.container].mime_type
    assert audio.channels == 1
    assert audio.duration == pytest.approx(SPOKEN.seconds, abs=0.01)


@pytest.mark.parametrize("codec", Codec)
@pytest.mark.parametrize("count", [1, 159, 320, 1_601, 31_360])
def test_as_many_samples_come_out_as_went_in(
    codec: Codec, count: int, speech: Samples, tmp_path: Path
) -> None:
    path = tmp_path / "x"
    encode(in_blocks(speech[-count:]), path, codec)

    sound = read_clip(path, container=codec.container)

    assert len(sound) == pytest.approx(count, abs=FRAME[codec])


@pytest.mark.parametrize("codec", Codec)
def test_sound_stays_where_it_is_and_what_it_is(
    codec: Codec, speech: Samples, tmp_path: Path
) -> None:
    path = tmp_path / "x"
    encode(in_blocks(speech), path, codec)

    sound = read_clip(path, container=codec.container)

    assert lag(sound, speech) == pytest.approx(0, abs=0.01)
    assert likeness(sound, speech) > 0.98


@pytest.mark.parametrize("codec", [Codec.FLAC, Codec.WAV])
def test_16_bits_are_kept_to_the_last(codec: Codec, speech: Samples, tmp_path: Path) -> None:
    path = tmp_path / "x"
    extremes = np.array([1, -1, 32_767 / 32_768, 1 / 32_768, -1 / 32_768], dtype=np.float32)
    encode([speech, extremes], path, codec)

    sound = read_clip(path, container=codec.container)

    assert np.array_equal(sound[: len(speech)], speech)
    assert (sound[len(speech) :] * 32_768).tolist() == [32_767, -32_768, 32_767, 1, -1]


@pytest.mark.parametrize("codec", Codec)
def test_blocks_of_any_size_make_the_same_file(
    codec: Codec, speech: Samples, tmp_path: Path
) -> None:
    encode(in_blocks(speech), tmp_path / "a", codec)
    encode([speech[:0], *in_blocks(speech, 1_234), speech[:0]], tmp_path / "b", codec)

    whole = encode_bytes([speech], codec)

    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == whole


@pytest.mark.parametrize("codec", Codec)
@pytest.mark.parametrize("kind", ["speech", "noise", "silence"])
def test_no_file_is_larger_than_foreseen(codec: Codec, kind: str, speech: Samples) -> None:
    sound = {
        "speech": np.tile(speech, 10),
        "noise": np.random.default_rng(1).uniform(-1, 1, 20 * RATE).astype(np.float32),
        "silence": np.zeros(20 * RATE, dtype=np.float32),
    }[kind]

    size = len(encode_bytes(in_blocks(sound), codec))

    assert size <= estimated_bytes(codec, len(sound) / RATE)


@pytest.mark.parametrize("codec", Codec)
def test_of_speech_no_more_is_foreseen_than_planning_can_bear(
    codec: Codec, speech: Samples
) -> None:
    sound = np.tile(speech, 20)

    size = len(encode_bytes([sound], codec))

    assert estimated_bytes(codec, len(sound) / RATE) < 2 * size


def test_nothing_needs_no_more_than_a_header() -> None:
    assert {estimated_bytes(codec, -1.0) for codec in Codec} == {estimated_bytes(Codec.WAV, 0)}


@pytest.mark.parametrize("codec", Codec)
def test_another_rate_is_written_as_it_is(codec: Codec, speech: Samples, tmp_path: Path) -> None:
    path = tmp_path / "x"
    encode([speech[::2]], path, codec, sample_rate=8_000)

    assert probe(path).duration == pytest.approx(SPOKEN.seconds, abs=0.08)


@pytest.mark.parametrize("codec", Codec)
def test_a_decoder_goes_straight_into_an_encoder(codec: Codec, tmp_path: Path) -> None:
    path = tmp_path / "x"

    encode(blocks(SPOKEN.path, container="wav", block_seconds=0.1), path, codec)

    assert probe(path).duration == pytest.approx(SPOKEN.seconds, abs=0.01)


@pytest.mark.parametrize("codec", [Codec.FLAC, Codec.OPUS])
def test_memory_does_not_grow_with_length(codec: Codec, speech: Samples, tmp_path: Path) -> None:
    encode([speech], tmp_path / "first", codec)  # What is imported does not count.

    tracemalloc.start()
    try:
        encode((speech for _ in range(60)), tmp_path / "x", codec)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 3_000_000


# --- failures ---------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", Codec)
def test_a_folder_that_is_not_there_is_named(codec: Codec, speech: Samples, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"nowhere.*No such file"):
        encode([speech], tmp_path / "nowhere" / "x", codec)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no full device")
@pytest.mark.parametrize("codec", Codec)
def test_a_full_disk_is_said_to_be_full_and_by_us(
    codec: Codec, speech: Samples, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(OutputError, match="No space left on device"):
        encode([speech] * 30, Path("/dev/full"), codec)

    assert capfd.readouterr() == ("", "")
    assert Path("/dev/full").exists()


@pytest.mark.parametrize("codec", Codec)
def test_nothing_stays_of_a_file_that_could_not_be_completed(
    codec: Codec, speech: Samples, tmp_path: Path
) -> None:
    path = tmp_path / "x"

    def breaking() -> Iterator[Samples]:
        yield speech
        raise NotAudioError("the rest is damaged")

    with pytest.raises(NotAudioError, match="the rest"):
        encode(breaking(), path, codec)

    assert not path.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="has no such permissions")
def test_a_file_that_cannot_be_opened_is_left_alone(speech: Samples, tmp_path: Path) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    kept = folder / "kept"
    kept.write_bytes(b"kept")

    with pytest.raises(OutputError):
        encode([speech], folder, Codec.WAV)

    assert os.listdir(folder) == ["kept"]  # noqa: PTH208
