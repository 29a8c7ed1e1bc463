"""When a live connection is opened anew, and when that is given up.

A service that fails again and again at the same place is given up soon. A network that was there
and is gone is waited for: the sound is kept meanwhile.
"""

from __future__ import annotations

import random as _random
import time
from collections.abc import Callable
from dataclasses import dataclass

from asrcli.errors import AsrError, NetworkError, Retry

__all__ = ["Healing", "HealingPolicy"]

_MOST_EXPONENT = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class HealingPolicy:
    """How often and how soon; seconds."""

    retries: int = 4
    """Tries in a row after the first, none of which brought anything."""
    base: float = 0.5
    throttle_base: float = 5.0
    """The limits of live services are counted by the minute."""
    cap: float = 10.0
    retry_after_cap: float = 120.0
    """A service that wants more is not waited for."""
    outage: float = 600.0
    """How long a network that was there is waited for, whatever `retries` says."""
    healthy: float = 30.0
    """A connection that held for so long was a good one."""


class Healing:
    """Counts failures in a row; `random` gives numbers from 0 to 1."""

    def __init__(
        self,
        policy: HealingPolicy | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        random: Callable[[], float] = _random.random,
    ) -> None:
        self.policy = policy or HealingPolicy()
        self._clock = clock
        self._random = random
        self._failures = 0
        self._probes = 0
        self._reached = False
        self._out_since: float | None = None

    def reached(self) -> None:
        """A connection was opened: the network is there."""
        self._reached = True
        self._probes = 0
        self._out_since = None

    def worked(self) -> None:
        """Something was recognized, or a connection held: what was before is forgotten."""
        self._failures = 0

    def pause(self, error: AsrError, *, opening: bool) -> float | None:
        """Seconds until the next try; None to give up.

        `opening`: no connection came about, so the service has not even been asked.
        """
        policy, asked = self.policy, error.retry_after
        if error.retry is Retry.NEVER or (asked is not None and asked > policy.retry_after_cap):
            return None
        if opening and self._is_outage(error):
            now = self._clock()
            self._out_since = now if self._out_since is None else self._out_since
            if now - self._out_since >= policy.outage:
                return None
            self._probes += 1
            return asked if asked is not None else self._jitter(policy.base, self._probes)
        if self._failures >= policy.retries:
            return None
        throttled = error.retry is Retry.THROTTLED
        self._failures += 1
        own = self._jitter(policy.throttle_base if throttled else policy.base, self._failures)
        return asked if asked is not None else own

    def _is_outage(self, error: AsrError) -> bool:
        return self._reached and isinstance(error, NetworkError) and error.http_status is None

    def _jitter(self, base: float, number: int) -> float:
        """Half of the pause at least: a service that throttles wants to be left alone."""
        longest = min(self.policy.cap, base * 2.0 ** min(number - 1, _MOST_EXPONENT))
        return longest * (0.5 + 0.5 * self._random())
