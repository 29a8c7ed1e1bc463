"""One input from its name to its transcript: look at it, make it fit, send it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from asrcli.core.inputs import Input, materialize
from asrcli.core.prepare import Changes, prepare
from asrcli.core.select import Choice
from asrcli.errors import UnknownCodecError, UsageError
from asrcli.media.audio import AudioFile
from asrcli.media.probe import probe
from asrcli.media.rescue import rescue
from asrcli.providers.base import OnText, Options, Provider, Reference
from asrcli.transcript import Transcript

__all__ = ["Recognized", "Recognizer"]


@dataclass(frozen=True, slots=True)
class Recognized:
    """A transcript, and what it was made from (None for a reference or a URL)."""

    transcript: Transcript
    audio: AudioFile | None
    note: str = ""
    """What was done to the recording before it was sent; empty if nothing was."""


@dataclass(frozen=True, slots=True)
class Recognizer:
    """Everything that is the same for all inputs of a run."""

    choice: Choice
    provider: Provider
    options: Options
    changes: Changes
    folder: Callable[[], Path]
    """Gives the folder for temporary files; it is made when first asked for."""
    track: int = 0
    stdin: BinaryIO | None = None
    detail: Callable[[str], None] = lambda _: None
    """Told what `-v` shows."""

    def recognize(self, found: Input, *, on_text: OnText | None = None) -> Recognized:
        """Transcribe one input; raises an `AsrError`."""
        if found.problem is not None:
            raise found.problem
        model = self.choice.model
        if found.reference is not None:
            reference = self._checked(found.reference)
            transcript = self.provider.transcribe(reference, model, self.options, on_text=on_text)
            return Recognized(transcript, None)
        path = materialize(found, self.folder(), self.stdin) if _piped(found) else found.path
        assert path is not None
        audio = self._probed(path, found.name)
        prepared = prepare(audio, model, self.folder, self.changes)
        if prepared.note:
            self.detail(prepared.note)
        try:
            transcript = self.provider.transcribe(
                prepared.audio, model, self.options, on_text=on_text
            )
        finally:
            for made in {path, audio.path, prepared.audio.path} - {found.path}:
                made.unlink(missing_ok=True)
        return Recognized(transcript, audio, prepared.note)

    def _probed(self, path: Path, name: str) -> AudioFile:
        try:
            return probe(path, name=name, track=self.track)
        except UnknownCodecError as error:
            self.detail(f"{error}; trying the system's ffmpeg")
            return rescue(path, self.folder(), name=name, track=self.track)

    def _checked(self, reference: Reference) -> Reference:
        if reference.provider is not None and reference.provider != self.provider.name:
            raise UsageError(
                f"{reference} lies at {reference.provider}; {self.provider.name} cannot read it",
                hint=f"Add -p {reference.provider}.",
            )
        if self.changes or self.track:
            raise UsageError("--channel, --track and --normalize need the file itself")
        return reference


def _piped(found: Input) -> bool:
    try:
        return found.path is None or found.path.is_fifo()
    except OSError:  # the probe says what is wrong with it
        return False
