"""Work at a service that takes its time: submit once, ask until it has ended, fetch what it made.

That a job is about to be submitted is written down before it is, and its id before anybody asks
after it: a run that was killed goes on asking, and never submits again. Where nobody knows whether
a submit came through, the service's list is looked at first.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from asrcli.core.asking import Answered, Asker, Sendable
from asrcli.core.job_records import (
    anew,
    costs_again,
    ended_badly,
    failed_before,
    is_gone,
    job_of,
    options_of,
)
from asrcli.core.memory import Memory
from asrcli.core.polling import Poller
from asrcli.errors import (
    AsrError,
    ConfigurationError,
    FileUnreadableError,
    InputRefusedError,
    LockedError,
    OutputError,
    RefusedError,
    Retry,
    ServiceError,
    TimeLimitError,
)
from asrcli.providers.base import (
    Job,
    JobProvider,
    JobState,
    JobStatus,
    Model,
    Options,
    Reference,
)
from asrcli.providers.calls import SENT_TWICE, host_of
from asrcli.providers.qwen.failures import RESULT_EXPIRED
from asrcli.state.jobs import StoredJob
from asrcli.transcript import Transcript

__all__ = ["FETCHED", "Detached", "JobRunner", "Poller"]

FETCHED = "fetched"
"""The state of a job whose transcript is kept here."""
_LIST_LAG = 2.0
"""Seconds after which a job that was just submitted is in the service's list, if it is at all."""
_PATIENCE = 60.0
"""Seconds in which another run that is about to submit the same should have done so."""
_STEP = 0.25
_MOST_JOBS = 10
"""So many that turn out to be of no use are given up for one recording."""


class Detached(Exception):  # noqa: N818 - no error: it is what was asked for
    """The job was submitted, and nobody waits for it."""

    def __init__(self, job: Job) -> None:
        super().__init__(job.id)
        self.job = job


@dataclass(frozen=True, slots=True)
class _Order:
    """What is to be submitted, if it has to be."""

    key: str
    make: Callable[[], Sendable]
    model: Model
    options: Options
    name: str
    digest: str
    seconds: float
    source: str | None
    check: Callable[[], None]


@dataclass(frozen=True, slots=True)
class _Begun:
    """A job that is under way."""

    job: Job
    age: float = 0.0
    """Seconds since it was submitted."""
    new: bool = False
    """True if this run submitted it."""
    resent: bool = False
    """True if it may have been submitted twice."""
    stored_before: bool = False
    """True if the recording lay at the service from an earlier run, and may be gone."""


class _UselessError(Exception):
    """The job cannot give the transcript, and another one may.

    `unclear` if it was of another recording: then the one that was looked for may be there.
    """

    def __init__(self, error: AsrError, *, unclear: bool) -> None:
        super().__init__(error)
        self.error = error
        self.unclear = unclear


