"""Recognizing the short clips of a live stream: at a service, or by the engine on this computer."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from asrcli.core.asking import Asker
from asrcli.core.memory import request_key
from asrcli.core.near import Clip, Cutter
from asrcli.core.plan import piece_codec
from asrcli.errors import AsrError
from asrcli.media.audio import AudioFile
from asrcli.media.encode import encode
from asrcli.media.pcm import pcm16
from asrcli.media.shaping import padded
from asrcli.media.speech import utterances
from asrcli.providers.base import API, Model, Options
from asrcli.providers.local.lines import segments
from asrcli.providers.local.pool import Pool
from asrcli.transcript import Segment, Transcript, join_texts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from asrcli.core.jobs import JobRunner

    Samples = NDArray[np.float32]

__all__ = ["EmbeddedClips", "ServiceClips", "UtteranceCutter"]

_LEAST_SECONDS = 1.0
_PARTIAL_EVERY = 1.0
"""Seconds by which an utterance grows from one partial to the next."""
_FIRST_PARTIAL = 1.5
_LONGEST_PARTIAL = 12.0
"""Seconds of an utterance after which a partial of all of it would come too late."""
_MOST_WORKERS = 4


class ServiceClips:
    """Sends each clip as a recording of its own; serves several threads.

    `jobs` brings it to a model that works by jobs: uploaded, submitted, and asked after.
    """

    def __init__(
        self,
        asker: Asker,
        model: Model,
        options: Options,
        folder: Callable[[], Path],
        *,
        jobs: JobRunner | None = None,
    ) -> None:
        self._asker = asker
        self._jobs = jobs if model.api in {API.JOB, API.JOB_LIST} else None
        self._model = model
        self._options = options
        self._folder = folder

    def __call__(self, clip: Clip) -> Transcript:
        """What is said in it; raises an AsrError."""
        digest = hashlib.sha256(b"".join(map(pcm16, clip.blocks))).hexdigest()
        key = request_key(digest, self._model, self._options, piece=True)
        made: list[Path] = []

        def make() -> AudioFile:
            audio = self._encoded(clip)
            made.append(audio.path)
            return audio

        seconds = clip.end - clip.start
        try:
            if self._jobs is not None:
                name, model = _name(clip), self._model
                return self._jobs.run(
                    key, make, model, self._options, name=name, digest=digest, seconds=seconds
                ).transcript
            return self._asker.ask(
                key, make, self._model, self._options, digest=digest, seconds=seconds
            ).transcript
        finally:
            for path in made:
                with contextlib.suppress(OSError):
                    path.unlink()

    def _encoded(self, clip: Clip) -> AudioFile:
        codec = piece_codec(self._model)
        path = self._folder() / f"{uuid.uuid4().hex}.{codec.container}"
        least = max(self._model.min_seconds or 0.0, _LEAST_SECONDS)
        sound = padded(clip.blocks, least=int(least * clip.sample_rate))
        size = encode(sound, path, codec, sample_rate=clip.sample_rate)
        return AudioFile(
            path=path,
            name=_name(clip),
            container=codec.container,
            mime_type=codec.mime_type,
            codec=str(codec),
            size=size,
            duration=max(clip.end - clip.start, least),
            channels=1,
            sample_rate=clip.sample_rate,
        )


def _name(clip: Clip) -> str:
    return f"the clip at {clip.start:.1f} s"


class EmbeddedClips:
    """The embedded engine, in processes of its own: its work must not hold up a microphone."""

    def __init__(self, model: str, *, workers: int | None = None, pool: Pool | None = None) -> None:
        self._model = model
        self._pool = pool or Pool(workers or max(1, min(os.cpu_count() or 1, _MOST_WORKERS)))

    def __call__(self, clip: Clip) -> Transcript:
        """What is said in it, without what is no speech; raises a ServiceError."""
        return Transcript(
            tuple(self._segments(clip.blocks)),
            provider="local",
            model=self._model,
            language="en",
            duration=clip.end - clip.start,
        )

    def text(self, blocks: tuple[Samples, ...]) -> str:
        """The words so far of an utterance that lasts."""
        return join_texts(segment.text for segment in self._segments(blocks))

    def close(self) -> None:
        """End the processes; calls under way fail."""
        self._pool.close()

    def _segments(self, blocks: tuple[Samples, ...]) -> list[Segment]:
        found: list[Segment] = []
        for piece in utterances(iter(blocks), longest=30.0, pause=0.7, padding=0.3):
            heard = self._pool.submit(piece.pcm16()).result()
            found += segments(heard, start=piece.start, end=piece.end)
        return found


class UtteranceCutter(Cutter):
    """Cuts whole utterances, and has each read again while it grows, for partials.

    `read` gives the text of blocks, on a thread of its own, one call at a time; None reads
    nothing. `tell` gets text and start, unless the utterance has ended meanwhile.
    """

    def __init__(
        self,
        sample_rate: int,
        *,
        read: Callable[[tuple[Samples, ...]], str] | None,
        tell: Callable[[str, float], None],
    ) -> None:
        # Whole utterances: the engine hears words better by what stands around them.
        super().__init__(sample_rate, target=10.0, longest=20.0, pause=0.7, short_pause=0.4)
        self._read = read
        self._tell = tell
        self._next = _FIRST_PARTIAL
        self._number = 0
        self._reading = False

    def take(self, block: Samples) -> Clip | None:
        """As a Cutter does."""
        clip = super().take(block)
        if clip is not None:
            self._number += 1
            self._next = _FIRST_PARTIAL
        elif self._read is not None and not self._reading:
            self._read_again(self._read)
        return clip

    def rest(self) -> Clip | None:
        """As a Cutter does."""
        self._number += 1
        return super().rest()

    def _read_again(self, read: Callable[[tuple[Samples, ...]], str]) -> None:
        held, number = tuple(self._blocks), self._number
        seconds = sum(map(len, held)) / self._rate
        if not self._next <= seconds <= _LONGEST_PARTIAL:
            return
        self._next = seconds + _PARTIAL_EVERY
        self._reading = True
        start = self._position / self._rate - seconds

        def offer() -> None:
            try:
                text = read(held)
            except AsrError:
                return  # the final will say what is wrong
            finally:
                self._reading = False
            if text and number == self._number:
                self._tell(text, start)

        threading.Thread(target=offer, name="asrcli-partial", daemon=True).start()
