"""One file to a service's storage: look at it, make sure it may be used there, send it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from asrcli.errors import FileTooLargeError, UnsupportedFormatError
from asrcli.media.audio import AudioFile
from asrcli.media.probe import probe
from asrcli.providers.base import Model, Provider, Reference

__all__ = ["Stored", "store"]


@dataclass(frozen=True, slots=True)
class Stored:
    """A file at a service, and what was sent."""

    reference: Reference
    audio: AudioFile
    sha256: str


def store(path: Path, provider: Provider, model: Model) -> Stored:
    """Upload one file as it is; raises before its first byte leaves if the model cannot use it."""
    audio = probe(path, name=str(path))
    if model.formats and audio.container not in model.formats:
        raise UnsupportedFormatError(
            f"{audio.name}: {model.id} does not take {audio.container}",
            hint="`asrcli transcribe` converts it on the way.",
        )
    if model.max_bytes is not None and audio.size > model.max_bytes:
        raise FileTooLargeError(audio.name, audio.size, model.max_bytes)
    return Stored(provider.upload(audio, model), audio, _sha256(path))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
