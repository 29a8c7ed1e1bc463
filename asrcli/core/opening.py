"""From an input to a recording on disk: pipes are kept, URLs fetched, all are looked at."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from asrcli.core.inputs import Input, materialize
from asrcli.errors import InputError, RemoteError, UnknownCodecError
from asrcli.media.audio import AudioFile
from asrcli.media.probe import probe
from asrcli.media.rescue import rescue
from asrcli.transport.fetch import Download

__all__ = ["MOST_FETCHED", "Fetch", "Opener", "shown_url"]

MOST_FETCHED = 2_000_000_000
"""Bytes of a recording that a URL names: no service takes more."""

Fetch = Callable[[str, Path], Download]
"""Writes what a URL names into a file; raises an `AsrError`."""


def shown_url(url: str) -> str:
    """A URL as it may be shown: what signs it, and a user and password, are left out."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return url.partition("?")[0]
    query = "?…" if parts.query else ""
    return f"{parts.scheme}://{host}{port}{parts.path}{query}"


@dataclass(slots=True)
class Opener:
    """Looks at inputs; what it has to keep for that lies in `folder()` until it is released."""

    folder: Callable[[], Path]
    fetch: Fetch
    track: int = 0
    stdin: BinaryIO | None = None
    detail: Callable[[str], None] = lambda _: None
    _kept: dict[str, AudioFile] = field(default_factory=dict)

    @contextmanager
    def opened(self, found: Input) -> Iterator[AudioFile]:
        """The recording, probed; raises an `AsrError`. Copies are gone when the block is left."""
        made: list[Path] = []
        try:
            yield self._open(found, made)
        finally:
            for path in made:
                with contextlib.suppress(OSError):
                    path.unlink()

    def _open(self, found: Input, made: list[Path]) -> AudioFile:
        if found.problem is not None:
            raise found.problem
        if found.reference is not None:
            path = self._fetched(found.reference.location, found.name, made)
        elif found.path is None or _is_pipe(found.path):
            path = materialize(found, self.folder(), self.stdin)
            made.append(path)
        else:
            path = found.path
        try:
            return probe(path, name=found.name, track=self.track)
        except UnknownCodecError as error:
            self.detail(f"{error}; trying the system's ffmpeg")
            audio = rescue(path, self.folder(), name=found.name, track=self.track)
            made.append(audio.path)
            return replace(audio, name=found.name)

    def _fetched(self, url: str, name: str, made: list[Path]) -> Path:
        path = self.folder() / uuid.uuid4().hex
        made.append(path)
        try:
            got = self.fetch(url, path)
        except RemoteError as error:
            # What somebody else's server says is a matter of this input alone.
            if error.exit_status in {6, 10} or error.stops_run:
                error.message = f"cannot fetch {shown_url(url)}: {error.message}"
                error.hint = None
                raise
            said = f"cannot fetch {shown_url(url)}: {error.message}"
            raise InputError(said, hint=error.hint) from error
        if got.mime_type == "text/html":
            raise InputError(
                f"{shown_url(url)} is a web page, not a recording",
                hint="Give the URL of the file itself.",
            )
        if not got.whole:
            self.detail(f"{name}: the server did not say how long it is; it may be cut short")
        return path


def _is_pipe(path: Path) -> bool:
    try:
        return path.is_fifo()
    except OSError:  # the probe says what is wrong with it
        return False
