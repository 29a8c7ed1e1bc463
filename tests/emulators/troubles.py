"""What may go wrong next: the queue of failures of an emulated service.

A test puts in answers, exceptions, functions, or one of the instructions below; each is used
once, by the next request that it is meant for. `None` lets one request pass. In process an
instruction is raised as the error of httpx that a client would see; the server of
`tests.emulators.server` carries it out on the socket.
"""

from __future__ import annotations

import fnmatch
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx

__all__ = [
    "After",
    "Delay",
    "Drip",
    "Drop",
    "Failure",
    "Failures",
    "Gate",
    "Raw",
    "copy_of",
    "in_process",
    "trouble_of",
    "troubled",
]


@dataclass(frozen=True, slots=True)
class Drop:
    """The connection fails.

    `reset` (RST), `close` (FIN) or `stall` (nothing more, until the other side gives up).
    Without numbers it happens when the whole request was read, and nothing is done about it (but
    see `After`). With `reading` it happens when so many bytes of the request's body were read.
    With `writing` the work is done, and so many bytes of the answer's body are sent after its head.
    """

    how: Literal["reset", "close", "stall"] = "reset"
    reading: int | None = None
    writing: int | None = None


@dataclass(frozen=True, slots=True)
class Raw:
    """These bytes in place of an answer, whatever they are; then the connection is closed."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Drip:
    """The usual answer, but its body comes one byte every `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Delay:
    """Wait, then answer as usual, or with `then`."""

    seconds: float
    then: Failure = None


@dataclass(frozen=True, slots=True)
class After:
    """The service does its work (and charges for it), but the client sees only `item`."""

    item: Failure


class Gate:
    """Hold a request until the test lets it go; then it is answered as usual.

    `arrived` is set when the request is there. A gate that is never opened opens by itself when
    `limit` seconds have passed, so that no test hangs.
    """

    def __init__(self, *, limit: float = 30.0) -> None:
        self.arrived = threading.Event()
        self._opened = threading.Event()
        self._limit = limit

    def open(self) -> None:
        """Let it go."""
        self._opened.set()

    def wait(self) -> None:
        """Called by the service."""
        self.arrived.set()
        self._opened.wait(self._limit)


Answering = Callable[[Any], httpx.Response]
"""Gets the `Received` request."""
Failure = (
    httpx.Response
    | BaseException
    | type[BaseException]
    | Answering
    | Drop
    | Raw
    | Drip
    | Delay
    | After
    | Gate
    | None
)


@dataclass(slots=True)
class _Waiting:
    item: Failure
    route: str
    times: float


@dataclass(slots=True)
class Failures:
    """A queue for each route and one for all, in the order in which they were put in."""

    _waiting: list[_Waiting] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def append(self, item: Failure) -> None:
        """For the next request, whatever it is."""
        self.add(item)

    def extend(self, items: Iterable[Failure]) -> None:
        """One for each of the next requests."""
        self.add(*items)

    def add(self, *items: Failure, route: str = "*", times: float = 1) -> None:
        """One after the other, `times` each (`math.inf` for ever), for requests like `route`.

        A route is a method and a path as the shell would match it: `POST /api/features`,
        `GET /api/results/*`, `POST *`.
        """
        with self._lock:
            self._waiting += [_Waiting(item, route, times) for item in items]

    def take(self, method: str, path: str) -> Failure:
        """What this request gets, or None."""
        if not self._waiting:
            return None
        with self._lock:
            for entry in self._waiting:
                if entry.route == "*" or fnmatch.fnmatchcase(f"{method} {path}", entry.route):
                    entry.times -= 1
                    if entry.times <= 0:
                        self._waiting.remove(entry)
                    return entry.item
        return None

    def clear(self) -> None:
        """All is well again."""
        with self._lock:
            self._waiting.clear()

    def __len__(self) -> int:
        return len(self._waiting)


TROUBLE = "trouble"
"""The extension of a response that says what happens to the connection."""


def troubled(item: Drop | Raw | Drip, response: httpx.Response | None = None) -> httpx.Response:
    """A response for the server to carry out; without one of its own nothing of it is sent."""
    response = response or httpx.Response(599)
    response.extensions[TROUBLE] = item
    return response


def trouble_of(response: httpx.Response) -> Drop | Raw | Drip | None:
    """What happens to the connection, if anything does."""
    item: Drop | Raw | Drip | None = response.extensions.get(TROUBLE)
    return item


def in_process(response: httpx.Response) -> httpx.Response:
    """What a client of httpx would see of it: raises its errors."""
    match trouble_of(response):
        case Drop(how, reading, None):
            raise _error(how, writing=reading is not None)
        case Drop(how, None, int(sent)):
            body = response.read()[:sent]
            return httpx.Response(
                response.status_code, headers=response.headers, stream=_Broken(body, how)
            )
        case Raw():
            raise httpx.RemoteProtocolError("illegal status line")
    return response


class _Broken(httpx.SyncByteStream):
    """A body that breaks off."""

    def __init__(self, body: bytes, how: str) -> None:
        self._body = body
        self._how = how

    def __iter__(self) -> Iterator[bytes]:
        yield self._body
        raise _error(self._how, writing=False)


def _error(how: str, *, writing: bool) -> httpx.TransportError:
    if how == "stall":
        return httpx.WriteTimeout("timed out") if writing else httpx.ReadTimeout("timed out")
    if writing:
        return httpx.WriteError("[Errno 32] Broken pipe")
    if how == "reset":
        return httpx.ReadError("")  # httpx says nothing more of a reset
    return httpx.RemoteProtocolError("Server disconnected without sending a response.")


def copy_of(response: httpx.Response) -> httpx.Response:
    """The same answer again: a response can be sent once."""
    if not hasattr(response, "_content"):
        return response
    headers = [(k, v) for k, v in response.headers.raw if k.lower() != b"transfer-encoding"]
    return httpx.Response(
        response.status_code,
        headers=headers,
        stream=httpx.ByteStream(response.content),
        extensions=dict(response.extensions),
    )
