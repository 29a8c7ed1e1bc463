"""Samples: all of them, in their place, and no more than a second at a time."""

from __future__ import annotations

import random
import sys
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
import soundfile

from asrcli.errors import EmptyFileError, FileUnreadableError, InputError, NotAudioError, UsageError
from asrcli.media.decode import blocks, read_clip
from asrcli.media.probe import probe
from tests.media.likeness import lag, likeness
from tests.recordings import FORMATS_MADE, concatenate, encode_as, recording, side_by_side, tone

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

RATE = 16_000
SPOKEN = recording("number")
LONGER = recording("planet")


def original(path: Path = SPOKEN.path) -> Samples:
    samples, _ = soundfile.read(path, dtype="float32")
    return samples  # type: ignore[no-any-return]


def decoded(path: Path) -> Samples:
    return read_clip(path, container=probe(path).container)


def loudness(samples: Samples) -> float:
    """RMS in dB of full scale."""
    return float(20 * np.log10(np.sqrt(np.mean(samples.astype(np.float64) ** 2)) + 1e-12))


# --- every format -----------------------------------------------------------------------------


@pytest.mark.parametrize("container", FORMATS_MADE)
def test_a_recording_is_the_same_in_every_container(
    made: Callable[[str], Path], container: str
) -> None:
    sound = read_clip(made(container), container=container)

    assert len(sound) / RATE == pytest.approx(SPOKEN.seconds, abs=0.06)
    assert lag(sound, original()) == pytest.approx(0, abs=0.01)
    assert likeness(sound, original()) > (0.7 if container == "amr" else 0.95)


@pytest.mark.parametrize("container", FORMATS_MADE)
def test_blocks_are_mono_of_one_length(made: Callable[[str], Path], container: str) -> None:
    *first, last = blocks(made(container), container=container, block_seconds=0.3)

    assert {len(block) for block in first} == {4_800}
    assert 0 < len(last) <= 4_800
    for block in (*first, last):
        assert block.dtype == np.float32
        assert block.ndim == 1
        assert np.abs(block).max() <= 1.0