@dataclass(slots=True)
class JobRunner:
    """One for a run: brings recordings to the service as jobs, and their transcripts back."""

    provider: JobProvider
    asker: Asker
    memory: Memory
    poller: Poller
    longest: float = 46_800.0
    """Seconds that a job is waited for."""
    detach: bool = False
    note: Callable[[str], None] = lambda _: None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    wait: Callable[[float], object] = time.sleep
    _others: set[str] = field(default_factory=set)
    """Jobs that were taken for one of ours, and turned out to be of other recordings."""

    def run(
        self,
        key: str,
        make: Callable[[], Sendable],
        model: Model,
        options: Options,
        *,
        name: str,
        digest: str,
        seconds: float,
        source: str | None = None,
        on_status: Callable[[str], None] = lambda _: None,
        check: Callable[[], None] = lambda: None,
    ) -> Answered:
        """The answer to `key`, remembered, from a job that is under way, or from a new one.

        `source` is the path or URL of the recording. Raises Detached where nobody is to wait, and
        an `AsrError`.
        """
        with self.asker.turn(key):
            if (known := self.memory.recall(key)) is not None:
                return Answered(known, known=True)
            order = _Order(key, make, model, options, name, digest, seconds, source, check)
            begun = self._begun(order)
            if self.detach:
                raise Detached(begun.job)
            for _ in range(_MOST_JOBS):
                try:
                    return self._kept(order, begun, self._useful(order, begun, on_status))
                except _UselessError as useless:
                    begun = self._begun_anew(order, begun, useless)
            return self._kept(order, begun, self._collected(order, begun, on_status))

    def resume(
        self,
        stored: StoredJob,
        model: Model,
        *,
        on_status: Callable[[str], None] = lambda _: None,
    ) -> Answered:
        """The answer to a job of an earlier run; nothing is submitted. Raises an `AsrError`."""
        with self.asker.turn(stored.key):
            stored = self.memory.job(stored.key) or stored
            if (known := self.memory.recall(stored.key)) is not None:
                return Answered(known, known=True)
            begun = self._found(stored, model) if stored.id is None else self._known(stored)
            if begun is None:
                raise ServiceError(
                    stored.provider,
                    f"there is no job for {stored.name}: it was probably never submitted",
                    hint="`asrcli transcribe` submits it.",
                )
            order = _Order(
                stored.key, _nothing_to_send, model, options_of(stored), stored.name,
                self._digest(stored.source), stored.seconds, stored.source, lambda: None,
            )  # fmt: skip
            return self._kept(order, begun, self._collected(order, begun, on_status))

    def _kept(self, order: _Order, begun: _Begun, found: Transcript) -> Answered:
        if begun.resent:
            found = replace(found, warnings=(*found.warnings, SENT_TWICE))
        if found.duration is None and order.seconds:
            found = replace(found, duration=order.seconds)
        self.memory.keep(order.key, found, seconds=order.seconds, source=order.digest)
        self.memory.update_job(order.key, FETCHED)
        return Answered(found, known=not begun.new)

    def _digest(self, source: str | None) -> str:
        """The hash of a recording that is still there, so that all of it can be forgotten."""
        if source is None or "://" in source:
            return ""
        try:
            return self.memory.identify(Path(source)).digest
        except FileUnreadableError:
            return ""

    # --- one that is there already ----------------------------------------------------------------

    def _begun(self, order: _Order) -> _Begun:
        """The job of an earlier run or of one that runs beside this one, or a new one."""
        stored = self.memory.job(order.key)
        if stored is None:
            return self._submitted(order, unclear=False)
        if stored.id is None:
            self.note(f"{order.name} may have been submitted before: looking for its job")
            return self._found(stored, order.model) or self._submitted(order, unclear=True)
        if costs_again(stored):
            raise failed_before(stored)
        if stored.state not in {JobState.FAILED, JobState.CANCELED}:
            return self._known(stored)
        self._forget(stored)
        return self._submitted(order, unclear=False)

    def _begun_anew(self, order: _Order, begun: _Begun, useless: _UselessError) -> _Begun:
        """Another job in place of one that is of no use."""
        self.poller.check_stop()
        self._others.add(begun.job.id)
        stored = self.memory.job(order.key)
        if stored is not None and stored.id not in {None, begun.job.id}:
            return self._known(stored)  # another run was faster
        if not useless.unclear:
            sent = order.make()
            if isinstance(sent, Reference):
                raise useless.error
            self.note(f"{order.name} is no longer at the service, and is uploaded again")
            self.asker.forget(sent, order.model)
        if stored is not None:
            self._forget(stored)
            if useless.unclear:
                self.note(f"the job {begun.job.id} is of another recording than {order.name}")
                if found := self._found(stored, order.model):
                    return found
        return self._submitted(order, unclear=useless.unclear)

    def _forget(self, stored: StoredJob) -> None:
        if self.memory.store is not None:
            with suppress(LockedError):  # it is gone, if not yet from the log of the database
                self.memory.store.jobs.forget([stored.key])

    def _known(self, stored: StoredJob) -> _Begun:
        """A job that has its id."""
        return _Begun(
            job_of(stored),
            age=self._age(stored),
            resent=stored.possible_duplicate,
            stored_before=True,
        )

    def _age(self, stored: StoredJob) -> float:
        return max(0.0, (self.now() - (stored.submitted or stored.created)).total_seconds())

    def _found(self, stored: StoredJob, model: Model) -> _Begun | None:
        """The job that somebody was about to submit, if the service lists it.

        It was submitted with the place that is written down, whatever would be sent now.
        """
        if self.provider.host not in {stored.host, host_of(stored.host)}:
            raise ConfigurationError(
                f"the job for {stored.name} may have been submitted to {stored.host}",
                hint="Only that host knows: choose it with --region or --base-url.",
            )
        scheme = stored.location.partition("://")[0]
        owner = None if scheme in {"http", "https"} else stored.provider
        reference = Reference(owner, stored.location)
        job = self._looked_for(reference, model, stored.created)
        if job is None:
            return None
        try:
            self._intend(stored, model)
        except LockedError:
            return self._of_another(stored.key)
        self.memory.submitted_job(stored.key, job)
        self.note(f"{stored.name}: the job {job.id} is taken for it")
        return _Begun(job, stored_before=True)

    def _intend(self, stored: StoredJob, model: Model) -> None:
        self.memory.intend_job(
            stored.key,
            model,
            host=stored.host,
            name=stored.name,
            location=stored.location,
            options=options_of(stored),
            seconds=stored.seconds,
            source=stored.source,
            expires=stored.expires,
        )

    def _of_another(self, key: str) -> _Begun:
        """The job that another run is just submitting; raises LockedError if it takes too long."""
        waited = 0.0
        while True:
            stored = self.memory.job(key)
            if stored is not None and stored.id is not None:
                return self._known(stored)
            if waited >= (_STEP if stored is None else _PATIENCE):
                name = "it" if stored is None else stored.name
                raise LockedError(
                    f"another run is submitting the job for {name}",
                    hint="The same command waits for that job once it is there.",
                )
            self.poller.check_stop()
            self.wait(_STEP)
            waited += _STEP

    # --- submitting -------------------------------------------------------------------------------

    def _submitted(self, order: _Order, *, unclear: bool) -> _Begun:
        """A new job; `unclear` if an earlier submit may have come through after all."""
        sent = order.make()
        reference, fresh = self._reference(sent, order.model, order.digest)
        order.check()
        began = self.now()
        try:
            self.memory.intend_job(
                order.key,
                order.model,
                host=self.provider.host,
                name=order.name,
                location=reference.location,
                options=order.options,
                seconds=order.seconds,
                source=order.source,
                expires=reference.expires,
            )
        except LockedError:
            return self._of_another(order.key)
        try:
            job, resent = self._sent(order, reference, began, unclear=unclear)
        except InputRefusedError:
            if fresh or isinstance(sent, Reference):
                raise
            # It lay there from an earlier run, and may be gone.
            self.asker.forget(sent, order.model)
            return self._submitted(order, unclear=unclear)
        self.memory.submitted_job(order.key, job, possible_duplicate=resent)
        return _Begun(job, new=True, resent=resent, stored_before=not fresh)

    def _sent(
        self, order: _Order, reference: Reference, began: datetime, *, unclear: bool
    ) -> tuple[Job, bool]:
        with self.memory.sending(
            order.model,
            host=self.provider.host,
            seconds=order.seconds * max(1, len(order.options.channels)),  # each is billed
            size=0,  # the upload before has counted them
            digest=order.digest,
        ) as entry:
            try:
                job, lost = self.provider.submit(reference, order.model, order.options), False
            except AsrError as error:
                if error.retry is not Retry.AMBIGUOUS:
                    if not unclear:
                        self.memory.withdraw_job(order.key)
                    raise
                self.note(f"the answer to a submit was lost, so its job is looked for: {error}")
                job, lost = self._sent_again(order, reference, began)
            entry.possible_duplicate = lost or unclear
        return job, entry.possible_duplicate

    def _sent_again(self, order: _Order, reference: Reference, began: datetime) -> tuple[Job, bool]:
        """The job whose id was lost, or, if the service does not list it, another one."""
        for pause in (0.0, _LIST_LAG):
            if pause:
                self.wait(pause)
            found = self._looked_for(reference, order.model, began)
            if found is not None:
                return found, False
        self.poller.check_stop()
        try:
            return self.provider.submit(reference, order.model, order.options), True
        except AsrError as error:
            error.possible_duplicate = True
            raise

    def _looked_for(self, reference: Reference, model: Model, since: datetime) -> Job | None:
        """The job for a recording in the service's list; None also where the list cannot say.

        Raises if the service cannot be asked now: submitting blindly might cost twice.
        """
        known = self.memory.job_ids() | self._others
        try:
            return self.provider.find(reference, model, since=since, known=known)
        except AsrError as error:
            if error.stops_run or error.retry not in {Retry.AMBIGUOUS, Retry.NEVER}:
                raise
            self.note(f"the list of jobs does not tell: {error}")
            return None

    def _reference(self, sent: Sendable, model: Model, digest: str) -> tuple[Reference, bool]:
        """Where the recording lies, and whether it was only brought there now."""
        if isinstance(sent, Reference):
            return sent, True
        return self.asker.stored(sent, model, digest)

    # --- waiting ----------------------------------------------------------------------------------

    def _useful(self, order: _Order, begun: _Begun, on_status: Callable[[str], None]) -> Transcript:
        """As `_collected`; raises `_UselessError` where another job may do better.

        Nothing was done, or it was done for somebody else: so another one does not cost twice.
        """
        try:
            return self._collected(order, begun, on_status)
        except AsrError as error:
            if error.code == "cancelled" or isinstance(error, TimeLimitError | OutputError):
                raise
            if begun.stored_before and is_gone(error):
                raise _UselessError(error, unclear=False) from error
            if begun.job.unproven and not error.stops_run and not error.retryable:
                raise _UselessError(error, unclear=True) from error
            raise

    def _collected(
        self, order: _Order, begun: _Begun, on_status: Callable[[str], None]
    ) -> Transcript:
        """Wait for a job, and fetch what it made; how it ended is written down."""
        status = self._ended(order, begun, on_status)
        try:
            return self.provider.fetch(status, order.model, order.options)
        except RefusedError as error:
            if error.code != RESULT_EXPIRED:
                raise
        # Its address was good for a day; the job gives a new one as long as it is known.
        status = self._ended(order, begun, on_status)
        try:
            return self.provider.fetch(status, order.model, order.options)
        except RefusedError as error:
            error.hint = error.hint or anew(begun.job.id)
            self.memory.update_job(order.key, str(status.state), error)
            raise

    def _ended(self, order: _Order, begun: _Begun, on_status: Callable[[str], None]) -> JobStatus:
        job = begun.job
        status = self.poller.wait_for(
            job, order.model, age=begun.age, longest=self.longest, on_status=on_status
        )
        if status.state is JobState.SUCCEEDED:
            self.memory.update_job(order.key, status.state)
            return status
        error = status.error or ended_badly(job, status)
        if not error.stops_run:
            error.hint = error.hint or anew(job.id)
        self.memory.update_job(order.key, status.state, error)
        raise error


def _nothing_to_send() -> Sendable:
    raise RuntimeError("a job of an earlier run is not submitted again")
