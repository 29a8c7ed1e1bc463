"""The account's rate limits, if a test switches them on.

Page: https://www.alibabacloud.com/help/en/model-studio/rate-limit. What is allowed in a minute is
also spread over its seconds; who starts faster is told about a burst.
"""

from __future__ import annotations

import threading
from collections import deque

from tests.emulators.dashscope.refusals import Refusal

__all__ = ["Throttle"]


class Throttle:
    """Counts the calls of one kind in the last second and the last minute."""

    def __init__(self, per_minute: int, *, retry_after: str | None = None) -> None:
        self.per_minute = per_minute
        self.retry_after = retry_after
        self.refused = 0
        self._moments: deque[float] = deque()
        self._lock = threading.Lock()

    def count(self, now: float) -> None:
        """Let a call pass, or raise 429."""
        headers = {"retry-after": self.retry_after} if self.retry_after is not None else {}
        with self._lock:
            while self._moments and self._moments[0] <= now - 60:
                self._moments.popleft()
            recent = sum(moment > now - 1 for moment in self._moments)
            if len(self._moments) >= self.per_minute:
                self.refused += 1
                raise Refusal(
                    429, "Throttling.RateQuota", "Requests rate limit exceeded.", headers=headers
                )
            if recent >= max(1, self.per_minute // 60):
                self.refused += 1
                raise Refusal(
                    429, "Throttling.BurstRate", "Request rate increased too quickly.",
                    headers=headers,
                )  # fmt: skip
            self._moments.append(now)
