"""One input from its name to its transcript: look at it, choose its way, send it, put it together.

The way is a `Plan`; this module carries it out. What is sent goes through `core.asking`, so that
nothing is paid for twice.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from asrcli.core.asking import Asker
from asrcli.core.decoding import Decoders, warm_for
from asrcli.core.inputs import Input
from asrcli.core.jobs import JobRunner
from asrcli.core.memory import FileIdentity, Memory, request_key
from asrcli.core.opening import Opener
from asrcli.core.pieced import Pieced, Piecer
from asrcli.core.plan import Plan, Route, plan, way
from asrcli.core.prepare import Changes, prepare
from asrcli.core.room import check_room
from asrcli.core.select import Choice
from asrcli.errors import AsrError, FileUnreadableError, InputRefusedError, UsageError
from asrcli.media.audio import AudioFile
from asrcli.media.encode import Codec, estimated_bytes
from asrcli.providers.base import API, Feature, Model, OnText, Options, Reference
from asrcli.transcript import Timing, Transcript

__all__ = ["Recognized", "Recognizer", "Watcher"]

_SHORTEST_CUT = 60.0
"""Seconds; what a service refuses is cut only if it lasts longer than this."""
_PLAIN = {"wav", "flac"}
"""What no service refuses for its format."""


@dataclass(frozen=True, slots=True)
class Recognized:
    """A transcript, and what it was made from (None for a reference or a URL)."""

    transcript: Transcript
    audio: AudioFile | None
    route: Route
    note: str = ""
    """What was done to the recording before it was sent; empty if nothing was."""
    known: bool = False
    """True if nothing had to be sent: it was answered before."""
    error: AsrError | None = None
    """Why pieces are missing, where the rest was wanted all the same."""
    source: str = ""
    """The hash of the file that it was made of, if it was an input as it is."""


@dataclass(frozen=True, slots=True)
class Watcher:
    """Who is told how far an input is, from any thread."""

    on_text: OnText | None = None
    """The whole text so far, while the service sends it."""
    on_length: Callable[[float], None] = lambda _: None
    """Seconds of audio that the input has."""
    on_part: Callable[[float, bool], None] = lambda _seconds, _known: None
    """So many more are done; True if they had been answered before."""
    on_status: Callable[[str], None] = lambda _: None
    """What it is waiting for."""


@dataclass(frozen=True, slots=True)
class Recognizer:
    """Everything that is the same for all inputs of a run."""

    choose: Callable[[AudioFile | None], Choice]
    """The model for a recording; for None, of which nothing is known, the one for a reference."""
    options_for: Callable[[Choice], Options]
    asker: Asker
    memory: Memory
    opener: Opener
    piecer: Piecer
    jobs: JobRunner | None
    folder: Callable[[], Path]
    decoders: Decoders
    changes: Changes = field(default_factory=Changes)
    timed: bool = False
    """True if a format is asked for that makes no sense without times."""
    apart: bool = False
    """Each channel by itself."""
    allow_partial: bool = False
    detail: Callable[[str], None] = lambda _: None
    """Told what `-v` shows."""

    def recognize(self, found: Input, watcher: Watcher = Watcher()) -> Recognized:
        """Transcribe one input; raises an `AsrError`."""
        if found.reference is not None and self._goes_as_it_is(found.reference):
            return self._referred(found, found.reference, watcher)
        if found.path is not None and self.asker.provider.host:
            warm_for(found.path, self.decoders)
        with self.opener.opened(found) as audio:
            watcher.on_length(audio.duration)
            own = found.path is not None and audio.path == found.path
            identity = self.memory.identify(audio.path, cached=own)
            choice = self.choose(audio)
            route, why, longest = way(
                audio, choice.model, self.changes, timed=self.timed, apart=self._apart(choice)
            )
            self.detail(f"{found.name}: {route} with {choice.model.id}, since {why}")
            options = self.options_for(choice)
            work = _Work(found.name, audio, identity, choice, options, watcher, found.file)
            done = self._carried_out(work, route, longest)
            return replace(done, source=identity.digest) if own else done

    def _carried_out(self, work: _Work, route: Route, longest: float | None) -> Recognized:
        if route is Route.JOB:
            return self._by_job(work)
        if longest is not None:
            return self._in_pieces(work, route, longest)
        return self._whole(work, route)

    def plan(self, found: Input) -> Plan:
        """What would be done; nothing is sent, though a URL may be fetched."""
        if found.reference is not None and self._goes_as_it_is(found.reference):
            choice = self.choose(None)
            return Plan(choice, Route.REFERENCE, "the service reads it itself", requests=1)
        with self.opener.opened(found) as audio:
            choice = self.choose(audio)
            identity = self.memory.identify(audio.path, cached=audio.path == found.path)
            work = _Work(found.name, audio, identity, choice, self.options_for(choice), Watcher())
            if _is_job(choice.model):
                one, work = self._as_job(work)
                billed = max(1, len(work.options.channels))
                made = plan(audio, choice, one.changes, billed_channels=billed)
                return replace(made, known=self.asker.known(one._key(work)) is not None)
            apart = self._apart(choice)
            made = plan(audio, choice, self.changes, timed=self.timed, apart=apart)
            if made.longest is None:
                return replace(made, known=self.asker.known(self._key(work)) is not None)
            key = self._pieces_key(work, made.route, made.longest)
            if self.asker.known(key) is not None:
                return replace(made, known=True)
            channels = self._channels(audio, apart=apart)
            speech, pieces = self.piecer.measure(audio, made, channels=channels)
            return plan(
                audio,
                choice,
                self.changes,
                timed=self.timed,
                apart=apart,
                speech=speech,
                pieces=pieces,
            )

    # --- references and URLs ----------------------------------------------------------------------

    def _goes_as_it_is(self, reference: Reference) -> bool:
        model = self.choose(None).model
        name = self.asker.provider.name
        if reference.provider is not None:
            if reference.provider != name:
                raise UsageError(
                    f"{reference} lies at {reference.provider}; {name} cannot read it",
                    hint=f"Add -p {reference.provider}.",
                )
            if self.changes or self.opener.track or self.apart:
                raise UsageError(
                    "--channel, --split-channels, --track and --normalize need the file itself"
                )
            return True
        changed = bool(self.changes or self.opener.track or self.apart)
        return Feature.URL in model.features and not changed and not self._cut(model)

    def _cut(self, model: Model) -> bool:
        return self.timed and Feature.TIMES not in model.features

    def _referred(self, found: Input, reference: Reference, watcher: Watcher) -> Recognized:
        choice = self.choose(None)
        options = self.options_for(choice)
        digest = self.memory.digest_of_reference(reference)
        key = request_key(digest, choice.model, options, host=self.asker.place)
        if self.jobs is not None and _is_job(choice.model):
            answered = self.jobs.run(
                key, lambda: reference, choice.model, options,
                name=found.name, digest=digest, seconds=0.0, source=reference.location,
                on_status=watcher.on_status,
            )  # fmt: skip
        else:
            answered = self.asker.ask(
                key, lambda: reference, choice.model, options,
                digest=digest, seconds=0.0, on_text=watcher.on_text,
            )  # fmt: skip
        seconds = answered.transcript.duration or 0.0
        watcher.on_length(seconds)
        watcher.on_part(seconds, answered.known)
        return Recognized(answered.transcript, None, Route.REFERENCE, known=answered.known)

    # --- in one call ------------------------------------------------------------------------------

    def _whole(self, work: _Work, route: Route) -> Recognized:
        try:
            return self._sent(work, route)
        except InputRefusedError as refused:
            # The catalogue may be wrong about a format, a size or a length; the service is not.
            short = work.audio.duration <= _SHORTEST_CUT
            if route is Route.HERE or (short and work.audio.container in _PLAIN):
                raise
            # Pieces are in a format of ours: a short recording is sent once more as that.
            self.detail(f"{work.name}: {refused}; trying again in pieces")
            longest = _SHORTEST_CUT if short else min(180.0, work.audio.duration / 2)
            return self._in_pieces(work, Route.PIECES, longest)

    def _sent(self, work: _Work, route: Route) -> Recognized:
        notes: list[str] = []
        with self._prepared(work, notes) as make:
            answered = self.asker.ask(
                self._key(work),
                make,
                work.choice.model,
                work.options,
                digest=work.identity.digest,
                seconds=work.audio.duration,
                on_text=work.watcher.on_text,
                check=work.check_unchanged,
            )
        work.watcher.on_part(work.audio.duration, answered.known)
        return Recognized(
            answered.transcript, work.audio, route, "".join(notes), known=answered.known
        )

    @contextmanager
    def _prepared(self, work: _Work, notes: list[str]) -> Iterator[Callable[[], AudioFile]]:
        """Gives what makes the file that is sent; a conversion is gone when the block is left."""
        made: list[Path] = []

        def make() -> AudioFile:
            prepared = prepare(
                work.audio,
                work.choice.model,
                lambda: self._folder_for(work),
                self.changes,
                self.decoders,
            )
            if prepared.note:
                self.detail(prepared.note)
                notes.append(prepared.note)
            if prepared.audio.path != work.audio.path:
                made.append(prepared.audio.path)
            return prepared.audio

        try:
            yield make
        finally:
            for path in made:
                with contextlib.suppress(OSError):
                    path.unlink()

    def _folder_for(self, work: _Work) -> Path:
        """Where a conversion goes; raises OutputError if there is not even room for the smallest.

        It is asked for only where the recording is converted.
        """
        folder, formats = self.folder(), work.choice.model.formats
        sizes = [
            estimated_bytes(codec, work.audio.duration)
            for codec in Codec
            if not formats or codec.container in formats
        ]
        check_room(folder, min(sizes, default=0), what=f"converting {work.name}")
        return folder

    def _key(self, work: _Work, **more: object) -> str:
        changes = {
            "track": self.opener.track or None,
            "channel": self.changes.channel,
            "normalize": self.changes.normalize or None,
            "mix": self.changes.mix or None,
            "host": self.asker.place,
        }
        return request_key(work.identity.digest, work.choice.model, work.options, **changes, **more)

    # --- as a job ---------------------------------------------------------------------------------

    def _as_job(self, work: _Work) -> tuple[Recognizer, _Work]:
        """With what the service is to do about channels, and what is left to us.

        A service that takes them apart does so itself; one that was told nothing hears the first
        alone, so they are mixed before.
        """
        changes, options = self.changes, work.options
        if Feature.CHANNELS in work.choice.model.features:
            wanted = self._channels(work.audio, apart=self.apart)
            options = replace(options, channels=tuple(c for c in wanted if c is not None))
            changes = replace(changes, channel=None)
        mixed = work.audio.channels > 1 and changes.channel is None and not options.channels
        return replace(self, changes=replace(changes, mix=mixed)), replace(work, options=options)

    def _by_job(self, work: _Work) -> Recognized:
        assert self.jobs is not None
        one, work = self._as_job(work)
        notes: list[str] = []
        with one._prepared(work, notes) as make:
            answered = self.jobs.run(
                one._key(work),
                make,
                work.choice.model,
                work.options,
                name=work.name,
                digest=work.identity.digest,
                seconds=work.audio.duration,
                source=work.source,
                on_status=work.watcher.on_status,
                check=work.check_unchanged,
            )
        work.watcher.on_part(work.audio.duration, answered.known)
        return Recognized(
            answered.transcript, work.audio, Route.JOB, "".join(notes), known=answered.known
        )

    # --- in pieces --------------------------------------------------------------------------------

    def _in_pieces(self, work: _Work, route: Route, longest: float) -> Recognized:
        apart = self._apart(work.choice)
        key = self._pieces_key(work, route, longest)
        if (known := self.asker.known(key)) is not None:
            work.watcher.on_part(work.audio.duration, True)
            return Recognized(known, work.audio, route, known=True)
        pieced = self.piecer.recognize(
            work.audio,
            work.choice.model,
            work.options,
            longest=longest,
            cues=route is Route.CUES,
            channels=self._channels(work.audio, apart=apart),
            normalize=self.changes.normalize,
            source=work.identity.digest,
            on_part=work.watcher.on_part,
        )
        work.check_unchanged()
        timing = Timing.VAD if route is Route.CUES else Timing.PIECE
        transcript = pieced.joined(
            provider=self.asker.provider.name,
            model=work.choice.model.id,
            duration=work.audio.duration,
            timing=timing,
        )
        error = self._missing(pieced, work.name)
        if error is None:
            self.memory.keep(
                key, transcript, seconds=work.audio.duration, source=work.identity.digest
            )
        note = f"{work.name}: {pieced.count} pieces"
        self.detail(note)
        return Recognized(transcript, work.audio, route, note, known=pieced.known, error=error)

    def _pieces_key(self, work: _Work, route: Route, longest: float) -> str:
        apart = self._apart(work.choice)
        return self._key(work, route=str(route), longest=longest, apart=apart or None)

    def _missing(self, pieced: Pieced, name: str) -> AsrError | None:
        """The error of the first piece that failed; raised unless the rest is wanted."""
        if not pieced.failed:
            return None
        error = pieced.failed[0]
        if pieced.count > 1:
            said = f"{len(pieced.failed)} of {pieced.count} pieces of {name} failed"
            kept = "; the others are kept, and the same command asks for these alone"
            self.detail(f"{said}{kept if pieced.count > len(pieced.failed) else ''}")
        if not self.allow_partial or error.stops_run or pieced.count == len(pieced.failed):
            raise error
        return error

    def _apart(self, choice: Choice) -> bool:
        return self.apart and not _is_job(choice.model)

    def _channels(self, audio: AudioFile, *, apart: bool) -> list[int | None]:
        if apart and audio.channels > 1:
            return list(range(audio.channels))
        return [self.changes.channel]


@dataclass(frozen=True, slots=True)
class _Work:
    """One recording, and all that was decided about it."""

    name: str
    audio: AudioFile
    identity: FileIdentity
    choice: Choice
    options: Options
    watcher: Watcher
    source: str | None = None
    """Its path, if it has one."""

    def check_unchanged(self) -> None:
        """Raise FileUnreadableError if the file is no longer what was looked at."""
        if not self.identity.still(self.audio.path):
            raise FileUnreadableError(f"{self.name} changed while it was read")


def _is_job(model: Model) -> bool:
    return model.api in {API.JOB, API.JOB_LIST}
