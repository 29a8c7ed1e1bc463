"""Sound from a pipe: raw PCM and WAV streams, at the speed of speech."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from asrcli.errors import (
    EmptyFileError,
    FileUnreadableError,
    NotAudioError,
    UnsupportedFormatError,
    UsageError,
)
from asrcli.media.live_input import LiveInput
from asrcli.media.pace import Pace
from asrcli.media.pcm import limited, pcm16
from tests.media.likeness import likeness
from tests.recordings import recording

SPOKEN = recording("number")


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sleeps: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds


@contextmanager
def pipe(data: bytes) -> Iterator[int]:
    """A pipe into which somebody writes the data, and closes it."""
    reading, writing = os.pipe()

    def write() -> None:
        with suppress(BrokenPipeError), os.fdopen(writing, "wb") as out:
            out.write(data)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield reading
    finally:
        # Whoever still reads would read from the next pipe that gets this number.
        for other in threading.enumerate():
            if other.name == "live-input":
                other.join(10)
        os.close(reading)
        thread.join()


def listen(descriptor: int, **options: Any) -> LiveInput:
    clock = options.pop("clock", None) or Clock()
    return LiveInput(descriptor, clock=clock, sleep=clock.sleep, **options)


def heard(data: bytes, **options: Any) -> Any:
    with pipe(data) as descriptor:
        blocks = list(listen(descriptor, **options).blocks())
        return np.concatenate(blocks)


def wav(
    samples: bytes,
    *,
    size: int | None = None,
    rate: int = 16_000,
    channels: int = 1,
    bits: int = 16,
    tag: int = 1,
    extra: bytes = b"",
    kind: bytes = b"RIFF",
) -> bytes:
    align = channels * bits // 8
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, tag, channels, rate, rate * align, align, bits)
    length = len(samples) if size is None else size
    data = struct.pack("<4sI", b"data", length) + samples
    return kind + struct.pack("<I", length & 0xFFFFFFFF) + b"WAVE" + extra + form + data


RAMP = np.arange(-1_600, 1_600, dtype="<i2")


def test_raw_pcm_comes_out_bit_by_bit() -> None:
    assert pcm16(heard(RAMP.tobytes())) == RAMP.tobytes()


def test_blocks_have_one_length_but_for_the_last() -> None:
    with pipe(RAMP.tobytes() + b"\1\0") as descriptor:
        blocks = list(listen(descriptor).blocks())

    assert [len(block) for block in blocks] == [1_600, 1_600, 1]


def test_raw_pcm_of_another_rate_and_two_channels_is_converted() -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000)
    both = np.stack([tone, tone / 2], axis=1) * 16_384

    sound = heard(both.astype("<i2").tobytes(), rate=48_000, channels=2)

    assert len(sound) == 16_000
    assert likeness(sound, tone[::3].astype(np.float32)) > 0.999
    assert np.max(np.abs(sound)) == pytest.approx(0.375, abs=0.01)


def test_half_a_sample_at_the_end_is_left_out_and_counted() -> None:
    with pipe(RAMP.tobytes() + b"\1") as descriptor:
        source = listen(descriptor)
        sound = np.concatenate(list(source.blocks()))

    assert pcm16(sound) == RAMP.tobytes()
    assert source.odd_bytes == 1


@pytest.mark.parametrize("size", [0, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF])
def test_a_wav_stream_without_its_size_is_heard_to_its_end(size: int) -> None:
    assert pcm16(heard(wav(RAMP.tobytes(), size=size))) == RAMP.tobytes()


def test_a_wav_stream_of_known_size_ends_there() -> None:
    samples = RAMP[:2_500].tobytes()
    data = wav(samples, extra=b"LIST\3\0\0\0abc\0") + b"LIST\4\0\0\0abcd"

    assert pcm16(heard(data)) == samples


def test_a_wav_stream_says_its_own_rate_and_channels() -> None:
    with pipe(wav(RAMP.tobytes(), rate=8_000, channels=2)) as descriptor:
        source = listen(descriptor)
        sound = np.concatenate(list(source.blocks()))

    assert (source.native_rate, source.channels) == (8_000, 2)
    assert len(sound) == len(RAMP)


@pytest.mark.parametrize(
    ("tag", "bits", "samples"),
    [
        (1, 8, bytes([0, 128, 192])),
        (1, 24, b"\0\0\x80" + b"\0\0\0" + b"\0\0\x40"),
        (1, 32, struct.pack("<3i", -(1 << 31), 0, 1 << 30)),
        (3, 32, struct.pack("<3f", -1, 0, 0.5)),
        (3, 64, struct.pack("<3d", -7, float("nan"), 0.5)),
    ],
)
def test_samples_of_every_width_are_read(tag: int, bits: int, samples: bytes) -> None:
    assert heard(wav(samples, tag=tag, bits=bits)).tolist() == [-1.0, 0.0, 0.5]


@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_s24le", "pcm_f32le"])
def test_what_ffmpeg_writes_into_a_pipe_is_heard(codec: str) -> None:
    program = shutil.which("ffmpeg")
    if program is None:
        pytest.skip("needs ffmpeg")
    command = [program, "-v", "error", "-i", str(SPOKEN.path), "-c:a", codec, "-f", "wav", "-"]
    data = subprocess.run(command, check=True, capture_output=True, timeout=30).stdout
    original, _ = soundfile.read(SPOKEN.path, dtype="float32")

    assert pcm16(heard(data)) == pcm16(original)


@pytest.mark.parametrize("start", [b"OggS", b"fLaC", b"ID3\4", b"RIFX", b"\0\0\0\x20ftyp"])
def test_other_formats_are_refused_with_a_way_to_convert_them(start: bytes) -> None:
    with pytest.raises(UnsupportedFormatError, match="only raw PCM and WAV") as caught:
        heard(start + bytes(100))

    assert "ffmpeg -i … -f wav -" in (caught.value.hint or "")


def test_a_compressed_wav_stream_is_refused() -> None:
    with pytest.raises(UnsupportedFormatError, match="0x0055"):
        heard(wav(bytes(100), tag=0x55))


@pytest.mark.parametrize(
    "data",
    [
        wav(b"")[:30],
        b"RIFF\0\0\0\0WAVE" + struct.pack("<4sI", b"data", 4) + bytes(4),
        b"RIFF\0\0\0\0WAVE" + struct.pack("<4sI", b"junk", 0xFFFF_FFF0) + bytes(100),
        wav(bytes(4), rate=0),
        wav(bytes(4), channels=0),
    ],
)
def test_a_broken_header_is_an_error(data: bytes) -> None:
    with pytest.raises(NotAudioError):
        heard(data)


def test_a_rate_that_contradicts_the_stream_is_refused() -> None:
    with pytest.raises(UsageError, match="--rate 8000 contradicts"):
        heard(wav(RAMP.tobytes()), rate=8_000)


def test_an_empty_pipe_is_an_error() -> None:
    with pytest.raises(EmptyFileError, match="standard input is empty"):
        heard(b"")


def test_a_pipe_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(FileUnreadableError, match="cannot be read: Is a directory"):
            list(listen(descriptor).blocks())
    finally:
        os.close(descriptor)


def test_a_terminal_is_refused() -> None:
    main, terminal = os.openpty()
    try:
        with pytest.raises(UsageError, match="is a terminal"):
            list(listen(terminal).blocks())
    finally:
        os.close(main)
        os.close(terminal)


def test_stop_ends_a_reader_that_waits_for_the_pipe() -> None:
    reading, writing = os.pipe()
    try:
        os.write(writing, bytes(6_400))
        source = listen(reading)
        blocks = source.blocks()
        assert len(next(blocks)) == 1_600
        next(blocks)
        threading.Thread(target=source.stop).start()

        assert list(blocks) == []
    finally:
        os.close(writing)
        os.close(reading)


def test_a_pipe_that_does_not_block_is_waited_for() -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    blocks = listen(reading).blocks()

    def write() -> None:
        os.write(writing, bytes(3_200))
        os.close(writing)

    thread = threading.Timer(0.05, write)  # The reader has found nothing by then.
    thread.start()
    try:
        assert [len(block) for block in blocks] == [1_600]
    finally:
        thread.join()
        os.close(reading)


def test_a_recording_is_handed_out_at_the_speed_of_speech() -> None:
    clock = Clock()
    heard(bytes(32_000 * 10), clock=clock)

    assert clock.now == pytest.approx(9.9)
    assert clock.sleeps == [pytest.approx(0.1)] * 99


def test_who_writes_more_than_is_due_has_to_wait() -> None:
    reading, writing = os.pipe()

    def write() -> None:
        with suppress(BrokenPipeError), os.fdopen(writing, "wb") as out:
            out.write(bytes(2_000_000))

    writer = threading.Thread(target=write)
    blocks = listen(reading).blocks()
    writer.start()
    next(blocks)
    writer.join(0.5)
    waits = writer.is_alive()
    rest = sum(map(len, blocks))
    writer.join()
    os.close(reading)

    assert waits
    assert rest == 1_000_000 - 1_600


def test_catching_up_goes_at_four_times_the_speed_and_then_no_more() -> None:
    clock = Clock()
    pace = Pace(clock=clock, sleep=clock.sleep)
    for _ in range(10):
        pace.wait(0.1)
    clock.now += 3.0
    behind = len(clock.sleeps)
    for _ in range(50):
        pace.wait(0.1)

    assert clock.sleeps[behind] == pytest.approx(0.025)
    assert min(clock.sleeps) >= 0.025 - 1e-9
    assert clock.sleeps[-1] == pytest.approx(0.1)
    assert clock.now == pytest.approx(5.9)


@pytest.mark.parametrize(("seconds", "count"), [(None, 3_200), (0.15, 2_400), (9, 3_200), (0, 0)])
def test_a_limit_in_seconds_is_kept_to_the_sample(seconds: float | None, count: int) -> None:
    blocks = [np.zeros(1_600, dtype=np.float32)] * 2

    assert sum(map(len, limited(blocks, seconds=seconds, sample_rate=16_000))) == count
