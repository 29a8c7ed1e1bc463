"""A long recording in pieces: cut, encoded, sent and answered side by side, joined in time.

While one piece is encoded, others are on their way and the next is being decoded. How much of a
recording is held at any time does not depend on its length.
"""

from __future__ import annotations

import contextlib
import os
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as StillRunning
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from asrcli.core.asking import Answered, Asker
from asrcli.core.join import Part, gap, join
from asrcli.core.memory import request_key
from asrcli.core.plan import Plan, Route, piece_codec
from asrcli.core.room import check_room
from asrcli.core.workers import Workers
from asrcli.errors import (
    AsrError,
    InputRefusedError,
    NetworkError,
    OutputError,
    UnsupportedFormatError,
)
from asrcli.media.audio import AudioFile
from asrcli.media.decode import blocks
from asrcli.media.encode import encode, estimated_bytes
from asrcli.media.isolated import Decoders, blocks_isolated
from asrcli.media.parcels import Parcel, cues, parcels
from asrcli.media.places import Place
from asrcli.media.shaping import normalized, padded
from asrcli.providers.base import Model, Options
from asrcli.transcript import Timing, Transcript

__all__ = ["Pieced", "Piecer"]

_RATE = 16_000
_TICK = 0.2
"""Seconds; no wait is longer without a look at whether the run goes on."""
_FIRST_SECONDS = 30.0
"""The first pieces are short, so that the first calls leave early."""
_SHORTEST_CUT = 20.0
"""Seconds; a shorter piece that is refused for its length is not cut again."""
_NORMAL_SECONDS = 300.0
"""Gain is changed in memory, so only of clips up to this length."""
_HOPELESS = 3
"""So many pieces failed, and none came through: the others are not tried."""


@dataclass(slots=True)
class Pieced:
    """What came of the pieces of one recording."""

    parts: list[Part] = field(default_factory=list)
    failed: list[AsrError] = field(default_factory=list)
    known: bool = True
    """True as long as nothing had to be sent."""

    @property
    def count(self) -> int:
        """How many pieces there were."""
        return len(self.parts)

    def joined(self, *, provider: str, model: str, duration: float, timing: Timing) -> Transcript:
        """All of it as one transcript; what failed is marked as a gap."""
        return join(self.parts, provider=provider, model=model, duration=duration, timing=timing)


@dataclass(slots=True)
class _Room:
    """Looks once whether the pieces of a recording fit on the disk: before the first is made."""

    audio: AudioFile
    model: Model
    longest: float
    at_once: int
    checked: bool = False

    def check(self, folder: Path) -> None:
        """Raise OutputError if they do not."""
        if not self.checked:
            held = min(self.audio.duration, self.longest * self.at_once)
            size = estimated_bytes(piece_codec(self.model), held)
            check_room(folder, size, what=f"cutting {self.audio.name}")
        self.checked = True


@dataclass(frozen=True, slots=True)
class _Sent:
    """A piece that is under way, without its sound."""

    place: Place
    answer: Future[Answered]


