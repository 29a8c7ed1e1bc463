"""What all emulated services share: a callable from request to response, with a memory.

In process it is the handler of a transport, `httpx.MockTransport(emulator)`; the same object can
be served on loopback by `tests.emulators.server`. Any number of threads may call it.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import httpx

from tests.emulators.bodies import Body, MalformedForm, Part, parse_form, strict_json
from tests.emulators.troubles import (
    After,
    Delay,
    Drip,
    Drop,
    Failure,
    Failures,
    Gate,
    Raw,
    copy_of,
    in_process,
    trouble_of,
    troubled,
)

__all__ = ["Emulator", "Received", "Refused", "Requests", "unknown_fields"]


class Refused(Exception):  # noqa: N818 - the refusal is an answer
    """Raised inside a service to end a request with this answer."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(response.status_code)
        self.response = response


@dataclass(eq=False)
class Received:
    """A request that came, and how it ended."""

    method: str
    url: httpx.URL
    headers: httpx.Headers
    body: Body
    number: int
    """From 0, in the order in which they came."""
    at: float
    """By the service's clock, when the body was there."""
    connection: int | None = None
    """Which connection of the server brought it, from 1; None in process."""
    status: int | None = None
    """Of the answer; None while there is none, and for ever if the connection was dropped."""
    notes: dict[str, Any] = field(default_factory=dict)
    """What the service wants to remember of it; `keep` keeps the body in any case."""

    @property
    def path(self) -> str:
        return self.url.path

    @property
    def route(self) -> str:
        """Method and path: `POST /api/features`."""
        return f"{self.method} {self.url.path}"

    @property
    def params(self) -> dict[str, str]:
        return dict(self.url.params)

    @property
    def content(self) -> bytes:
        return self.body.content

    @cached_property
    def json(self) -> Any:
        """Raises ValueError if it is not strictly JSON."""
        return strict_json(self.body.content)

    @cached_property
    def form(self) -> list[Part]:
        """Raises MalformedForm."""
        return parse_form(self.headers.get("content-type", ""), self.body)


class Requests(list[Received]):
    """What came, in order."""

    def to(self, method: str, path: str) -> list[Received]:
        """Those with this method, to this very path."""
        return [r for r in self if r.method == method and r.path == path]


class Emulator:
    """Answers requests, one after the other or at the same time.

    A service derives from it and overrides `answer`. `clock` is for the times in `requests`,
    `sleep` for `Delay`. A function in `failures` is called with the `Received` request. Bodies of
    more than 1 MB are kept on disk until the emulator is gone; with `keep_bodies=False` they are
    forgotten once the request is answered.
    """

    name = "service"

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        keep_bodies: bool = True,
    ) -> None:
        self.requests = Requests()
        self.failures = Failures()
        self.at_once = 0
        """Requests that are being answered now."""
        self.most_at_once = 0
        self.clock = clock
        self.sleep = sleep
        self._keep_bodies = keep_bodies
        self._count = threading.Lock()

    def answer(self, request: Received) -> httpx.Response:
        """What the service says when nothing was queued to go wrong; may raise Refused."""
        raise NotImplementedError

    def malformed(self, request: Received, reason: str) -> httpx.Response:
        """The answer to a form or to JSON that cannot be read."""
        return httpx.Response(400, text=f"malformed request: {reason}")

    # --- the way of a request -----------------------------------------------------------------

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer in process; what `failures` wants done to the connection is raised."""
        pieces = cast("httpx.SyncByteStream", request.stream)
        return in_process(self.handle(request.method, request.url, request.headers, pieces))

    def handle(
        self,
        method: str,
        url: httpx.URL,
        headers: httpx.Headers,
        pieces: Iterable[bytes],
        *,
        connection: int | None = None,
    ) -> httpx.Response:
        """Read the body, write the request down, answer it, or do what `failures` says."""
        item = self.failures.take(method, url.path)
        if isinstance(item, Drop) and item.reading is not None:
            _read(pieces, item.reading)
            return troubled(item)
        body = Body(pieces)
        with self._count:
            number = len(self.requests)
            received = Received(
                method, url, headers, body, number, self.clock(), connection=connection
            )
            self.requests.append(received)
        with self._counted():
            response = self._respond(received, item)
        if trouble_of(response) is None:
            received.status = response.status_code
        if not self._keep_bodies and not received.notes.get("keep"):
            body.forget()
        return response

    def _respond(self, received: Received, item: Failure) -> httpx.Response:
        match item:
            case None:
                return self._usual(received)
            case httpx.Response():
                return copy_of(item)
            case Gate():
                item.wait()
                return self._usual(received)
            case Delay():
                self.sleep(item.seconds)
                return self._respond(received, item.then)
            case After():
                self._usual(received)
                return self._respond(received, item.item)
            case Drop(writing=None) | Raw():
                return troubled(item)
            case Drop() | Drip():
                return troubled(item, self._usual(received))
            case BaseException():
                raise item
            case type():
                raise item("queued by the test")
        return item(received)

    def _usual(self, received: Received) -> httpx.Response:
        try:
            return self.answer(received)
        except Refused as refused:
            return refused.response
        except MalformedForm as error:
            return self.malformed(received, str(error))

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._count:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            yield
        finally:
            with self._count:
                self.at_once -= 1

    # --- for services -------------------------------------------------------------------------

    def new_id(self) -> str:
        """A UUID, never the same one."""
        return str(uuid.uuid4())


def _read(pieces: Iterable[bytes], size: int) -> None:
    read = 0
    for piece in pieces:
        read += len(piece)
        if read >= size:
            return


def unknown_fields(given: object, known: Collection[str]) -> list[str]:
    """The keys of an object that are not among the known ones."""
    return sorted(set(given) - set(known)) if isinstance(given, dict) else []
