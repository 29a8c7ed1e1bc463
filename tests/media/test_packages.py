"""Without one of the libraries, all that does not need it works."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

CODE = """
import sys
from pathlib import Path
for name in sys.argv[1].split():
    sys.modules[name] = None  # Importing it fails from here on.
from asrcli.errors import MissingHelperError
from asrcli.media.decode import read_clip
from asrcli.media.encode import Codec, encode_bytes
from asrcli.media.probe import probe
for path in map(Path, sys.argv[2:]):
    try:
        audio = probe(path)
        print(audio.container, round(audio.duration, 1))
        print(len(read_clip(path, container=audio.container)) // 1000)
    except MissingHelperError as error:
        print(error.exit_status, str(error).split("package ")[1].split(",")[0])
for codec in (Codec.WAV, Codec.MP3):
    try:
        encode_bytes([], codec)
        print("written")
    except MissingHelperError as error:
        print(error.exit_status, error.hint)
"""


def without(packages: str, *paths: Path) -> list[str]:
    """What a program prints that uses the recordings where `packages` cannot be imported."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, packages, *map(str, paths)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.mark.parametrize("container", ["wav", "flac", "mp3"])
def test_without_libsndfile_everything_can_still_be_read(
    made: Callable[[str], Path], container: str
) -> None:
    assert without("soundfile", made(container)) == [
        f"{container} 2.0",
        "31",
        "13 `pip install soundfile` in the environment of asrcli.",
        "written",
    ]


def test_without_ffmpeg_libraries_plain_recordings_can_still_be_read(
    made: Callable[[str], Path],
) -> None:
    assert without("av", made("wav"), made("flac"), made("m4a")) == [
        "wav 2.0",
        "31",
        "flac 2.0",
        "31",
        "13 av",
        "written",
        "13 `pip install av` in the environment of asrcli.",
    ]


def test_without_a_resampler_it_is_named(made: Callable[[str], Path]) -> None:
    assert without("soxr", made("flv"))[:2] == ["flv 2.0", "13 soxr"]
