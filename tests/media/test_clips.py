"""Clips in memory: channels, gain, ends, and the help of a program that may misbehave."""

from __future__ import annotations

import os
import select
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile

from asrcli.errors import MissingHelperError, NotAudioError, UnsupportedFormatError
from asrcli.media.audio import AudioFile
from asrcli.media.clips import (
    LONGEST,
    decode_with_ffmpeg,
    normalize,
    split_channels,
    trim_silence,
)
from asrcli.media.ffmpeg import find_ffmpeg, run_ffmpeg
from asrcli.media.probe import probe
from tests.media.likeness import lag, likeness
from tests.recordings import encode_as, recording, side_by_side, tone

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

RATE = 16_000
SPOKEN = recording("number")

posix = pytest.mark.skipif(sys.platform == "win32", reason="its programs are no scripts")


@pytest.fixture(scope="module")
def speech() -> Samples:
    samples, _ = soundfile.read(SPOKEN.path, dtype="float32")
    return samples  # type: ignore[no-any-return]


def peak(samples: Samples) -> float:
    """dB of full scale."""
    return float(20 * np.log10(np.abs(samples).max()))


# --- gain -------------------------------------------------------------------------------------


@pytest.mark.parametrize("gain", [0.01, 0.3, 1.0])
def test_the_loudest_sample_comes_to_1_db_below_full_scale(speech: Samples, gain: float) -> None:
    loud = normalize(speech * np.float32(gain), sample_rate=RATE)

    assert peak(loud) == pytest.approx(-1, abs=0.01)
    assert likeness(loud, speech) > 0.9999
    assert loud.dtype == np.float32


def test_all_but_silence_is_not_raised() -> None:
    hiss = (np.random.default_rng(1).uniform(-1, 1, RATE) * 0.0005).astype(np.float32)

    assert np.array_equal(normalize(hiss, sample_rate=RATE), hiss)


@pytest.mark.parametrize("count", [0, 1, RATE])
def test_digital_silence_stays_silence(count: int) -> None:
    silence = np.zeros(count, dtype=np.float32)

    assert np.array_equal(normalize(silence, sample_rate=RATE), silence)


# --- ends -------------------------------------------------------------------------------------


def test_silence_at_the_ends_goes_but_for_a_margin(speech: Samples) -> None:
    silence = np.zeros(RATE, dtype=np.float32)
    sounding = np.flatnonzero(np.abs(speech) > 0.01)
    padded = np.concatenate([silence, speech, silence])

    trimmed, start = trim_silence(padded, sample_rate=RATE)

    assert start == pytest.approx(1 + sounding[0] / RATE - 0.1, abs=0.1)
    assert np.array_equal(trimmed, padded[round(start * RATE) :][: len(trimmed)])
    assert np.abs(trimmed).sum() == pytest.approx(np.abs(speech).sum(), rel=0.01)
    assert len(trimmed) < len(speech) + 0.25 * RATE


def test_a_clip_that_starts_and_ends_with_sound_stays_whole() -> None:
    loud = np.full(RATE, 0.5, dtype=np.float32)

    trimmed, start = trim_silence(loud, sample_rate=RATE)

    assert np.array_equal(trimmed, loud)
    assert start == 0


@pytest.mark.parametrize("count", [0, 5, RATE, RATE + 3])
def test_nothing_is_left_of_silence(count: int) -> None:
    trimmed, start = trim_silence(np.zeros(count, dtype=np.float32), sample_rate=RATE)

    assert (len(trimmed), start) == (0, 0)


def test_more_than_a_clip_is_not_taken() -> None:
    long = np.zeros(round(LONGEST * RATE) + 1, dtype=np.float32)

    with pytest.raises(ValueError, match="300 s is the most"):
        normalize(long, sample_rate=RATE)
    with pytest.raises(ValueError, match="300 s is the most"):
        trim_silence(long, sample_rate=RATE)


# --- channels ---------------------------------------------------------------------------------


@pytest.mark.parametrize("container", ["wav", "flac", "m4a"])
def test_each_channel_comes_by_itself(container: str, speech: Samples, tmp_path: Path) -> None:
    left = tone(SPOKEN.seconds, tmp_path / "tone.wav")
    path = side_by_side([left, SPOKEN.path], tmp_path / "pair.wav")
    if container == "flac":
        path = path.rename(tmp_path / "old.wav")
        soundfile.write(tmp_path / "pair.flac", soundfile.read(path)[0], RATE)
        path = tmp_path / "pair.flac"
    elif container == "m4a":
        path = encode_as(SPOKEN.path, "m4a", tmp_path, channels=2, rate=44_100)

    first, second = split_channels(probe(path))

    assert len(first) == len(second) == pytest.approx(len(speech), abs=0.06 * RATE)
    assert likeness(second, speech) > 0.95
    assert lag(second, speech) == pytest.approx(0, abs=0.01)
    if container != "m4a":
        assert likeness(first, soundfile.read(left, dtype="float32")[0]) > 0.99


def test_of_a_long_recording_no_channels_are_held(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, np.zeros(301 * 1_000), 1_000)

    with pytest.raises(UnsupportedFormatError, match="too long"):
        split_channels(probe(path))


