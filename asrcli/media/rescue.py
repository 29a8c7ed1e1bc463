"""A file that our libraries cannot decode, made into one that they can by the system's ffmpeg."""

from __future__ import annotations

import uuid
from dataclasses import replace
from pathlib import Path

from asrcli.media.audio import AudioFile
from asrcli.media.clips import decode_with_ffmpeg
from asrcli.media.encode import Codec, encode
from asrcli.media.files import open_regular
from asrcli.media.formats import read_head, sniff
from asrcli.media.probe import probe

__all__ = ["rescue"]


def rescue(path: Path, folder: Path, *, name: str, track: int = 0) -> AudioFile:
    """A FLAC copy in `folder` of a clip with a codec that only the system's ffmpeg knows.

    Raises MissingHelperError without ffmpeg, NotAudioError where it fails as well, and
    UnsupportedFormatError for more than a clip.
    """
    with open_regular(path, name) as file:
        container = sniff(read_head(file)) or "wav"
    samples = decode_with_ffmpeg(path, container=container, track=track)
    made = folder / f"{uuid.uuid4().hex}.flac"
    encode([samples], made, Codec.FLAC)
    return replace(probe(made), name=name)
