"""Ask after the jobs of a run until each has ended: one thread keeps the order, a few ask."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from asrcli.core.workers import Workers
from asrcli.errors import (
    AsrError,
    NetworkError,
    ServiceError,
    TimeLimitError,
    UnexpectedAnswerError,
)
from asrcli.providers.base import Job, JobProvider, JobState, JobStatus, Model

__all__ = ["NEW_SECONDS", "Poller"]

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0
_GROWTH = 1.5
"""From 1 s to 30 s: 12 hours take fewer than 1,500 polls."""
NEW_SECONDS = 60.0
"""A job that was submitted less long ago may not be known everywhere yet."""
_MOST_ODD = 3
"""Answers in a row that cannot be read; one may come from something in front of the service."""
_TICK = 0.2
_POLLERS = 4


@dataclass(order=True, slots=True)
class _Turn:
    due: float
    number: int
    watch: _Watch = field(compare=False)


@dataclass(slots=True, eq=False)
class _Watch:
    """A job that somebody waits for; all times are by the clock of the poller."""

    job: Job
    model: Model
    submitted: float
    deadline: float
    on_status: Callable[[str], None]
    pause: float = _FIRST_PAUSE
    odd: int = 0
    """Answers in a row that could not be read."""
    status: JobStatus | None = None
    error: AsrError | None = None
    bug: BaseException | None = None
    ended: threading.Event = field(default_factory=threading.Event)


class Poller:
    """Asks after all jobs of a run, each in its turn, less often the longer it takes.

    `clock` counts seconds; `wait` sleeps for at most so many, and may return early.
    """

    def __init__(
        self,
        provider: JobProvider,
        *,
        note: Callable[[str], None] = lambda _: None,
        stop: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        self._provider = provider
        self._note = note
        self._stop = stop
        self._clock = clock
        self._wait = wait or self._doze
        self._turns: list[_Turn] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._workers = Workers(_POLLERS, name="poll")
        self._thread: threading.Thread | None = None
        self._waiters = 0
        self._told: set[str] = set()

    def wait_for(
        self,
        job: Job,
        model: Model,
        *,
        age: float,
        longest: float,
        on_status: Callable[[str], None] = lambda _: None,
    ) -> JobStatus:
        """The status in which a job has ended that was submitted `age` seconds ago.

        Raises TimeLimitError after `longest` seconds, and what no further poll could change.
        """
        now = self._clock()
        watch = _Watch(job, model, now - age, now + longest, on_status)
        with self._changed:
            self._waiters += 1
        try:
            self._later(watch, min(_FIRST_PAUSE, longest) if age < _FIRST_PAUSE else 0.0)
            while not watch.ended.wait(_TICK):
                self.check_stop()
        finally:
            with self._changed:
                self._waiters -= 1
                self._changed.notify_all()
        if watch.bug is not None:
            raise watch.bug
        if watch.error is not None:
            raise watch.error
        assert watch.status is not None
        return watch.status

    def check_stop(self) -> None:
        """Raise NetworkError, `cancelled`, once the run is given up."""
        if self._stop():
            raise NetworkError("run", "cancelled: the run was stopped", code="cancelled")

    # --- whose turn it is -------------------------------------------------------------------------

    def _later(self, watch: _Watch, seconds: float) -> None:
        with self._changed:
            heapq.heappush(self._turns, _Turn(self._clock() + seconds, next(self._numbers), watch))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="jobs", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._stop() or not self._waiters:
                    self._turns.clear()
                    self._thread = None
                    return
                if not self._turns:  # all are being asked after just now
                    self._changed.wait(_TICK)
                    continue
                left = self._turns[0].due - self._clock()
                turn = heapq.heappop(self._turns) if left <= 0 else None
            if turn is None:
                self._wait(left)
            else:
                self._begin(turn.watch)

    def _begin(self, watch: _Watch) -> None:
        self._workers.submit(lambda: self._poll(watch))

    def _doze(self, seconds: float) -> None:
        """Until then, until another job comes, or until it is time to see if the run goes on."""
        with self._changed:
            self._changed.wait(min(seconds, _TICK))

    # --- one poll ---------------------------------------------------------------------------------

    def _poll(self, watch: _Watch) -> None:
        try:
            ended = self._asked(watch)
        except AsrError as error:
            watch.error = error
            ended = True
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            watch.bug = error
            ended = True
        if ended:
            watch.ended.set()
            return
        left = watch.deadline - self._clock()
        self._later(watch, min(watch.pause, left))
        watch.pause = min(watch.pause * _GROWTH, _LONGEST_PAUSE)

    def _asked(self, watch: _Watch) -> bool:
        """Ask once; True if it has ended. Raises what no further poll could change."""
        reason: AsrError | None = None
        try:
            status = self._provider.poll(watch.job, watch.model)
        except AsrError as error:
            if error.stops_run and not error.retryable:
                raise
            if not self._passes(watch, error):
                raise
            service = watch.job.provider
            self._tell(service, f"{service} is asked after jobs again later: {error}")
            reason = error
        else:
            watch.odd = 0
            if self._has_ended(watch, status):
                watch.status = status
                return True
        if self._clock() >= watch.deadline:
            raise TimeLimitError(
                watch.job.provider,
                f"the job {watch.job.id} has not ended in time",
                hint="It goes on at the service: the same command waits for it again.",
            ) from reason
        return False

    def _passes(self, watch: _Watch, error: AsrError) -> bool:
        """True for what says nothing about the job: the network, the limits, the service."""
        if error.retryable or error.code == "cancelled":  # then whoever waits stops by itself
            watch.odd = 0
            return True
        if isinstance(error, UnexpectedAnswerError) and not watch.job.unproven:
            watch.odd += 1
            return watch.odd < _MOST_ODD
        server = isinstance(error, ServiceError) and (error.http_status or 0) >= 500
        return server or isinstance(error, TimeLimitError)

    def _has_ended(self, watch: _Watch, status: JobStatus) -> bool:
        watch.on_status(status.said.lower() or str(status.state))
        if status.state is JobState.UNSEEN:
            told = f"{watch.job.provider} says {status.said!r} of a job: this version does not know"
            self._tell(status.said, f"{told} that word, and goes on waiting")
        if status.state is JobState.UNKNOWN:
            return self._clock() - watch.submitted >= NEW_SECONDS
        return status.state.ended

    def _tell(self, what: str, text: str) -> None:
        """Say it, once of each thing."""
        with self._changed:
            fresh = what not in self._told
            self._told.add(what)
        if fresh:
            self._note(text)