def test_pydub_is_imported_without_a_word(tmp_path: Path) -> None:
    code = (
        "import sys, numpy; sys.pycache_prefix = sys.argv[1];"
        "from asrcli.media.clips import normalize;"
        "normalize(numpy.ones(10, dtype=numpy.float32), sample_rate=8000);"
        "assert 'pydub' in sys.modules"
    )

    # Compiled anew, pydub warns of its syntax; without a PATH, of a missing ffmpeg.
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(tmp_path)],
        env={"PATH": "", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# --- the last resort --------------------------------------------------------------------------


def script(folder: Path, text: str, name: str = "ffmpeg") -> Path:
    """An executable that the shell runs."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def secondhand(tmp_path: Path) -> Path:
    """A recording that a fake ffmpeg hands out."""
    path = tmp_path / "second hand.wav"
    path.write_bytes(SPOKEN.path.read_bytes())
    return path


@posix
def test_ffmpeg_is_searched_on_path_and_never_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(tmp_path, "exit 0")
    proper = script(tmp_path / "bin", "exit 0")
    monkeypatch.chdir(tmp_path)

    assert find_ffmpeg("") is None
    assert find_ffmpeg(f".{os.pathsep}{os.pathsep}bin") is None
    assert find_ffmpeg(f".{os.pathsep}{tmp_path / 'bin'}") == proper


@posix
def test_what_cannot_be_executed_is_no_program(tmp_path: Path) -> None:
    path = script(tmp_path / "bin", "exit 0")
    path.chmod(0o644)

    assert find_ffmpeg(str(tmp_path / "bin")) is None


def test_without_ffmpeg_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    with pytest.raises(MissingHelperError, match="needs ffmpeg") as caught:
        decode_with_ffmpeg(SPOKEN.path, container="wav")

    assert "ffmpeg.org" in str(caught.value.hint)


@posix
def test_what_ffmpeg_makes_of_it_is_decoded(
    speech: Samples, secondhand: Path, tmp_path: Path
) -> None:
    program = script(tmp_path / "a folder", f'cat > /dev/null; cat "{secondhand}"')

    sound = decode_with_ffmpeg(SPOKEN.path, container="wav", program=program)

    assert np.allclose(sound, speech, atol=1e-4)


@posix
def test_ffmpeg_gets_an_open_file_one_demuxer_and_no_keys(
    secondhand: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASHSCOPE_API_KEY", "canary")
    program = script(
        tmp_path / "bin",
        f'echo "$@" > "{tmp_path}/arguments"; env > "{tmp_path}/environment";'
        f'cat > "{tmp_path}/input"; cat "{secondhand}"',
    )
    source = encode_as(SPOKEN.path, "wma", tmp_path)

    decode_with_ffmpeg(source, container="wma", track=2, program=program)

    arguments = (tmp_path / "arguments").read_text()
    assert "-protocol_whitelist cache,pipe -format_whitelist asf -f asf" in arguments
    assert "-i cache:pipe:0 -map 0:a:2" in arguments
    assert source.name not in arguments
    assert "canary" not in (tmp_path / "environment").read_text()
    assert (tmp_path / "input").read_bytes() == source.read_bytes()


@posix
@pytest.mark.parametrize(
    "text",
    [
        "kill -SEGV $$",
        "exit 1",
        "exit 0",
        "head -c 44 /dev/zero",
        "yes",
        'head -c 100000000 /dev/zero | tr "\\0" x >&2; exit 1',
    ],
    ids=["crashes", "fails", "writes nothing", "writes a header", "never ends", "floods stderr"],
)
def test_an_ffmpeg_that_misbehaves_is_no_decoder(
    text: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    program = script(tmp_path / "bin", text)

    with pytest.raises(NotAudioError, match="cannot decode it either"):
        decode_with_ffmpeg(SPOKEN.path, container="wav", program=program)

    assert capfd.readouterr() == ("", "")


@posix
def test_an_ffmpeg_that_hangs_is_stopped_with_its_children(tmp_path: Path) -> None:
    # Whoever holds the pipe for writing is alive: its end is the end of the last of them.
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    program = script(tmp_path / "bin", f'exec 3> "{pipe}"; echo alive >&3; sleep 600 & wait')

    with SPOKEN.path.open("rb") as file, pytest.raises(NotAudioError, match="was stopped"):
        run_ffmpeg(file, "x", "wav", sample_rate=RATE, seconds=1.0, program=program, patience=2.0)

    assert os.read(reader, 100) == b"alive\n"
    ready, _, _ = select.select([reader], [], [], 30)
    assert ready
    assert os.read(reader, 1) == b""
    os.close(reader)


@posix
def test_the_real_ffmpeg_decodes_what_it_is_given(speech: Samples, tmp_path: Path) -> None:
    source = encode_as(SPOKEN.path, "m4a", tmp_path)
    program = find_ffmpeg()
    assert program is not None, "these tests need ffmpeg"

    sound = decode_with_ffmpeg(source, container="m4a", program=program)

    assert len(sound) == pytest.approx(len(speech), abs=0.06 * RATE)
    assert likeness(sound, speech) > 0.95


@posix
def test_the_real_ffmpeg_follows_no_list(tmp_path: Path) -> None:
    (tmp_path / "secret.wav").write_bytes(SPOKEN.path.read_bytes())
    path = tmp_path / "x.wav"
    path.write_text("ffconcat version 1.0\nfile secret.wav\n")

    with pytest.raises(NotAudioError):
        decode_with_ffmpeg(path, container="wav")


def test_more_than_a_clip_is_refused_by_its_length() -> None:
    audio = AudioFile(
        path=SPOKEN.path,
        name="x",
        container="wav",
        mime_type="audio/wav",
        codec="pcm_s16le",
        size=1,
        duration=LONGEST + 1,
        channels=2,
        sample_rate=RATE,
    )

    with pytest.raises(UnsupportedFormatError):
        split_channels(audio)
