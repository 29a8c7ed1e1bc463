"""Work at a service that takes its time: submit once, ask until it has ended, fetch what it made.

That a job is about to be submitted is written down before it is, and its id before anybody asks
after it: a run that was killed goes on asking, and never submits again.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from asrcli.core.asking import Answered, Asker, Sendable
from asrcli.core.memory import Memory
from asrcli.core.workers import Workers
from asrcli.errors import AsrError, NetworkError, RefusedError, Retry, ServiceError, TimeLimitError
from asrcli.providers.base import (
    Job,
    JobProvider,
    JobState,
    JobStatus,
    Model,
    Options,
    Reference,
)
from asrcli.providers.calls import SENT_TWICE
from asrcli.providers.qwen.failures import RESULT_EXPIRED
from asrcli.state.jobs import StoredJob
from asrcli.transcript import Transcript

__all__ = ["Detached", "JobRunner", "Poller", "job_of"]

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0
_GROWTH = 1.5
"""From 1 s to 30 s: 12 hours take fewer than 1,500 polls."""
_NEW_SECONDS = 60.0
"""A job that was submitted less long ago may not be known everywhere yet."""
_TICK = 0.2
_POLLERS = 4


class Detached(Exception):  # noqa: N818 - no error: it is what was asked for
    """The job was submitted, and nobody waits for it."""

    def __init__(self, job: Job) -> None:
        super().__init__(job.id)
        self.job = job


@dataclass(order=True, slots=True)
class _Turn:
    due: float
    number: int
    watch: _Watch = field(compare=False)


@dataclass(slots=True, eq=False)
class _Watch:
    """A job that somebody waits for."""

    job: Job
    model: Model
    submitted: float
    """By the clock of the scheduler; far in the past for a job of an earlier run."""
    deadline: float
    on_status: Callable[[str], None]
    pause: float = _FIRST_PAUSE
    status: JobStatus | None = None
    error: AsrError | None = None
    ended: threading.Event = field(default_factory=threading.Event)


class Poller:
    """Asks after all jobs of a run, each in its turn, less often the longer it takes.

    `clock` counts seconds; `wait` sleeps, and may return early.
    """

    def __init__(
        self,
        provider: JobProvider,
        *,
        note: Callable[[str], None] = lambda _: None,
        stop: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        self._provider = provider
        self._note = note
        self._stop = stop
        self._clock = clock
        self._wait = wait
        self._turns: list[_Turn] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._workers = Workers(_POLLERS, name="poll")
        self._thread: threading.Thread | None = None
        self._told: set[str] = set()

    def wait_for(
        self,
        job: Job,
        model: Model,
        *,
        new: bool,
        longest: float,
        on_status: Callable[[str], None] = lambda _: None,
    ) -> JobStatus:
        """The status in which a job has ended; `new` if it was only submitted now.

        Raises TimeLimitError after `longest` seconds, and what no further poll could change.
        """
        now = self._clock()
        watch = _Watch(job, model, now if new else now - 2 * _NEW_SECONDS, now + longest, on_status)
        self._later(watch, 0.0 if not new else _FIRST_PAUSE)
        while not watch.ended.wait(_TICK):
            if self._stop():
                raise NetworkError("run", "cancelled: the run was stopped", code="cancelled")
        if watch.error is not None:
            raise watch.error
        assert watch.status is not None
        return watch.status

    def _later(self, watch: _Watch, seconds: float) -> None:
        with self._changed:
            heapq.heappush(self._turns, _Turn(self._clock() + seconds, next(self._numbers), watch))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="jobs", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def _run(self) -> None:
        while not self._stop():
            with self._changed:
                if not self._turns:
                    self._changed.wait(_TICK)
                    continue
                left = self._turns[0].due - self._clock()
                turn = heapq.heappop(self._turns) if left <= 0 else None
            if turn is None:
                self._wait(min(left, _TICK))
            else:
                self._workers.submit(lambda watch=turn.watch: self._poll(watch))  # type: ignore[misc]

    def _poll(self, watch: _Watch) -> None:
        try:
            status = self._provider.poll(watch.job, watch.model)
        except AsrError as error:
            if error.stops_run or not _passes(error):
                watch.error = error
                watch.ended.set()
                return
            self._tell(f"the jobs of {watch.job.provider} are asked after again later: {error}")
        except BaseException as error:
            watch.error = ServiceError(watch.job.provider, f"a bug while polling: {error!r}")
            watch.ended.set()
            raise
        else:
            if self._has_ended(watch, status):
                watch.status = status
                watch.ended.set()
                return
        if self._clock() >= watch.deadline:
            watch.error = TimeLimitError(
                watch.job.provider,
                f"the job {watch.job.id} has not ended in time",
                hint="It goes on at the service: the same command waits for it again.",
            )
            watch.ended.set()
            return
        self._later(watch, watch.pause)
        watch.pause = min(watch.pause * _GROWTH, _LONGEST_PAUSE)

    def _has_ended(self, watch: _Watch, status: JobStatus) -> bool:
        watch.on_status(status.said.lower() or str(status.state))
        if status.state is JobState.UNSEEN:
            self._tell(
                f"{watch.job.provider} says {status.said!r} of a job, which is new to this version"
            )
        if status.state is JobState.UNKNOWN:
            return self._clock() - watch.submitted >= _NEW_SECONDS
        return status.state.ended

    def _tell(self, text: str) -> None:
        with self._changed:
            fresh = text not in self._told
            self._told.add(text)
        if fresh:
            self._note(text)


def _passes(error: AsrError) -> bool:
    """True for what says nothing about the job: the network, the limits, the service's health."""
    return error.retryable or isinstance(error, TimeLimitError)


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
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

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
        on_status: Callable[[str], None] = lambda _: None,
        check: Callable[[], None] = lambda: None,
    ) -> Answered:
        """The answer to `key`, remembered, from a job that is under way, or from a new one.

        Raises Detached where nobody is to wait, and an `AsrError`.
        """
        with self.asker.turn(key):
            if (known := self.memory.recall(key)) is not None:
                return Answered(known, known=True)
            work = _Order(key, make, model, options, name, digest, seconds, check)
            begun, resent = self._begun(work)
            if self.detach:
                raise Detached(begun.job)
            found = self.collect(key, begun.job, model, options, new=begun.new, on_status=on_status)
            if resent:
                found = replace(found, warnings=(*found.warnings, SENT_TWICE))
            self.memory.keep(key, found, seconds=seconds)
            self.memory.update_job(key, "fetched")
            return Answered(found, known=not begun.new)

    # --- submitting -------------------------------------------------------------------------------

    def _begun(self, order: _Order) -> tuple[_Begun, bool]:
        """The job of an earlier run, or a new one; and whether it may have been submitted twice."""
        stored = self.memory.job(order.key)
        if stored is not None and stored.id is not None:
            _refuse_ended(stored)
            return _Begun(job_of(stored), new=False), stored.possible_duplicate
        sent = order.make()
        reference = self._reference(sent, order.model, order.digest)
        order.check()
        if stored is not None:
            # Somebody was about to submit it, and nobody knows whether that came through.
            found = self._looked_for(reference, order.model, stored.created)
            if found is not None:
                self.memory.submitted_job(order.key, found)
                return _Begun(found, new=False), False
        began = self.now()
        self.memory.intend_job(
            order.key,
            order.model,
            host=self.provider.host,
            name=order.name,
            location=reference.location,
            options=order.options,
            seconds=order.seconds,
        )
        with self.memory.sending(
            order.model,
            host=self.provider.host,
            seconds=order.seconds,
            size=0,  # the upload before has counted them
            digest=order.digest,
        ):
            job, resent = self._submitted(reference, order.model, order.options, began)
        resent = resent or stored is not None
        self.memory.submitted_job(order.key, job, possible_duplicate=resent)
        return _Begun(job, new=True), resent

    def _submitted(
        self, reference: Reference, model: Model, options: Options, began: datetime
    ) -> tuple[Job, bool]:
        """Submit; an answer that was lost is looked for, and only then asked for once more."""
        try:
            return self.provider.submit(reference, model, options), False
        except AsrError as error:
            if error.retry is not Retry.AMBIGUOUS:
                raise
        found = self._looked_for(reference, model, began)
        if found is not None:
            return found, False
        try:
            return self.provider.submit(reference, model, options), True
        except AsrError as error:
            error.possible_duplicate = True
            raise

    def _looked_for(self, reference: Reference, model: Model, since: datetime) -> Job | None:
        known = self.memory.job_ids()
        try:
            return self.provider.find(reference, model, since=since, known=known)
        except AsrError as error:
            if error.stops_run or not error.retryable:
                raise
            return None

    def _reference(self, sent: Sendable, model: Model, digest: str) -> Reference:
        if isinstance(sent, Reference):
            return sent
        return self.asker.stored(sent, model, digest)[0]

    # --- waiting ----------------------------------------------------------------------------------

    def collect(
        self,
        key: str,
        job: Job,
        model: Model,
        options: Options,
        *,
        new: bool = False,
        on_status: Callable[[str], None] = lambda _: None,
    ) -> Transcript:
        """Wait for a job, and fetch what it made; how it ended is written down."""
        status = self.poller.wait_for(
            job, model, new=new, longest=self.longest, on_status=on_status
        )
        if status.state is not JobState.SUCCEEDED:
            error = status.error or _ended_badly(job, status)
            self.memory.update_job(key, status.state, error)
            raise error
        self.memory.update_job(key, status.state)
        try:
            return self.provider.fetch(status, model, options)
        except RefusedError as error:
            if error.code != RESULT_EXPIRED:
                raise
        # Its address was good for a day; the job gives a new one as long as it is known.
        status = self.poller.wait_for(job, model, new=False, longest=self.longest)
        if status.state is not JobState.SUCCEEDED:
            raise status.error or _ended_badly(job, status)
        return self.provider.fetch(status, model, options)


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
    check: Callable[[], None]


