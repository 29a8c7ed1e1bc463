from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from asrcli.core.prepare import Changes, prepare
from asrcli.errors import FileTooLargeError, FileTooLongError, UnsupportedFormatError
from asrcli.media.audio import AudioFile
from asrcli.media.probe import probe
from asrcli.providers.base import API, Mode, Model
from tests.recordings import encode_as, recording

WELCOME = recording("welcome").path
MODEL = Model(
    id="m",
    provider="p",
    family="f",
    mode=Mode.BATCH,
    api=API.SYNC,
    formats=frozenset({"wav", "flac", "opus", "mp3"}),
)
NOTHING = Changes()


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[], Path]:
    return lambda: tmp_path


@pytest.fixture
def audio() -> AudioFile:
    return probe(WELCOME, name="welcome.wav")


def test_what_fits_is_sent_as_it_is_and_no_folder_is_made(audio: AudioFile) -> None:
    def no_folder() -> Path:
        raise AssertionError("nothing is to be written")

    prepared = prepare(audio, MODEL, no_folder, NOTHING)

    assert prepared.audio is audio
    assert prepared.note == ""


def test_a_format_that_the_model_does_not_take_becomes_flac(
    folder: Callable[[], Path], tmp_path: Path
) -> None:
    audio = probe(encode_as(WELCOME, "wma", tmp_path))

    prepared = prepare(audio, MODEL, folder, NOTHING)

    assert prepared.audio.container == "flac"
    assert "does not take wma" in prepared.note


@pytest.mark.parametrize(
    ("limit", "container"), [(150_000, "flac"), (60_000, "opus"), (29_000, "opus")]
)
def test_the_better_codec_is_taken_that_fits(
    audio: AudioFile, folder: Callable[[], Path], limit: int, container: str
) -> None:
    prepared = prepare(audio, replace(MODEL, max_bytes=limit), folder, NOTHING)

    assert prepared.audio.container == container
    assert prepared.audio.size <= limit
    assert prepared.audio.path.stat().st_size == prepared.audio.size


def test_mp3_where_opus_is_not_taken(audio: AudioFile, folder: Callable[[], Path]) -> None:
    model = replace(MODEL, max_bytes=60_000, formats=frozenset({"flac", "mp3"}))

    assert prepare(audio, model, folder, NOTHING).audio.container == "mp3"


def test_too_large_after_all_is_refused_and_leaves_nothing(
    audio: AudioFile, folder: Callable[[], Path], tmp_path: Path
) -> None:
    with pytest.raises(FileTooLargeError, match="5,000"):
        prepare(audio, replace(MODEL, max_bytes=5_000), folder, NOTHING)

    assert list(tmp_path.iterdir()) == []


def test_too_long_is_refused_before_anything_is_converted(
    audio: AudioFile, folder: Callable[[], Path], tmp_path: Path
) -> None:
    with pytest.raises(FileTooLongError, match=r"6\.5 s"):
        prepare(audio, replace(MODEL, max_seconds=5.0), folder, NOTHING)

    assert list(tmp_path.iterdir()) == []


def test_no_format_in_common_is_refused(audio: AudioFile, folder: Callable[[], Path]) -> None:
    with pytest.raises(UnsupportedFormatError):
        prepare(audio, replace(MODEL, formats=frozenset({"amr"})), folder, NOTHING)


def test_a_short_clip_is_padded_to_the_shortest_length(
    audio: AudioFile, folder: Callable[[], Path]
) -> None:
    prepared = prepare(audio, replace(MODEL, min_seconds=10.0), folder, NOTHING)

    assert abs(probe(prepared.audio.path).duration - 10.0) < 0.01
    assert prepared.audio.duration == 10.0


def test_a_long_recording_is_not_normalized_in_memory(
    audio: AudioFile, folder: Callable[[], Path]
) -> None:
    with pytest.raises(UnsupportedFormatError, match="normalized"):
        prepare(replace(audio, duration=301.0), MODEL, folder, Changes(normalize=True))
