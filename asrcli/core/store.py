"""One file to a service's storage: look at it, make sure it may be used there, send it once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from asrcli.core.asking import Asker
from asrcli.errors import FileTooLargeError, FileUnreadableError, UnsupportedFormatError
from asrcli.media.audio import AudioFile
from asrcli.media.probe import probe
from asrcli.providers.base import Model, Reference

__all__ = ["Stored", "store"]


@dataclass(frozen=True, slots=True)
class Stored:
    """A file at a service, and what was sent."""

    reference: Reference
    audio: AudioFile
    sha256: str


def store(path: Path, asker: Asker, model: Model) -> Stored:
    """Upload one file as it is, unless its content is there already; raises an `AsrError`.

    Raises before its first byte leaves if the model cannot use it.
    """
    audio = probe(path, name=str(path))
    if model.formats and audio.container not in model.formats:
        raise UnsupportedFormatError(
            f"{audio.name}: {model.id} does not take {audio.container}",
            hint="`asrcli transcribe` converts it on the way.",
        )
    if model.max_bytes is not None and audio.size > model.max_bytes:
        raise FileTooLargeError(audio.name, audio.size, model.max_bytes)
    identity = asker.memory.identify(path, cached=False)
    reference, _ = asker.stored(audio, model, identity.digest, identity=identity)
    if not identity.still(path):
        raise FileUnreadableError(f"{audio.name} changed while it was read")
    return Stored(reference, audio, identity.digest)
