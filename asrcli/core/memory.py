"""What is not asked for twice: answers by the sound they belong to, and the files made of them."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asrcli.core.plan import cost_of
from asrcli.errors import AsrError, FileUnreadableError, OutputError
from asrcli.providers.base import Job, Model, Options, Reference
from asrcli.state.jobs import StoredJob
from asrcli.state.store import Answer, Output, Store
from asrcli.transcript import Segment, Timing, Transcript, Word

__all__ = ["FileIdentity", "Memory", "Sending", "Sums", "request_key"]

_URL_DAY = "%Y-%m-%d"
_UPLOAD_SECONDS = 86_400.0
"""How long a file is taken to stay where the service does not say; a refusal is noticed anyway."""
_SETTLED = 2.0
"""Seconds; a file changed later than that may change again within one tick of its clock."""


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """What a file held when it was read: its hash, and how to notice that it changed since."""

    digest: str
    size: int
    modified: int
    """Nanoseconds."""

    def still(self, path: Path) -> bool:
        """True if the file looks as it did."""
        try:
            status = path.stat()
        except OSError:
            return False
        return (status.st_size, status.st_mtime_ns) == (self.size, self.modified)


@dataclass(frozen=True, slots=True)
class Sums:
    """What a run has sent; `cost` in US dollars, None if a price is not known."""

    requests: int = 0
    bytes: int = 0
    seconds: float = 0.0
    cost: float | None = 0.0


@dataclass(slots=True)
class Sending:
    """Something on its way; `possible_duplicate` is set where it may have been sent twice."""

    possible_duplicate: bool = False


def request_key(digest: str, model: Model, options: Options, **more: object) -> str:
    """The identity of a request: the same sound, asked for in the same way, of the same model.

    What is not set has no part in it, so that a new option leaves the old keys as they are.
    """
    extra = {name: value for name, value in more.items() if value is not None}
    return _hash([digest, model.provider, model.id, _asked(options), extra])


def _asked(value: Any) -> Any:
    """What is set in a value: all that is not as it is when nobody says anything."""
    if is_dataclass(value):
        found = {entry.name: (getattr(value, entry.name), entry.default) for entry in fields(value)}
        return {
            name: _asked(item)
            for name, (item, default) in found.items()
            if item != default and item not in ("", ())
        }
    return [_asked(item) for item in value] if isinstance(value, tuple) else value


def _hash(value: object) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(slots=True)
class Memory:
    """The state as a run sees it; without a store nothing is known, and nothing kept."""

    store: Store | None = None
    owner: str = field(default_factory=lambda: uuid.uuid4().hex)
    """The name of this run."""
    clock: Callable[[], float] = time.time
    warn: Callable[[str], None] | None = None
    """Told, once, that an answer could not be kept, and is used all the same; without it that is
    an OutputError."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _sums: Sums = field(default_factory=Sums)
    _unkept: dict[str, Answer] = field(default_factory=dict)
    """What was paid for, and found no room on the disk: this run at least has it."""
    _closed: bool = False

    def close(self) -> None:
        """Close the store."""
        self._closed = True
        if self.store is not None:
            self.store.close()

    # --- what files hold --------------------------------------------------------------------------

    def identify(self, path: Path, *, cached: bool = True) -> FileIdentity:
        """The hash of a file; one that looks as it did is not read again if `cached`.

        Raises FileUnreadableError if it is gone or changes meanwhile.
        """
        try:
            with path.open("rb") as file:
                before = os.fstat(file.fileno())
                looks = (before.st_size, before.st_mtime_ns, before.st_ino)
                store = self.store if cached else None
                digest = store.digest(path, *looks) if store else None
                if digest is None:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
                    after = os.fstat(file.fileno())
                    if looks[:2] != (after.st_size, after.st_mtime_ns):
                        raise FileUnreadableError(f"{path} changed while it was read")
                    if store is not None and self._settled(before.st_mtime):
                        store.remember_digest(path, *looks, digest)
        except OSError as error:
            raise FileUnreadableError(f"cannot read {path}: {error.strerror}") from error
        return FileIdentity(digest, before.st_size, before.st_mtime_ns)

    def _settled(self, modified: float) -> bool:
        return self.clock() - modified > _SETTLED

    def digest_of_reference(self, reference: Reference) -> str:
        """What stands for a recording elsewhere: its place, and for a URL the day as well."""
        if reference.provider is not None:
            return _hash(["reference", reference.location])
        # What a URL names may be another recording tomorrow.
        return _hash(["url", reference.location, datetime.now(UTC).strftime(_URL_DAY)])

    def claim(
        self, key: str, *, stop: Callable[[], bool] = lambda: False
    ) -> AbstractContextManager[None]:
        """While this process alone asks for `key`; whoever had to wait for that recalls it again.

        No run waits any longer than until `stop`, nor where nothing is kept.
        """
        return self.store.claims.hold(key, stop=stop) if self.store else nullcontext()

    # --- answers ----------------------------------------------------------------------------------

    def recall(self, key: str) -> Transcript | None:
        """The transcript that was once answered, or None."""
        answer = self._unkept.get(key) or (self.store.answer(key) if self.store else None)
        if answer is None:
            return None
        try:
            return _read(answer.content)
        except (
            AttributeError,
            KeyError,
            TypeError,
            ValueError,
        ):  # a later version keeps it otherwise
            return None

    def keep(self, key: str, transcript: Transcript, *, seconds: float, source: str = "") -> None:
        """Store a transcript; it is on the disk when this returns, unless that cannot be.

        `source` is the hash of the recording, by which all of it can be forgotten.
        """
        if self.store is None:
            return
        kept = asdict(transcript)
        answer = Answer(transcript.provider, transcript.model, seconds, kept, source)
        try:
            self.store.remember_answer(key, answer)
        except OutputError as error:
            self._do_without(error, key, answer)

    def _do_without(self, error: OutputError, key: str, answer: Answer) -> None:
        """Go on with an answer that this run alone has; raises where nobody can be told so."""
        if self.warn is None or self._closed:
            raise error
        with self._lock:
            first = not self._unkept
            self._unkept[key] = answer
        if first:
            self.warn(f"{error}: what was answered is used, but not remembered")

    def forget(self, paths: Collection[Path] = ()) -> None:
        """Remove everything, or what is known of some recordings and results; no text stays."""
        if self.store is None:
            return
        if not paths:
            self.store.forget()
            return
        digests = []
        for path in paths:
            with suppress(FileUnreadableError):
                digests.append(self.identify(path).digest)
        self.store.forget_files(paths, digests=digests)

    # --- what leaves this computer ----------------------------------------------------------------

    @contextmanager
    def sending(
        self, model: Model, *, host: str, seconds: float, size: int, digest: str
    ) -> Iterator[Sending]:
        """Write down that sound leaves this computer, and how that ended.

        Raises OutputError if that cannot be written down; then nothing has left.
        """
        entry = Sending()
        cost = cost_of(model, seconds)
        with self._lock:
            total = self._sums
            both = None if cost is None or total.cost is None else total.cost + cost
            self._sums = Sums(total.requests + 1, total.bytes + size, total.seconds + seconds, both)
        if self.store is None:
            yield entry
            return
        number = self.store.sending(
            host=host,
            provider=model.provider,
            model=model.id,
            seconds=seconds,
            size=size,
            digest=digest,
            cost=cost,
        )
        try:
            yield entry
        except BaseException as error:
            twice = isinstance(error, AsrError) and error.possible_duplicate
            self._sent(number, "failed", twice=twice or entry.possible_duplicate)
            raise
        self._sent(number, "answered", twice=entry.possible_duplicate)

    def _sent(self, number: int, state: str, *, twice: bool) -> None:
        # An answer must not be lost because the disk is full: it is what was paid for. The entry
        # still says that it was sent, and storing the answer will tell what is wrong.
        with suppress(OutputError):
            assert self.store is not None
            self.store.sent(number, state, possible_duplicate=twice)

    @property
    def sums(self) -> Sums:
        """What this run has sent so far."""
        with self._lock:
            return self._sums

    # --- uploads ----------------------------------------------------------------------------------

    def upload_key(self, digest: str, model: Model, host: str) -> str:
        """The identity of a file at a service; at Qwen Cloud it belongs to one model."""
        owner = model.id if model.provider == "qwen" else ""
        return _hash(["upload", digest, model.provider, owner, host])

    def recall_upload(self, key: str, *, spare: float) -> Reference | None:
        """Where the file lies, if it stays for `spare` more seconds."""
        known = self.store.upload(key, spare=spare) if self.store else None
        if known is None:
            return None
        provider, location, expires = known
        return Reference(provider, location, datetime.fromtimestamp(expires or 0.0, UTC))

    def keep_upload(self, key: str, reference: Reference) -> None:
        """Store where a file lies."""
        if self.store is not None:
            known = reference.expires
            ends = known.timestamp() if known else self.clock() + _UPLOAD_SECONDS
            self.store.remember_upload(key, reference.provider or "", reference.location, ends)

    def forget_upload(self, key: str) -> None:
        """It is no longer there."""
        if self.store is not None:
            self.store.forget_upload(key)

    # --- hotwords ---------------------------------------------------------------------------------

    def recall_vocabulary(self, key: str) -> str | None:
        """The id of a list of hotwords that was made before."""
        return self.store.vocabulary(key) if self.store else None

    def keep_vocabulary(self, key: str, id: str) -> None:  # noqa: A002 - as the field
        """Store the id of a list of hotwords."""
        if self.store is not None:
            self.store.remember_vocabulary(key, id)

    # --- jobs -------------------------------------------------------------------------------------

    def job(self, key: str) -> StoredJob | None:
        """The job for what is asked, or None."""
        return self.store.jobs.find(key) if self.store else None

    def job_ids(self) -> set[str]:
        """The ids of all jobs that are known here."""
        return self.store.jobs.ids() if self.store else set()

    def intend_job(
        self,
        key: str,
        model: Model,
        *,
        host: str,
        name: str,
        location: str,
        options: Options,
        seconds: float,
        source: str | None = None,
        expires: datetime | None = None,
    ) -> None:
        """Write down that a job is about to be submitted: from here on by this run alone.

        `source` is the path or URL of the recording, `expires` the end of what lies at `location`.
        Raises LockedError while another run submits the same, or if it has just done so.
        """
        if self.store is not None:
            self.store.jobs.intend(
                key,
                provider=model.provider,
                model=model.id,
                host=host,
                name=name,
                location=location,
                options=json.dumps(_asked(options), sort_keys=True),
                seconds=seconds,
                owner=self.owner,
                source=source,
                expires=expires,
            )

    def submitted_job(self, key: str, job: Job, *, possible_duplicate: bool = False) -> None:
        """Write down what the service calls it."""
        if self.store is not None:
            self.store.jobs.submitted(
                key,
                job.id,
                job.host,
                unproven=job.unproven,
                possible_duplicate=possible_duplicate,
            )

    def withdraw_job(self, key: str) -> None:
        """The service has certainly not taken it: it was refused, or nothing was sent."""
        if self.store is not None:
            self.store.jobs.withdraw(key)

    def update_job(self, key: str, state: str, error: AsrError | None = None) -> None:
        """Write down how far it is, and why it failed."""
        # What could not be kept has to be fetched again by the next run.
        if self.store is not None and key not in self._unkept:
            code, message = (error.code, str(error)) if error else (None, None)
            self.store.jobs.update(key, str(state), code=code, message=message)

    # --- results ----------------------------------------------------------------------------------

    def is_ours(self, path: Path) -> bool:
        """True if a run wrote this file."""
        return self._result(path) is not None

    def is_finished(self, path: Path, source: str, options: str) -> bool:
        """True if the file is there, and was made of the same, in the same way."""
        known = self._result(path)
        return (
            known is not None
            and path.is_file()
            and (known.source, known.options) == (source, options)
        )

    def was_edited(self, path: Path) -> bool:
        """True if somebody changed the file since a run wrote it."""
        known = self._result(path)
        return known is not None and path.is_file() and self._digest(path) != known.digest

    def will_write(self, path: Path, source: str, options: str, digest: str) -> None:
        """Write down what the file is about to become; `wrote` follows when it has.

        A run that is killed in between leaves a file that the next one knows as ours, whether it
        has its old content or the new one. Streams and devices are no files that are remembered.
        """
        if self.store is None or path.is_symlink():
            return
        output = Output(source, options, digest)
        if not path.exists():
            self.store.remember_output(path, output)
        elif path.is_file():
            self.store.intend_output(path, output)

    def wrote(self, path: Path) -> None:
        """The file is what `will_write` said."""
        if self.store is not None:
            self.store.finish_output(path)

    def _result(self, path: Path) -> Output | None:
        """What a run made of the file, or was making of it when it was killed."""
        if self.store is None or path.is_symlink():
            return None
        written, intended = self.store.outputs(path)
        if intended is not None and self._digest(path) == intended.digest:
            return intended
        return written

    def _digest(self, path: Path) -> str:
        try:
            return self.identify(path).digest
        except FileUnreadableError:  # it cannot be read: it is not what was written
            return ""


# --- transcripts as plain JSON ----------------------------------------------------------------


def _read(content: Mapping[str, Any]) -> Transcript:
    found = _known(Transcript, content)
    found["segments"] = tuple(_segment(item) for item in content["segments"])
    for name in ("request_ids", "warnings"):
        found[name] = tuple(content.get(name, ()))
    return Transcript(**found)


def _segment(item: Mapping[str, Any]) -> Segment:
    found = _known(Segment, item)
    found["timing"] = Timing(item["timing"])
    found["words"] = tuple(Word(**_known(Word, word)) for word in item["words"])
    return Segment(**found)


def _known(kind: type, content: Mapping[str, Any]) -> dict[str, Any]:
    """What this version knows of a value that another one may have written."""
    names = {entry.name for entry in fields(kind)}
    return {name: value for name, value in content.items() if name in names}