@pytest.mark.parametrize("container", ["wav", "flac", "aiff"])
def test_16_bits_stay_what_they_are(container: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    soundfile.write(path, original(), RATE, subtype="PCM_16", format=container.upper())

    assert np.array_equal(read_clip(path, container=container), original())


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ALAW"])
@pytest.mark.parametrize("form", ["WAV", "CAF"])
def test_any_kind_of_sample_has_the_same_loudness(form: str, subtype: str, tmp_path: Path) -> None:
    subtype = "PCM_S8" if (form, subtype) == ("CAF", "PCM_U8") else subtype
    path = tmp_path / "x"
    soundfile.write(path, original(), RATE, format=form, subtype=subtype)

    sound = decoded(path)

    assert loudness(sound) == pytest.approx(loudness(original()), abs=0.1)
    assert likeness(sound, original()) > 0.99


# --- rates and channels -----------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("container", ["wav", "mkv"])
def test_no_sample_is_lost_or_moved_by_another_rate(
    container: str, rate: int, tmp_path: Path
) -> None:
    codec = "pcm_s16le" if container == "mkv" else None
    path = encode_as(SPOKEN.path, container, tmp_path, rate=rate, codec=codec, video=False)

    sound = read_clip(path, container=container)

    assert len(sound) == pytest.approx(len(original()), abs=2)
    assert lag(sound, original()) == 0
    assert likeness(sound, original()) > (0.99 if rate >= RATE else 0.9)


def test_what_is_too_high_for_the_new_rate_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    time = np.arange(44_100) / 44_100
    soundfile.write(path, 0.5 * np.sin(2 * np.pi * 9_000 * time), 44_100)

    middle = read_clip(path, container="wav")[1_000:-1_000]

    assert loudness(middle) < -90


def test_another_rate_can_be_asked_for(made: Callable[[str], Path]) -> None:
    sound = read_clip(made("wav"), container="wav", sample_rate=8_000)

    assert len(sound) == pytest.approx(SPOKEN.seconds * 8_000, abs=1)


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """Left a tone, right speech."""
    left = tone(SPOKEN.seconds, tmp_path / "tone.wav")
    return side_by_side([left, SPOKEN.path], tmp_path / "pair.wav")


def test_a_channel_can_be_chosen(pair: Path) -> None:
    right = read_clip(pair, container="wav", channel=1)

    assert np.array_equal(right[: len(original())], original())


@pytest.mark.parametrize("through_ffmpeg", [False, True])
def test_mono_is_the_mean_of_all_channels(
    pair: Path, tmp_path: Path, *, through_ffmpeg: bool
) -> None:
    sides = [read_clip(pair, container="wav", channel=n) for n in (0, 1)]
    path, container = pair, "wav"
    if through_ffmpeg:
        path, container = tmp_path / "x.w64", "w64"
        samples, rate = soundfile.read(pair, dtype="int16")
        soundfile.write(path, samples, rate, format="W64")

    mono = read_clip(path, container=container)

    assert np.allclose(mono, (sides[0] + sides[1]) / 2, atol=1e-6)


@pytest.mark.parametrize("count", [2, 6, 7, 8, 9, 16, 64])
def test_any_number_of_channels_is_read(count: int, tmp_path: Path) -> None:
    path = tmp_path / "x.ogg"  # Vorbis keeps its channels apart.
    sound = np.zeros((len(original()), count), dtype=np.float32)
    sound[:, 0] = original()
    soundfile.write(path, sound, RATE, subtype="VORBIS")

    mono, first, last = (
        read_clip(path, container="ogg", channel=channel) for channel in (None, 0, count - 1)
    )

    assert probe(path).channels == count
    assert likeness(first, original()) > 0.99
    assert loudness(mono) == pytest.approx(loudness(original() / np.float32(count)), abs=0.5)
    assert loudness(last) < -60


@pytest.mark.parametrize("channel", [2, -1])
def test_a_channel_that_is_not_there_is_refused(pair: Path, channel: int) -> None:
    with pytest.raises(UsageError, match=f"no channel {channel}") as caught:
        next(blocks(pair, container="wav", channel=channel))

    assert caught.value.hint == "It has 2, counted from 0."


def test_the_track_that_is_asked_for_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "x.mkv"
    tones = (0.1, 0.4)
    with av.open(str(path), "w", format="matroska") as out:
        streams: list[Any] = [out.add_stream("pcm_s16le", rate=RATE, layout="mono") for _ in tones]
        for stream, level in zip(streams, tones, strict=True):
            samples = np.full((1, RATE), level * 32_768, dtype=np.int16)
            frame = av.AudioFrame.from_ndarray(samples, "s16", "mono")
            frame.sample_rate, frame.pts = RATE, 0
            out.mux([*stream.encode(frame), *stream.encode(None)])

    levels = [read_clip(path, container="mkv", track=track).mean() for track in (0, 1)]

    assert levels == pytest.approx(tones, abs=0.001)


@pytest.mark.parametrize(("first", "second"), [(1, 2), (2, 1)])
def test_channels_may_change_on_the_way(first: int, second: int, tmp_path: Path) -> None:
    parts = []
    for number, channels in enumerate((first, second)):
        folder = tmp_path / str(number)
        folder.mkdir()
        parts.append(encode_as(SPOKEN.path, "mp3", folder, channels=channels).read_bytes())
    path = tmp_path / "x.mp3"
    path.write_bytes(b"".join(parts))

    sound = decoded(path)

    assert len(sound) / RATE == pytest.approx(2 * SPOKEN.seconds, abs=0.2)
    assert likeness(sound[:RATE], original()[:RATE]) > 0.9
    assert likeness(sound[-RATE:], original()[-RATE:]) > 0.9


def test_the_rate_may_change_on_the_way(tmp_path: Path) -> None:
    parts = []
    for rate in (16_000, 44_100):
        folder = tmp_path / str(rate)
        folder.mkdir()
        parts.append(encode_as(SPOKEN.path, "aac", folder, rate=rate).read_bytes())
    path = tmp_path / "x.aac"
    path.write_bytes(b"".join(parts))

    sound = decoded(path)

    assert len(sound) / RATE == pytest.approx(2 * SPOKEN.seconds, abs=0.2)
    assert likeness(sound[-RATE:], original()[-RATE:]) > 0.9


# --- samples beyond ---------------------------------------------------------------------------


def test_samples_beyond_full_scale_and_no_numbers_stay_in_range(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    samples = np.array([0.5, 7.0, -7.0, np.nan, np.inf, -np.inf, 0.25], dtype=np.float32)
    soundfile.write(path, samples, RATE, subtype="FLOAT")

    assert read_clip(path, container="wav").tolist() == [0.5, 1, -1, 0, 1, -1, 0.25]


def test_a_header_that_declares_nothing_does_not_hide_the_sound(
    tmp_path: Path,
) -> None:
    data = bytearray(SPOKEN.path.read_bytes())
    at = data.index(b"data")
    data[4:8] = data[at + 4 : at + 8] = bytes(4)
    path = tmp_path / "x.wav"
    path.write_bytes(data)

    assert np.array_equal(read_clip(path, container="wav"), original())


# --- damage -----------------------------------------------------------------------------------


@pytest.mark.parametrize("container", ["flac", "mkv", "ogg", "opus", "webm", "m4a"])
def test_a_hole_in_the_middle_leaves_the_rest_in_its_place(container: str, tmp_path: Path) -> None:
    source = original(LONGER.path)
    path = encode_as(LONGER.path, container, tmp_path)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 300] = random.Random(1).randbytes(300)
    path.write_bytes(data)

    sound = decoded(path)

    assert likeness(sound[: 2 * RATE], source[: 2 * RATE]) > 0.95
    end = len(source) - RATE
    assert lag(sound[end : len(source)], source[end:]) == pytest.approx(0, abs=0.01)
    assert likeness(sound[end : len(source)], source[end:]) > 0.95


@pytest.mark.parametrize("container", ["aac", "amr", "avi", "flv", "mp3", "mpeg", "wma"])
def test_a_hole_in_the_middle_loses_little_where_nothing_tells_times(
    container: str, tmp_path: Path
) -> None:
    path = encode_as(LONGER.path, container, tmp_path)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 100] = random.Random(1).randbytes(100)
    path.write_bytes(data)

    sound = decoded(path)

    assert len(sound) / RATE == pytest.approx(LONGER.seconds, abs=0.6)
    tail = original(LONGER.path)[-RATE:]
    assert likeness(sound[-2 * RATE :], tail) > (0.6 if container == "amr" else 0.9)


