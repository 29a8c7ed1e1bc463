"""`local`: what can be recognized without a key and without a network."""

from __future__ import annotations

import importlib.util
import itertools
import os
import platform
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asrcli.errors import LanguageError, MissingHelperError, ServiceError, UsageError
from asrcli.media.audio import AudioFile
from asrcli.media.decode import blocks
from asrcli.media.speech import SAMPLE_RATE, Piece, utterances
from asrcli.providers.base import Model, OnText, Options, Reference
from asrcli.providers.local.engine import Engine, Heard
from asrcli.providers.local.lines import segments
from asrcli.providers.local.pool import Pool
from asrcli.transcript import Segment, Transcript, join_texts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Local", "available"]

_LONGEST = 30.0
"""Seconds of an utterance. A clip up to this, all speech, is decoded as it is."""
_PAUSE = 0.7
"""Seconds; within shorter pauses the engine finds its way by itself."""
_PADDING = 0.3
_LONGEST_HERE = 10.0
"""Seconds. The engine holds Python's lock: what is longer would stop spinners and Ctrl-C."""
_MOST_WORKERS = 8
_REMEDY = (
    "Install asrcli with Python 3.11, 3.12 or 3.13, or set a key: DASHSCOPE_API_KEY or "
    "ONEMIN_API_KEY."
)

_Decoded = tuple[float, float, list[Heard]]
"""Start and end of an utterance in seconds, and its words."""


def available(*, find: Callable[[str], object | None] = importlib.util.find_spec) -> str | None:
    """Why the engine cannot run here, or None if it can. Nothing heavy is imported."""
    if find("pocketsphinx") is not None:
        return None
    return (
        "the embedded engine (pocketsphinx) is not installed: it has no wheel for Python "
        f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    )


@dataclass(slots=True)
class _Counted:
    """Blocks on their way through, and how many samples they had."""

    source: Iterable[NDArray[np.float32]]
    samples: int = 0

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        for block in self.source:
            self.samples += len(block)
            yield block


class Local:
    """The engine in this process for a short clip, in worker processes for everything else."""

    name = "local"

    def __init__(
        self, *, workers: int | None = None, problem: Callable[[], str | None] = available
    ) -> None:
        self._pool = Pool(workers or min(_processors(), _MOST_WORKERS))
        self._problem = problem
        self._engine: Engine | None = None
        self._here = threading.Lock()

    def transcribe(
        self,
        audio: AudioFile | Reference,
        model: Model,
        options: Options,
        *,
        on_text: OnText | None = None,
    ) -> Transcript:
        """Recognize a file, utterance by utterance; `on_text` is called after each."""
        if problem := self._problem():
            raise MissingHelperError(problem, hint=_REMEDY)
        if isinstance(audio, Reference):
            raise UsageError(f"{self.name} reads files of this computer, not {audio}")
        if options.language not in {None, "en"}:
            raise LanguageError(str(options.language), model.id, ["en"])
        sound = _Counted(
            blocks(
                audio.path,
                container=audio.container,
                sample_rate=SAMPLE_RATE,
                track=audio.track,
            )
        )
        pieces = utterances(sound, longest=_LONGEST, pause=_PAUSE, padding=_PADDING)
        found: list[Segment] = []
        for start, end, heard in self._decoded(pieces):
            made = segments(heard, start=start, end=end)
            found += made
            if made and on_text is not None:
                on_text(join_texts(segment.text for segment in found))
        return Transcript(
            tuple(found),
            provider=self.name,
            model=model.id,
            language="en",
            duration=sound.samples / SAMPLE_RATE,
        )

    def upload(self, audio: AudioFile, model: Model) -> Reference:  # noqa: ARG002
        """There is nowhere to upload to: raises UsageError."""
        raise UsageError(f"{self.name} keeps nothing: give it the file each time")

    @property
    def host(self) -> str:
        """Empty: nothing leaves this computer."""
        return ""

    def stores_first(self, audio: AudioFile, model: Model) -> bool:  # noqa: ARG002
        """False: files are read where they are."""
        return False

    def close(self) -> None:
        """End the worker processes; calls under way fail."""
        self._pool.close()

    def _decoded(self, pieces: Iterator[Piece]) -> Iterator[_Decoded]:
        """The pieces with their words, in their own order; few are held at any time."""
        first = next(pieces, None)
        second = None if first is None else next(pieces, None)
        if (
            first is not None
            and second is None
            and (words := self._decoded_here(first)) is not None
        ):
            yield first.start, first.end, words
            return
        ahead: deque[tuple[float, float, Future[list[Heard]]]] = deque()
        known = [piece for piece in (first, second) if piece is not None]
        try:
            for piece in itertools.chain(known, pieces):
                ahead.append((piece.start, piece.end, self._pool.submit(piece.pcm16())))
                while ahead and (len(ahead) >= 2 * self._pool.most or ahead[0][2].done()):
                    yield _finished(*ahead.popleft())
            while ahead:
                yield _finished(*ahead.popleft())
        finally:
            for _, _, future in ahead:
                future.cancel()

    def _decoded_here(self, piece: Piece) -> list[Heard] | None:
        """The words of a short clip; None where a worker should do it."""
        long = piece.end - piece.start > _LONGEST_HERE
        if long or self._pool.started or not self._here.acquire(blocking=False):
            return None
        try:
            self._engine = self._engine or Engine()
            return self._engine.decode(piece.pcm16())
        except RuntimeError as error:
            raise ServiceError(self.name, f"its engine failed: {error}") from error
        finally:
            self._here.release()


def _finished(start: float, end: float, words: Future[list[Heard]]) -> _Decoded:
    return start, end, words.result()


def _processors() -> int:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
