"""One WebSocket connection that neither waits for ever nor grows.

The client of `websockets` blocks: a peer that stops reading would hold the caller, and one that is
gone would hold it for good. Here a thread sends and a thread receives, both within bounds, and the
caller never waits: it asks for the messages that came, and how much is still to leave.

Loads the package `websockets`, so it is imported by the first connection only.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from asrcli.errors import AsrError
from asrcli.secret import Secret
from asrcli.transport.answers import Answer
from asrcli.transport.connection import Connection
from asrcli.transport.sockets import Backend
from asrcli.transport.websocket_opening import Keepalive, open_connection

__all__ = ["Closed", "Keepalive", "WebSocket", "open_websocket"]

_MOST_WAITING = 256
"""Messages that came and were not fetched; when there are more, nothing is read."""
_USUAL = Keepalive()
_TICK = 0.2
_LOST = "the connection was lost"
_SILENT = "it no longer answers pings"


@dataclass(frozen=True, slots=True)
class Closed:
    """How the connection ended."""

    code: int | None
    """None where it was lost: no close frame came, and none of ours was due to what came."""
    reason: str = ""


class WebSocket:
    """An open connection. All methods but `close` return at once; one thread calls them.

    `notify` is called by other threads when there is something new: a message, the end, or room.
    """

    def __init__(
        self,
        connection: ClientConnection,
        stack: ExitStack,
        *,
        notify: Callable[[], None],
        keepalive: Keepalive,
    ) -> None:
        """`stack` closes the connection."""
        self._connection = connection
        self._stack = stack
        self._notify = notify
        self._stall = keepalive.stall
        self._changed = threading.Condition()
        self._outgoing: deque[str | bytes] = deque()
        self._unsent = 0
        self._incoming: deque[str | bytes] = deque()
        self._closed: Closed | None = None
        self._stopping = False
        # What blocks in spite of all care (TLS renegotiates, a buffer fills) ends as well.
        with contextlib.suppress(OSError):  # it may have ended already
            connection.socket.settimeout(keepalive.stall)
        self._threads = [
            threading.Thread(target=work, name=f"asrcli-socket-{name}", daemon=True)
            for name, work in (("out", self._send_all), ("in", self._receive_all))
        ]
        for thread in self._threads:
            thread.start()

    # --- what the caller asks -------------------------------------------------------------------

    @property
    def unsent(self) -> int:
        """Bytes of messages that did not leave yet; whoever sends keeps this small."""
        return self._unsent

    @property
    def closed(self) -> Closed | None:
        """How it ended, once all messages that came before were fetched; None before."""
        with self._changed:
            return None if self._incoming else self._closed

    def messages(self) -> list[str | bytes]:
        """What came since the last call, in order."""
        with self._changed:
            messages = list(self._incoming)
            self._incoming.clear()
            self._changed.notify_all()
        return messages

    # --- what the caller does -------------------------------------------------------------------

    def send(self, message: str | bytes) -> None:
        """Let a message leave after those before it; nothing happens once the end has come."""
        with self._changed:
            if self._closed is None and not self._stopping:
                self._outgoing.append(message)
                self._unsent += len(message)
                self._changed.notify_all()

    def close(self, code: int = 1000) -> None:
        """Say goodbye, wait a moment for the answer, and let go of threads and socket."""
        self._stop()
        with contextlib.suppress(ConnectionClosed, OSError):
            self._connection.close(code)
        self._let_go()

    def abort(self) -> None:
        """Let go without a word."""
        self._stop()
        self._cut()
        self._let_go()

    # --- threads --------------------------------------------------------------------------------

    def _stop(self) -> None:
        with self._changed:
            self._stopping = True
            self._outgoing.clear()
            self._unsent = 0
            self._changed.notify_all()

    def _cut(self) -> None:
        # Wakes whoever waits for the socket, which closing it does not.
        with contextlib.suppress(OSError):
            self._connection.socket.shutdown(socket.SHUT_RDWR)
        self._connection.close_socket()

    def _let_go(self) -> None:
        with contextlib.suppress(ConnectionClosed, OSError):
            self._stack.close()
        for thread in self._threads:
            thread.join(self._stall)
        # The one of its own that sends pings: it ends with the connection.
        keepalive = getattr(self._connection, "keepalive_thread", None)
        if keepalive is not None:
            keepalive.join(self._stall)

    def _send_all(self) -> None:
        with selectors.DefaultSelector() as selector:
            with contextlib.suppress(OSError, ValueError):
                selector.register(self._connection.socket, selectors.EVENT_WRITE)
            while (message := self._next()) is not None:
                # Outside of the lock that pongs need; within it, nothing then has to wait.
                if not self._writable(selector):
                    self._end(self._stalled())
                    self._cut()
                    return
                try:
                    self._connection.send(message)
                except (ConnectionClosed, OSError):
                    return  # the other thread says why
                with self._changed:
                    self._unsent = max(0, self._unsent - len(message))
                self._notify()

    def _writable(self, selector: selectors.BaseSelector) -> bool:
        until = time.monotonic() + self._stall
        try:
            while not (selector.select(_TICK) or self._stopping or self._closed):
                if time.monotonic() >= until:
                    return False
        except (OSError, ValueError):
            pass  # closed meanwhile: sending tells
        return True

    def _next(self) -> str | bytes | None:
        with self._changed:
            self._changed.wait_for(lambda: self._outgoing or self._stopping or self._closed)
            ended = self._stopping or self._closed is not None
            return None if ended else self._outgoing.popleft()

    def _receive_all(self) -> None:
        try:
            while True:
                message = self._connection.recv()
                with self._changed:
                    self._changed.wait_for(
                        lambda: len(self._incoming) < _MOST_WAITING or self._stopping
                    )
                    self._incoming.append(message)
                self._notify()
        except ConnectionClosed as closed:
            self._end(self._how(closed))
        except OSError:
            self._end(Closed(None, _LOST))

    def _end(self, closed: Closed) -> None:
        with self._changed:
            self._closed = self._closed or closed
            self._outgoing.clear()
            self._unsent = 0
            self._changed.notify_all()
        self._notify()

    def _how(self, closed: ConnectionClosed) -> Closed:
        ours, theirs = closed.sent, closed.rcvd
        if theirs is not None:
            return Closed(theirs.code, theirs.reason)
        if ours is not None and ours.code == 1011:
            return Closed(None, _SILENT)
        if ours is not None and ours.code != 1000:
            # We ended it, because of what came: too large (1009), no text (1007), no frame (1002).
            return Closed(ours.code, ours.reason)
        return self._stalled() if isinstance(closed.__cause__, TimeoutError) else Closed(None)

    def _stalled(self) -> Closed:
        return Closed(None, f"it took nothing for {self._stall:g} s")


def open_websocket(
    service: str,
    url: str,
    headers: Mapping[str, str | Secret],
    connection: Connection,
    *,
    notify: Callable[[], None],
    read_failure: Callable[[Answer], AsrError | None] = lambda _: None,
    keepalive: Keepalive = _USUAL,
    backend: Backend | None = None,
) -> WebSocket:
    """Connect to a ws or wss URL within `connection.connect_timeout`; raises an AsrError.

    `service` is the provider's name, `headers` go to it alone: a Secret under `Authorization` is
    sent as `Bearer …`. `read_failure` reads an answer other than 101 in the service's own words;
    what it leaves (None) is read by its status. Redirects are refused.
    """
    stack = ExitStack()
    opened = open_connection(
        stack,
        service,
        url,
        headers,
        connection,
        read_failure=read_failure,
        keepalive=keepalive,
        backend=backend or Backend(),
    )
    return WebSocket(opened, stack, notify=notify, keepalive=keepalive)