class Piecer:
    """One for a run: its threads and its memory are shared by all recordings."""

    def __init__(
        self,
        asker: Asker,
        folder: Callable[[], Path],
        *,
        calls: int,
        decoders: Decoders | None = None,
        stop: Callable[[], bool] = lambda: False,
        cores: int | None = None,
    ) -> None:
        self._asker = asker
        self._decoders = decoders
        self._folder = folder
        self._calls = calls
        self._stop = stop
        self._cores = cores or min(_processors(), 8)
        self._encoders = Workers(self._cores, name="encode")
        self._senders = Workers(calls, name="send")
        # Sound that waits for an encoder, over all recordings.
        self._room = threading.Semaphore(self._cores)

    def close(self) -> None:
        """Begin nothing else."""
        self._encoders.close()
        self._senders.close()

    def recognize(
        self,
        audio: AudioFile,
        model: Model,
        options: Options,
        *,
        longest: float,
        cues: bool = False,
        channels: Sequence[int | None] = (None,),
        normalize: bool = False,
        source: str = "",
        on_part: Callable[[float, bool], None] = lambda _seconds, _known: None,
    ) -> Pieced:
        """Send all pieces of a recording; what fails is in the result, not raised.

        `source` is the hash of the file. `on_part` gets the seconds of the recording that are
        done, silence included, and whether they were known. Raises what decoding raises, and any
        error that stops the run; UnsupportedFormatError if it is too long to be normalized.
        """
        if normalize and audio.duration > _NORMAL_SECONDS:
            raise UnsupportedFormatError(
                f"{audio.name} is too long to be normalized: {audio.duration:,.0f} s",
                hint=f"--normalize is for clips of up to {_NORMAL_SECONDS:.0f} s.",
            )
        found = Pieced()
        under_way: deque[_Sent] = deque()
        progress = _Covered(audio.duration * len(channels), on_part)
        room = _Room(audio, model, longest, self._at_once)
        for parcel in self._cut(audio, longest, channels, cues=cues, normalize=normalize):
            if _is_hopeless(found):
                break
            under_way.append(self._begin(parcel, audio, model, options, source, room))
            while under_way and (len(under_way) >= self._at_once or under_way[0].answer.done()):
                self._take(under_way.popleft(), found, progress)
        while under_way:
            self._take(under_way.popleft(), found, progress)
        progress.finish(known=found.known)
        return found

    def measure(
        self, audio: AudioFile, plan: Plan, *, channels: Sequence[int | None] = (None,)
    ) -> tuple[float, int]:
        """Seconds of sound that would be sent, and in how many pieces."""
        seconds, count = 0.0, 0
        is_cues = plan.route is Route.CUES
        for parcel in self._cut(audio, plan.longest or 1.0, channels, cues=is_cues):
            seconds += parcel.seconds
            count += 1
        return seconds, count

    @property
    def _at_once(self) -> int:
        """Pieces of one recording that are encoded, sent or waited for."""
        return 2 * self._calls + self._cores

    # --- from the recording to pieces -------------------------------------------------------------

    def _cut(
        self,
        audio: AudioFile,
        longest: float,
        channels: Sequence[int | None],
        *,
        cues: bool,
        normalize: bool = False,
    ) -> Iterator[Parcel]:
        for channel in channels:
            yield from self._cut_channel(audio, longest, channel, cues, normalize)

    def _cut_channel(
        self,
        audio: AudioFile,
        longest: float,
        channel: int | None,
        as_cues: bool,  # noqa: FBT001
        normalize: bool,  # noqa: FBT001
    ) -> Iterator[Parcel]:
        sound = blocks_isolated(
            audio.path,
            container=audio.container,
            sample_rate=_RATE,
            channel=channel,
            track=audio.track,
            duration=audio.duration,
            decoders=self._decoders,
        )
        with closing(sound):
            heard: Any = sound
            if normalize:
                heard = normalized(sound, sample_rate=_RATE)
            if as_cues:
                made = cues(heard, longest=longest, channel=channel)
            else:
                made = parcels(heard, longest=longest, first=_FIRST_SECONDS, channel=channel)
            for parcel in made:
                if self._stop():
                    raise _stopped()
                yield parcel

    # --- from a piece to its answer ---------------------------------------------------------------

    def _begin(
        self,
        parcel: Parcel,
        audio: AudioFile,
        model: Model,
        options: Options,
        source: str,
        room: _Room,
    ) -> _Sent:
        digest = parcel.digest()
        key = request_key(digest, model, options, piece=True, host=self._asker.place)
        known = self._asker.known(key)
        if known is not None:
            done: Future[Answered] = Future()
            done.set_result(Answered(known, known=True))
            return _Sent(parcel.place, done)
        room.check(self._folder())
        while not self._room.acquire(timeout=_TICK):
            if self._stop():
                raise _stopped()
        place = parcel.place

        def encoded() -> AudioFile:
            try:
                return self._encoded(parcel, audio, model)
            finally:
                self._room.release()

        file = self._encoders.submit(encoded)

        def sent() -> Answered:
            piece = file.result()
            try:
                return self._ask(key, piece, model, options, digest, source)
            finally:
                with contextlib.suppress(OSError):
                    piece.path.unlink()

        return _Sent(place, self._senders.submit(sent))

    def _encoded(self, parcel: Parcel, audio: AudioFile, model: Model) -> AudioFile:
        codec = piece_codec(model)
        path = self._folder() / f"{uuid.uuid4().hex}.{codec.container}"
        least = max(model.min_seconds or 0.0, 1.0)
        sound = padded(parcel.blocks(), least=int(least * _RATE))
        size = encode(sound, path, codec, sample_rate=_RATE)
        return replace(
            audio,
            path=path,
            container=codec.container,
            mime_type=codec.mime_type,
            codec=str(codec),
            size=size,
            duration=max(parcel.seconds, least),
            channels=1,
            sample_rate=_RATE,
            track=0,
            tracks=1,
            has_video=False,
        )

    def _ask(
        self,
        key: str,
        piece: AudioFile,
        model: Model,
        options: Options,
        digest: str,
        source: str,
    ) -> Answered:
        try:
            return self._asker.ask(
                key,
                lambda: piece,
                model,
                options,
                digest=digest,
                seconds=piece.duration,
                source=source,
            )
        except InputRefusedError:
            if piece.duration <= _SHORTEST_CUT:
                raise
        # Too long or too large after all, whatever the pages say: cut again, once.
        found = self._cut_again(piece, model, options, source)
        self._asker.memory.keep(key, found, seconds=piece.duration, source=source)
        return Answered(found, known=False)

    def _cut_again(
        self, piece: AudioFile, model: Model, options: Options, source: str
    ) -> Transcript:
        parts = []
        sound = blocks(piece.path, container=piece.container, sample_rate=_RATE)
        with closing(sound):
            for parcel in parcels(sound, longest=piece.duration * 0.6):
                file = self._encoded(parcel, piece, model)
                try:
                    digest = parcel.digest()
                    key = request_key(digest, model, options, piece=True, host=self._asker.place)
                    answered = self._asker.ask(
                        key, lambda file=file: file, model, options,  # type: ignore[misc]
                        digest=digest, seconds=file.duration, source=source,
                    )  # fmt: skip
                finally:
                    with contextlib.suppress(OSError):
                        file.path.unlink()
                parts.append(Part(parcel.place, answered.transcript))
        return join(
            parts,
            provider=self._asker.provider.name,
            model=model.id,
            duration=piece.duration,
            timing=Timing.PIECE,
        )

    # --- answers ----------------------------------------------------------------------------------

    def _take(self, sent: _Sent, found: Pieced, progress: _Covered) -> None:
        try:
            answered = self._waited(sent.answer)
        except AsrError as error:
            if error.stops_run or error.code == "cancelled" or isinstance(error, OutputError):
                raise
            found.failed.append(error)
            found.parts.append(gap(sent.place))
            found.known = False
        else:
            found.parts.append(Part(sent.place, answered.transcript))
            found.known = found.known and answered.known
            progress.reached(sent.place, known=answered.known)

    def _waited(self, answer: Future[Answered]) -> Answered:
        while True:
            try:
                return answer.result(timeout=_TICK)
            except StillRunning:
                if answer.done():  # it is what the call itself raised
                    raise
                # What is under way is finished also when the run has been given up.


@dataclass(slots=True)
class _Covered:
    """Turns pieces that are done, in order of time, into seconds of the recording."""

    total: float
    tell: Callable[[float, bool], None]
    done: float = 0.0
    before: float = 0.0
    """Where the last piece of this channel ended."""

    def reached(self, place: Place, *, known: bool) -> None:
        """All up to the end of a piece is done."""
        if place.end < self.before:  # another channel, from its start
            self.before = 0.0
        step = min(place.end - self.before, self.total - self.done)
        self.before = place.end
        self._tell(step, known=known)

    def finish(self, *, known: bool) -> None:
        """What is left was silence."""
        self._tell(self.total - self.done, known=known)

    def _tell(self, seconds: float, *, known: bool) -> None:
        if seconds > 0:
            self.done += seconds
            self.tell(seconds, known)


def _is_hopeless(found: Pieced) -> bool:
    return len(found.failed) >= _HOPELESS and len(found.failed) == len(found.parts)


def _stopped() -> NetworkError:
    return NetworkError("run", "cancelled: the run was stopped before this call", code="cancelled")


def _processors() -> int:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
