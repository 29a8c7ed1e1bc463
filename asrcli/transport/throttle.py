"""The gate in front of every call to one service: how many at once, how many a minute.

Services limit an account, not a worker, and punish a rate that rises: so the gate is shared, opens
step by step, and one refusal narrows it for all. The steps are those of TCP: double until the first
refusal, halve at each, then one more for each window that went well.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from asrcli.transport.connection import MOST_CONNECTIONS

__all__ = ["TICK", "OnWait", "Slot", "Throttle"]

TICK = 0.25
"""Seconds; no wait is longer without a look at whether the run goes on."""

OnWait = Callable[[str, float], None]
"""Gets the reason of a pause, "rate limited by qwen", and its seconds."""


@dataclass(frozen=True, slots=True)
class Slot:
    """Leave to make one call; the epoch tells whether it began before the last pause."""

    epoch: int


class Throttle:
    """Shared by all threads that call one service.

    `limit` calls at once at most; `rpm` calls a minute, evenly spaced. Beginning with one call at a
    time, each success adds one, and each `ramp` seconds double what there is: one long call does
    not hold up the others. `on_wait` is called once for each pause, by one of the threads.
    """

    def __init__(
        self,
        limit: int = 4,
        *,
        rpm: float | None = None,
        ramp: float = 0.25,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
        on_wait: OnWait = lambda _reason, _seconds: None,
    ) -> None:
        self._limit = max(1, min(limit, MOST_CONNECTIONS))
        self._spacing = 60.0 / rpm if rpm else 0.0
        self._ramp = ramp
        self._clock = clock
        self._sleep = sleep
        self._on_wait = on_wait
        self._changed = threading.Condition()
        self._in_flight = 0
        self._window = 1.0
        self._growing = True
        self._credit = 0
        self._began: float | None = None
        self._next_start = self._paused_until = float("-inf")
        self._epoch = 0
        self._reached = False
        """The service was reached at least once."""
        self._lost_since: float | None = None
        self._probes = 0

    # --- the gate ---------------------------------------------------------------------------------

    def enter(self, cancelled: Callable[[], bool], *, spaced: bool = True) -> Slot | None:
        """Wait for leave to call; None when the run was given up first.

        A call that is not `spaced` does not count for `rpm`: it goes to another host.
        """
        while not cancelled():
            with self._changed:
                if self._in_flight >= self._allowed():
                    self._changed.wait(self._patience())
                    continue
                now = self._clock()
                start = max(self._paused_until, self._next_start if spaced else self._paused_until)
                if now >= start:
                    self._in_flight += 1
                    if spaced:
                        self._next_start = max(now, self._next_start) + self._spacing
                    return Slot(self._epoch)
            self._sleep(min(start - now, TICK))
        return None

    def leave(self) -> None:
        """A call has ended, however it did."""
        with self._changed:
            self._in_flight -= 1
            self._changed.notify()  # one place, one of those who wait

    def _allowed(self) -> int:
        now = self._clock()
        if self._began is None:
            self._began = now
        if self._reached and self._lost_since is not None:
            return 1  # one of us tries whether the network is back
        if self._growing:
            doublings = min(int((now - self._began) / self._ramp), 6) if self._ramp else 6
            self._window = max(self._window, 2.0**doublings)
        return min(self._limit, int(self._window))

    def _patience(self) -> float:
        """Seconds until there may be more room without anybody's doing."""
        if not self._growing or not self._ramp or self._began is None:
            return TICK
        return min(TICK, self._ramp - (self._clock() - self._began) % self._ramp)

    # --- what calls met -------------------------------------------------------------------------

    def succeeded(self) -> None:
        """A call was answered well."""
        with self._changed:
            self._answered()
            self._credit += 1
            if self._growing or self._credit >= self._window:
                self._window = min(self._window + 1, self._limit)
                self._credit = 0
                self._changed.notify()

    def answered(self) -> None:
        """A call was answered, if only with an error: the network is there."""
        with self._changed:
            self._answered()

    def _answered(self) -> None:
        if self._lost_since is not None:
            self._changed.notify_all()  # they waited for one of them to get through
        self._reached = True
        self._lost_since = None
        self._probes = 0

    def slow_down(self, slot: Slot, seconds: float, reason: str) -> None:
        """The service asked for less: all pause, and half as many go on.

        Refusals of calls that began before the last pause tell nothing new.
        """
        with self._changed:
            fresh = self._pause(slot, seconds)
            if fresh:
                self._window = max(1.0, self._allowed() // 2)
                self._growing = False
                self._credit = 0
        if fresh:
            self._on_wait(reason, seconds)

    def lose(
        self, slot: Slot, delay: Callable[[int], float], reason: str
    ) -> tuple[float, float] | None:
        """The service cannot be reached: all pause, then one of us tries.

        `delay` gives the seconds to wait after so many tries. Returns since when it has been so and
        for how long, by the clock; None if the service was never reached.
        """
        with self._changed:
            first = self._lost_since is None
            since = self._clock() if self._lost_since is None else self._lost_since
            self._lost_since = since
            seconds = delay(self._probes)
            if self._reached and self._pause(slot, seconds):
                self._probes += 1
            state = (since, self._clock() - since) if self._reached else None
        if first:
            self._on_wait(reason, seconds)
        return state

    def open_again(self) -> None:
        """Nobody waits for the network any longer: each call finds out for itself."""
        with self._changed:
            self._reached = False
            self._changed.notify_all()

    def _pause(self, slot: Slot, seconds: float) -> bool:
        fresh = slot.epoch == self._epoch
        if fresh:
            self._epoch += 1
        self._paused_until = max(self._paused_until, self._clock() + seconds)
        return fresh
