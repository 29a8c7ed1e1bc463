"""One request and its answer: how far they came, and how long each step may take.

The sockets ask here before they wait, so that a deadline holds whatever the other side does. Which
exchange a thread is in is kept beside the thread, since httpcore does not hand it down.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import IntEnum

from asrcli.transport.connection import Connection

__all__ = ["DeadlineReached", "Exchange", "Stage", "TooSlow", "current", "scope"]

_GRACE = 5.0
"""Seconds for an answer after the other side stopped taking our request."""
_HEAD = 16


class DeadlineReached(Exception):  # noqa: N818 - ends up as an error of ours
    """The total deadline of the exchange has passed."""


class TooSlow(Exception):  # noqa: N818
    """Bytes come or go, but fewer than the least we wait for."""


class Stage(IntEnum):
    """How far an exchange came."""

    NEW = 0
    RESOLVING = 1
    CONNECTING = 2
    HANDSHAKE = 3
    SENDING = 4
    SENT = 5
    """The whole request has left: from here on it may have been carried out."""


class Exchange:
    """Made for each attempt; lives in one thread at a time."""

    def __init__(
        self,
        connection: Connection,
        *,
        clock: Callable[[], float] = time.monotonic,
        public_only: bool = False,
        slow: bool = False,
    ) -> None:
        """`public_only` refuses addresses that are not open to all; `slow` allows any speed."""
        self.connection = connection
        self.public_only = public_only
        self.peer: tuple[str, int] | None = None
        """Name and port that a socket was opened to: the proxy's, if there is one."""
        self.address: str | None = None
        """The IP address that was reached, if this exchange opened a connection."""
        self.tls_name: str | None = None
        """Whose certificate was asked for last."""
        self.proxied = False
        """A proxy finds the host for us; it stands in a private network more often than not."""
        self.abandon: Callable[[], None] = lambda: None
        """Closes the connection that this exchange opened, if it did."""
        self.tracked = False
        """True once real sockets report their stage."""
        self.stage = Stage.NEW
        self.head = b""
        """How the answer begins."""
        self.ended = False
        """The other side closed the connection."""
        self.timed_out = False
        self._clock = clock
        now = clock()
        self._deadline = now + connection.timeout if connection.timeout else None
        self._connect_by = now + connection.connect_timeout
        self._slowest = 0.0 if slow else connection.min_speed
        self._window = (now, 0)

    @property
    def unsent(self) -> bool:
        """True if the other side cannot have got the whole request."""
        return self.tracked and self.stage < Stage.SENT

    # --- how long to wait -------------------------------------------------------------------------

    def left(self, limit: float | None = None) -> float | None:
        """Seconds to wait at most: `limit`, or what the deadline leaves; None for ever."""
        if self._deadline is None:
            return limit
        rest = self._deadline - self._clock()
        if rest <= 0:
            raise DeadlineReached
        return rest if limit is None else min(rest, limit)

    def connect_left(self) -> float:
        """Seconds left for reaching the other side; raises TimeoutError if there are none."""
        rest = self.left(self._connect_by - self._clock())
        assert rest is not None
        if rest <= 0:
            raise TimeoutError
        return rest

    def patience(self) -> float | None:
        """Seconds to wait for the next bytes of the answer; None for ever.

        Until it begins, the service may be at work: only the deadline counts.
        """
        if self.stage < Stage.SENDING:
            return self.connect_left()
        if self.head:
            return self.left(self.connection.idle_timeout)
        return self.left(None if self.stage is Stage.SENT else _GRACE)

    def expire(self) -> None:
        """A wait was in vain: raises DeadlineReached if that was the deadline's doing."""
        self.timed_out = True
        self.left()

    # --- what happened ----------------------------------------------------------------------------

    def start(self) -> None:
        """A connection is looked for."""
        self.tracked = True
        self.stage = Stage.NEW
        self._connect_by = self._clock() + self.connection.connect_timeout

    def watched(self, body: Iterable[bytes]) -> Iterator[bytes]:
        """The body of the request, noting when it begins to leave and when all of it has left."""
        self.stage = Stage.SENDING
        self.head = b""
        self._window = (self._clock(), 0)
        yield from body
        self.stage = Stage.SENT

    def sent(self, count: int) -> None:
        """So many bytes left; raises TooSlow."""
        self._moved(count)

    def received(self, data: bytes) -> None:
        """Bytes came, or the end if there are none; raises TooSlow."""
        if not data:
            self.ended = True
            return
        if not self.head:
            self._window = (self._clock(), 0)
        if len(self.head) < _HEAD:
            self.head = (self.head + data)[:_HEAD]
        self._moved(len(data))

    def _moved(self, count: int) -> None:
        since, before = self._window
        now, length = self._clock(), self.connection.idle_timeout
        if now - since < length:
            self._window = (since, before + count)
        elif before + count < self._slowest * (now - since):
            raise TooSlow
        else:
            self._window = (now, 0)


_local = threading.local()


def current() -> Exchange:
    """The exchange that this thread is in."""
    exchange: Exchange = _local.exchange
    return exchange


@contextmanager
def scope(exchange: Exchange) -> Iterator[None]:
    """Within the block, the calling thread works on `exchange`."""
    outer = getattr(_local, "exchange", None)
    _local.exchange = exchange
    try:
        yield
    finally:
        _local.exchange = outer