@dataclass(frozen=True, slots=True)
class _Begun:
    """A job that is under way, and whether this run began it."""

    job: Job
    new: bool


def _ended_badly(job: Job, status: JobStatus) -> AsrError:
    if status.state is JobState.UNKNOWN:
        return ServiceError(
            job.provider,
            f"the job {job.id} is no longer known there: it has expired, or is of another account",
            code=status.said,
            request_id=status.request_id,
            hint=f"`asrcli jobs forget {job.id}` lets it be submitted anew.",
        )
    return ServiceError(
        job.provider,
        f"the job {job.id} ended as {status.said or status.state}",
        code=status.said,
        request_id=status.request_id,
        hint=f"`asrcli jobs forget {job.id}` lets it be submitted anew.",
    )


def job_of(stored: StoredJob) -> Job:
    """The job as the provider knows it."""
    return Job(
        stored.id or "",
        stored.provider,
        stored.model,
        stored.host,
        stored.location or None,
        unproven=stored.unproven,
    )


def _refuse_ended(stored: StoredJob) -> None:
    """Raise for a job that failed in an earlier run: it would cost again, and most likely fail."""
    if stored.state in {JobState.FAILED, JobState.CANCELED, JobState.UNKNOWN}:
        raise ServiceError(
            stored.provider,
            f"the job {stored.id} {stored.state} before: {stored.message or 'no reason was given'}",
            code=stored.code,
            hint=f"`asrcli jobs forget {stored.id}`, or --no-cache, has it submitted anew.",
        )