@pytest.mark.parametrize("container", ["flac", "aac", "ogg", "mkv"])
def test_of_a_file_cut_short_the_rest_is_decoded(container: str, tmp_path: Path) -> None:
    path = encode_as(LONGER.path, container, tmp_path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])

    sound = decoded(path)

    assert 0.4 * LONGER.seconds < len(sound) / RATE < 0.7 * LONGER.seconds
    assert likeness(sound, original(LONGER.path)) > 0.95


@pytest.mark.parametrize("container", ["m4a", "flac", "mp3", "ogg", "wav"])
def test_what_cannot_be_decoded_at_all_is_no_sound(container: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(random.Random(1).randbytes(20_000))

    with pytest.raises(NotAudioError):
        read_clip(path, container=container)


def test_a_file_that_went_away_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(FileUnreadableError):
        read_clip(tmp_path / "x.wav", container="wav")


def test_a_header_alone_is_empty(made: Callable[[str], Path], tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    data = made("wav").read_bytes()
    path.write_bytes(data[: data.index(b"data") + 8])

    with pytest.raises(EmptyFileError):
        read_clip(path, container="wav")


# --- times ------------------------------------------------------------------------------------


def dated(path: Path, muxer: str, *, at: Callable[[float], float], picture: bool) -> Path:
    """Speech as PCM or Opus whose packets are dated `at(their time)`; pictures from 0 if asked."""
    with av.open(str(path), "w", format=muxer) as out:
        video: Any = out.add_stream("mpeg4", rate=25) if picture else None
        sound: Any = out.add_stream("libopus", rate=RATE, layout="mono")
        if video is not None:
            video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
            for number in range(200):
                image: Any = av.VideoFrame(32, 32, "yuv420p")
                image.pts = number
                out.mux(video.encode(image))
            out.mux(video.encode(None))
        integers = np.rint(original(LONGER.path) * 32_768).astype(np.int16)[None, :]
        frame = av.AudioFrame.from_ndarray(integers, "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        for packet in [*sound.encode(frame), *sound.encode(None)]:
            packet.pts = packet.dts = round(
                at(float(packet.pts * packet.time_base)) / packet.time_base
            )
            out.mux(packet)
    return path


def test_sound_that_starts_after_the_pictures_starts_with_silence(tmp_path: Path) -> None:
    path = dated(tmp_path / "x.mkv", "matroska", at=lambda time: time + 2, picture=True)

    sound = decoded(path)

    assert probe(path).duration == pytest.approx(LONGER.seconds + 2, abs=0.06)
    assert len(sound) / RATE == pytest.approx(LONGER.seconds + 2, abs=0.06)
    assert not sound[: int(1.9 * RATE)].any()
    assert lag(sound, original(LONGER.path)) == pytest.approx(2, abs=0.03)


@pytest.mark.parametrize(("name", "muxer"), [("webm", "webm"), ("opus", "ogg")])
def test_a_gap_in_the_sound_is_silence(name: str, muxer: str, tmp_path: Path) -> None:
    path = dated(tmp_path / f"x.{name}", muxer, at=lambda t: t if t < 3 else t + 1.5, picture=False)

    sound = decoded(path)

    start, end = original(LONGER.path)[: 2 * RATE], original(LONGER.path)[-2 * RATE :]
    assert len(sound) / RATE == pytest.approx(LONGER.seconds + 1.5, abs=0.06)
    assert lag(sound, start) == pytest.approx(0, abs=0.02)
    assert lag(sound, end) == pytest.approx(LONGER.seconds - 2 + 1.5, abs=0.02)
    assert not sound[int(3.1 * RATE) : int(4.4 * RATE)].any()


def test_a_clock_that_jumps_by_a_day_makes_no_day_of_silence(tmp_path: Path) -> None:
    path = dated(
        tmp_path / "x.mkv", "matroska", at=lambda t: t if t < 3 else t + 86_400, picture=False
    )

    assert len(decoded(path)) / RATE == pytest.approx(LONGER.seconds, abs=0.06)


@pytest.mark.parametrize("container", ["ogg", "opus", "mp3", "aac", "webm"])
def test_recordings_glued_together_follow_each_other(
    made: Callable[[str], Path], container: str, tmp_path: Path
) -> None:
    path = tmp_path / "x"
    path.write_bytes(made(container).read_bytes() * 2)

    sound = decoded(path)

    assert len(sound) / RATE == pytest.approx(2 * SPOKEN.seconds, abs=0.2)
    assert likeness(sound[len(sound) // 2 :], original()) > 0.9


# --- resources --------------------------------------------------------------------------------


@pytest.mark.parametrize("container", ["flac", "mkv"])
def test_memory_does_not_grow_with_length(container: str, tmp_path: Path) -> None:
    path = concatenate([recording("journey").path] * 5, tmp_path / "long.flac")
    if container == "mkv":
        path = encode_as(path, "mkv", tmp_path, video=False)
    decoded(encode_as(SPOKEN.path, container, tmp_path))  # What is imported does not count.

    tracemalloc.start()
    try:
        seconds = sum(len(block) for block in blocks(path, container=container)) / RATE
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert seconds == pytest.approx(5 * recording("journey").seconds, abs=0.1)
    assert peak < 4_000_000


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="lists no open files")
@pytest.mark.parametrize("container", ["wav", "flac", "mp3", "webm"])
def test_closing_the_blocks_closes_the_file(made: Callable[[str], Path], container: str) -> None:
    path = made(container)
    found = blocks(path, container=container, block_seconds=0.1)
    next(found)
    assert path in opened()

    found.close()

    assert path not in opened()


def opened() -> list[Path]:
    """Every file that is open in this process."""
    return [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]


def test_nothing_is_opened_before_it_is_needed(tmp_path: Path) -> None:
    found = blocks(tmp_path / "missing.wav", container="wav")

    with pytest.raises(FileUnreadableError):
        next(found)


def test_a_clip_of_more_than_ten_minutes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, np.zeros(601 * 1_000), 1_000)

    with pytest.raises(InputError, match="longer than 10 minutes"):
        read_clip(path, container="wav")


@pytest.mark.parametrize("container", FORMATS_MADE)
def test_libraries_write_nothing_to_standard_error(
    container: str,
    made: Callable[[str], Path],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "x"
    data = bytearray(made(container).read_bytes())
    rng = random.Random(1)
    for at in range(400, len(data) - 40, len(data) // 9):
        data[at : at + 40] = rng.randbytes(40)
    path.write_bytes(data)

    with suppress(InputError):
        list(blocks(path, container=container))

    assert capfd.readouterr() == ("", "")


# --- other files ------------------------------------------------------------------------------


def atoms(data: bytes, start: int, end: int) -> list[tuple[int, int, bytes]]:
    """Start, end and kind of the atoms of a QuickTime movie between two places."""
    found = []
    while start < end:
        length = int.from_bytes(data[start : start + 4], "big")
        found.append((start, start + length, data[start + 4 : start + 8]))
        start += length
    return found


def replaced(data: bytes, path: list[bytes], new: bytes) -> bytes:
    """The movie with the atom at the end of `path` replaced, and all around it lengthened."""
    around, start, end = [], 0, len(data)
    for kind in path:
        start, end = next((s, e) for s, e, k in atoms(data, start, end) if k == kind)
        around.append(start)
        start += 8
    changed = bytearray(data[: start - 8] + new + data[end:])
    for place in around[:-1]:
        length = int.from_bytes(changed[place : place + 4], "big") + len(new) - (end - start + 8)
        changed[place : place + 4] = length.to_bytes(4, "big")
    return bytes(changed)


def alias(target: Path) -> bytes:
    """A data reference of QuickTime to another file (what Finder calls an alias)."""
    name = str(target).encode()
    record = bytes(10) + bytes([1]) + b"x".ljust(27, b"\0") + bytes(12)
    record += bytes([len(target.name)]) + target.name.encode().ljust(63, b"\0") + bytes(16)
    record += (1).to_bytes(2, "big") + (1).to_bytes(2, "big") + bytes(16)
    padded = name + bytes(len(name) % 2)
    record += (2).to_bytes(2, "big") + len(name).to_bytes(2, "big") + padded + b"\xff\xff\0\0"
    entry = b"alis" + bytes(4) + record
    entry = (len(entry) + 4).to_bytes(4, "big") + entry
    return (16 + len(entry)).to_bytes(4, "big") + b"dref" + bytes(4) + b"\0\0\0\x01" + entry


@pytest.mark.skipif(sys.platform == "win32", reason="names folders in another way")
def test_a_movie_that_names_another_file_as_its_sound_gets_nothing_of_it(tmp_path: Path) -> None:
    secret = tone(2, tmp_path / "secret.wav")
    path = encode_as(SPOKEN.path, "mov", tmp_path, video=False)
    place = [b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"]
    path.write_bytes(replaced(path.read_bytes(), place, alias(secret)))
    tempted = {"enable_drefs": "1", "use_absolute_path": "1"}
    with av.open(str(path), options=tempted) as movie:
        taken = np.concatenate([f.to_ndarray()[0] for f in movie.decode(audio=0)]) / 32_768

    assert likeness(taken.astype(np.float32)[1_000:9_000], original(secret)) > 0.99

    with pytest.raises(NotAudioError):
        decoded(path)
    with pytest.raises(NotAudioError):
        read_clip(path, container="mov")
