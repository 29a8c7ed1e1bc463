"""Ask a service about a recording, once: what was answered before is not asked again.

Everything that leaves this machine goes through here: it is written down before it is sent, and an
answer is on disk before anybody sees it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace

from asrcli.core.memory import FileIdentity, Memory
from asrcli.errors import AsrError, FileUnreadableError
from asrcli.media.audio import AudioFile
from asrcli.providers.base import Model, OnText, Options, Provider, Reference
from asrcli.transcript import Transcript

__all__ = ["Answered", "Asker"]

_SPARE_SECONDS = 600.0
"""An upload that ends sooner than this is not used again."""

Sendable = AudioFile | Reference


@dataclass(frozen=True, slots=True)
class Answered:
    """A transcript, and whether it was known already."""

    transcript: Transcript
    known: bool


@dataclass(slots=True)
class _Turns:
    """One thread at a time for each key: equal recordings of one run are sent once."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    turns: dict[str, tuple[threading.Lock, int]] = field(default_factory=dict)

    @contextmanager
    def take(self, key: str) -> Iterator[None]:
        with self.lock:
            turn, waiting = self.turns.get(key, (threading.Lock(), 0))
            self.turns[key] = (turn, waiting + 1)
        try:
            with turn:
                yield
        finally:
            with self.lock:
                turn, waiting = self.turns[key]
                if waiting == 1:
                    del self.turns[key]
                else:
                    self.turns[key] = (turn, waiting - 1)


@dataclass(slots=True)
class Asker:
    """One for a run; serves many threads."""

    provider: Provider
    memory: Memory
    on_traffic: Callable[[int, int], None] = lambda _calls, _bytes: None
    """Told how many more calls are under way, and how many bytes they take."""
    stop: Callable[[], bool] = lambda: False
    """True when the run is being given up."""
    _turns: _Turns = field(default_factory=_Turns)

    @property
    def place(self) -> str | None:
        """The host, where the same model may be another one elsewhere: a server of one's own."""
        return self.provider.host if self.provider.name == "openai" else None

    def turn(self, key: str) -> AbstractContextManager[None]:
        """One thread at a time for each key."""
        return self._turns.take(key)

    def known(self, key: str) -> Transcript | None:
        """What was answered to this before, or None."""
        return self.memory.recall(key)

    def ask(
        self,
        key: str,
        make: Callable[[], Sendable],
        model: Model,
        options: Options,
        *,
        digest: str,
        seconds: float,
        source: str = "",
        on_text: OnText | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> Answered:
        """The answer to `key`, remembered or new; `make` gives what is sent, if it has to be.

        `digest` says what the sound is, `seconds` how much of it there is, `source` which file it
        is from, if it is a part of one; `check` raises if that is no longer true. Raises an
        `AsrError`.
        """
        with self.turn(key), self._alone(key):
            if (known := self.memory.recall(key)) is not None:
                return Answered(known, known=True)
            sent = make()
            found = self._sent(sent, model, options, digest, seconds, on_text)
            check()
            if found.duration is None and seconds:
                found = replace(found, duration=seconds)
            self.memory.keep(key, found, seconds=seconds, source=source or digest)
            return Answered(found, known=False)

    def _alone(self, key: str) -> AbstractContextManager[None]:
        """No other process asks for the same; what costs nothing is not worth the wait."""
        if not self.provider.host:
            return nullcontext()
        return self.memory.claim(key, stop=self.stop)

    def _sent(
        self,
        sent: Sendable,
        model: Model,
        options: Options,
        digest: str,
        seconds: float,
        on_text: OnText | None,
    ) -> Transcript:
        def call(what: Sendable) -> Transcript:
            size = what.size if isinstance(what, AudioFile) else 0
            with self._sending(model, seconds=seconds, size=size, digest=digest):
                return self.provider.transcribe(what, model, options, on_text=on_text)

        if isinstance(sent, Reference) or not self.provider.stores_first(sent, model):
            return call(sent)
        reference, fresh = self.stored(sent, model, digest)
        try:
            return call(reference)
        except AsrError as error:
            if fresh or error.retryable or error.stops_run or not _about_the_file(error):
                raise
        # It lay there from an earlier run, and may be gone: nobody says for how long it stays.
        self.forget(sent, model)
        reference, _ = self.stored(sent, model, digest)
        return call(reference)

    @contextmanager
    def _sending(self, model: Model, *, seconds: float, size: int, digest: str) -> Iterator[None]:
        """Write down that sound leaves this computer, and how that ended."""
        host = self.provider.host
        if not host:
            yield
            return
        self.on_traffic(1, size)
        try:
            with self.memory.sending(model, host=host, seconds=seconds, size=size, digest=digest):
                yield
        finally:
            self.on_traffic(-1, 0)

    # --- storage of the service -------------------------------------------------------------------

    def stored(
        self,
        audio: AudioFile,
        model: Model,
        digest: str,
        *,
        identity: FileIdentity | None = None,
    ) -> tuple[Reference, bool]:
        """Where the file lies at the service, and whether it was only brought there now.

        It is read to know what it holds, unless that was just done (`identity`).
        """
        identity = identity or self.memory.identify(audio.path, cached=False)
        key = self.memory.upload_key(identity.digest, model, self.provider.host)
        with self._turns.take(key), self._alone(key):
            known = self.memory.recall_upload(key, spare=_SPARE_SECONDS)
            if known is not None:
                return known, False
            # The call that reads it counts the seconds.
            with self._sending(model, seconds=0.0, size=audio.size, digest=digest):
                reference = self.provider.upload(audio, model)
            if not identity.still(audio.path):  # nobody knows what lies there now
                raise FileUnreadableError(f"{audio.name} changed while it was read")
            self.memory.keep_upload(key, reference)
            return reference, True

    def forget(self, audio: AudioFile, model: Model) -> None:
        """What was stored is gone."""
        self.memory.forget_upload(self._storage_key(audio, model))

    def _storage_key(self, audio: AudioFile, model: Model) -> str:
        content = self.memory.identify(audio.path, cached=False).digest
        return self.memory.upload_key(content, model, self.provider.host)


def _about_the_file(error: AsrError) -> bool:
    return error.exit_status in {2, 7, 9} and not isinstance(error, FileUnreadableError)
