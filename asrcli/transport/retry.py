"""Trying again: the only place where that is decided.

What another try may do is written on the error (`error.retry`); how often and when, on the policy.
Page behind the pauses: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/.
"""

from __future__ import annotations

import random as _random
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar

from asrcli.errors import AsrError, NetworkError, RemoteError, Retry, TimeLimitError
from asrcli.transport.throttle import TICK, Slot, Throttle

__all__ = ["Held", "Retrier", "RetryPolicy", "Throttle", "read_retry_after"]

T = TypeVar("T")

_MOST_EXPONENT = 32


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how soon. Times are seconds."""

    retries: int = 4
    """Tries after the first."""
    base: float = 0.5
    throttle_base: float = 1.0
    cap: float = 30.0
    """No pause of our own choice is longer."""
    retry_after_cap: float = 120.0
    """A service that wants more is not waited for; its error says that it may be tried later."""
    outage: float = 120.0
    """A network that was there and is gone is waited for this long, whatever `retries` says."""
    outage_cap: float = 10.0
    budget: int = 500
    """Tokens for a whole run: a retry takes 5, one after a time-out 10; a success gives 1 back."""


class Held(Generic[T]):
    """What a call gave, and its place at the gate, which is kept until `release`."""

    def __init__(self, value: T, release: Callable[[], None], *, resent: bool) -> None:
        self.value = value
        self.resent = resent
        """The call was made again after one that may have been carried out."""
        self._release: Callable[[], None] | None = release

    def release(self) -> None:
        """Let the next call in; further times do nothing."""
        release, self._release = self._release, None
        if release:
            release()


class _Progress:
    """Of one call, over all its tries."""

    def __init__(self) -> None:
        self.failures = 0
        self.unclear = 0
        self.outage: float | None = None
        self.error: AsrError | None = None


class Retrier:
    """One for each service, shared by all threads: makes calls until they succeed or may not.

    `random` gives numbers from 0 to 1; `cancelled` is asked before every call and at least four
    times a second while waiting; `sleep` may return early.
    """

    def __init__(
        self,
        policy: RetryPolicy = RetryPolicy(),
        *,
        throttle: Throttle | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
        random: Callable[[], float] = _random.random,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        self._policy = policy
        self._throttle = throttle or Throttle(clock=clock, sleep=sleep)
        self._clock = clock
        self._sleep = sleep
        self._random = random
        self._cancelled = cancelled
        self._tokens = float(policy.budget)
        self._lock = threading.Lock()

    def run(
        self,
        call: Callable[[], T],
        *,
        ambiguous: bool = False,
        submit: bool = False,
        spaced: bool = True,
    ) -> T:
        """The value of `call`, tried again where that can help; else raises its last error.

        `ambiguous` calls may cost something each time: after an unclear failure such a call is made
        once more at most, and an error after that says `possible_duplicate`. A `submit` is tried
        again only after 429, 503 and connections never made: all else is raised at once, as
        `Retry.AMBIGUOUS` if it may have been carried out, so that the caller can look first.
        A call that is not `spaced` does not count for requests a minute.
        """
        held = self.hold(call, ambiguous=ambiguous, submit=submit, spaced=spaced)
        held.release()
        return held.value

    def hold(
        self,
        call: Callable[[], T],
        *,
        ambiguous: bool = False,
        submit: bool = False,
        spaced: bool = True,
    ) -> Held[T]:
        """As `run`; the place at the gate is kept until the result is released."""
        progress = _Progress()
        while True:
            slot = self._throttle.enter(self._cancelled, spaced=spaced)
            if slot is None:
                raise progress.error or _not_made()
            try:
                value = call()
            except AsrError as error:
                self._throttle.leave()
                progress.error = error
                again = _after(error, ambiguous=ambiguous, submit=submit)
                if not self._may_go_on(error, again, slot, progress):
                    raise
            except BaseException:
                self._throttle.leave()
                raise
            else:
                self._throttle.succeeded()
                self._earn()
                return Held(value, self._throttle.leave, resent=progress.unclear > 0)

    def _may_go_on(self, error: AsrError, again: Retry, slot: Slot, progress: _Progress) -> bool:
        """Decide on another try, and wait for its time."""
        if progress.unclear:
            error.possible_duplicate = True
        if error.http_status is not None:
            self._throttle.answered()
        if again is Retry.NEVER or self._cancelled():
            return False
        if again is Retry.AMBIGUOUS:
            progress.unclear += 1
            if progress.unclear > 1:
                return False
        asked = error.retry_after
        if asked is not None and asked > self._policy.retry_after_cap:
            return False
        if self._waits_for_network(error, again, slot, progress):
            return self._spend(error)
        progress.failures += 1
        if progress.failures > self._policy.retries or not self._spend(error):
            return False
        if again is Retry.THROTTLED:
            pause = (
                asked if asked is not None else self._jitter(progress, self._policy.throttle_base)
            )
            self._throttle.slow_down(slot, pause, f"rate limited by {_service(error)}")
        else:
            pause = asked if asked is not None else self._jitter(progress, self._policy.base)
            self._pause(pause)
        return not self._cancelled()

    def _waits_for_network(
        self, error: AsrError, again: Retry, slot: Slot, progress: _Progress
    ) -> bool:
        """True while a network that was there is gone, and not for too long."""
        if again is not Retry.TRANSIENT or error.retry is not Retry.TRANSIENT:
            return False
        if not isinstance(error, NetworkError) or error.http_status is not None:
            return False
        cap = self._policy.outage_cap
        state = self._throttle.lose(
            slot,
            lambda probes: self._random() * min(cap, self._policy.base * 2.0 ** min(probes, 16)),
            f"waiting for the network to reach {_service(error)}",
        )
        if state is None:
            return False
        since, seconds = state
        if since != progress.outage:  # each one counts as one failure, however long it lasts
            progress.outage = since
            progress.failures += 1
        if seconds >= self._policy.outage:
            self._throttle.open_again()
            progress.failures = self._policy.retries
            return False
        return progress.failures <= self._policy.retries

    def _jitter(self, progress: _Progress, base: float) -> float:
        exponent = min(progress.failures - 1, _MOST_EXPONENT)
        return self._random() * min(self._policy.cap, base * 2.0**exponent)

    def _pause(self, seconds: float) -> None:
        end = self._clock() + seconds
        while not self._cancelled() and (left := end - self._clock()) > 0:
            self._sleep(min(left, TICK))

    def _earn(self) -> None:
        with self._lock:
            self._tokens = min(self._tokens + 1, self._policy.budget)

    def _spend(self, error: AsrError) -> bool:
        cost = 10 if _timed_out(error) else 5
        with self._lock:
            if self._tokens >= cost:
                self._tokens -= cost
                return True
        if isinstance(error, RemoteError):
            error.message += "; not tried again, since too many calls of this run failed"
        return False


def _after(error: AsrError, *, ambiguous: bool, submit: bool) -> Retry:
    """What to do after that error, in a call of that kind."""
    if isinstance(error, TimeLimitError):
        return Retry.NEVER  # another try would take as long again
    if submit and error.retry is Retry.TRANSIENT and error.http_status not in {None, 503}:
        error.retry = Retry.AMBIGUOUS
    if error.retry is Retry.AMBIGUOUS:
        if submit:
            return Retry.NEVER
        return Retry.AMBIGUOUS if ambiguous else Retry.TRANSIENT
    return error.retry


def _timed_out(error: BaseException) -> bool:
    cause = error.__cause__
    while cause is not None:
        if isinstance(cause, TimeoutError) or "Timeout" in type(cause).__name__:
            return True
        cause = cause.__cause__
    return False


def _service(error: AsrError) -> str:
    return error.service if isinstance(error, RemoteError) else "the service"


def _not_made() -> NetworkError:
    return NetworkError("run", "cancelled: the run was stopped before this call", code="cancelled")


# --- Retry-After ------------------------------------------------------------------------------


def read_retry_after(
    value: str | None, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> float | None:
    """The seconds of a `Retry-After`, also one that holds a date; None for anything else.

    Python's own `float` would take `nan`, `inf` and `1_0` as well.
    """
    text = (value or "").strip()
    if re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,15})?([eE]\+?[0-9]{1,2})?", text):
        return float(text)
    from email.utils import parsedate_to_datetime

    try:
        date = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (date - now()).total_seconds())
