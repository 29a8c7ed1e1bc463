"""Sleeping until something happens, which signal handlers may say too."""

from __future__ import annotations

from queue import Empty, SimpleQueue

__all__ = ["Waker"]


class Waker:
    """One thread waits; any thread and any signal handler may wake it."""

    def __init__(self) -> None:
        # Its `put` may interrupt itself; the locks of an Event may not.
        self._calls: SimpleQueue[None] = SimpleQueue()
        self._called = False

    def wake(self) -> None:
        """End the wait that is under way, or else the next one."""
        if not self._called:
            self._called = True
            self._calls.put(None)

    def wait(self, seconds: float) -> None:
        """Wait so long, or until `wake`."""
        try:
            self._calls.get(timeout=max(0.0, seconds))
        except Empty:
            return
        self._called = False
