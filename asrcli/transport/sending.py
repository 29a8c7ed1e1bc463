"""One attempt of one call: a request out, an answer in, within limits, errors made ours."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from asrcli.errors import NetworkError, Retry, UnexpectedAnswerError, UsageError
from asrcli.transport.answers import MOST_BODY, MOST_HEADERS, Answer, decoded, read_json
from asrcli.transport.connection import Connection
from asrcli.transport.exchange import Exchange, scope
from asrcli.transport.failures import as_ours

if TYPE_CHECKING:
    import httpx

__all__ = ["BASE_HEADERS", "MakeRequest", "Reply", "Sender"]

MakeRequest = Callable[[], AbstractContextManager["httpx.Request"]]
"""Makes the request anew for each attempt; what it holds open is closed after it was sent."""

BASE_HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity", "Connection": "keep-alive"}


class Reply:
    """An answer that has begun: status and headers are here, the body comes in pieces."""

    def __init__(
        self, response: httpx.Response, service: str, url: str, exchange: Exchange
    ) -> None:
        self._response = response
        self._service = service
        self._url = url
        self.exchange = exchange
        self.status = response.status_code
        self.headers: Mapping[str, str] = {
            name.lower(): value for name, value in response.headers.items()
        }
        self.host = urlsplit(url).hostname or ""

    @property
    def proven(self) -> bool:
        """True if the end of the body shows by itself."""
        # On a real connection the chunks are checked; a transport of a test only says that word.
        chunked = "transfer-encoding" in self.headers and self.exchange.tracked
        return chunked or "content-length" in self.headers

    def pieces(self, most: int = MOST_BODY) -> Iterator[bytes]:
        """The body as bytes, its encoding undone; raises an AsrError, also for more than `most`."""
        encoding = self.headers.get("content-encoding", "")
        total = 0
        try:
            for piece in decoded(self._raw(most), encoding):
                total += len(piece)
                if total > most:
                    raise self.too_large(most)
                yield piece
        except EOFError:
            raise self.cut() from None
        except ValueError as error:
            # Nothing was read that means anything; another try may go through another path.
            raise self._answer().unexpected(
                f"it answered with {error}", retry=Retry.AMBIGUOUS
            ) from error

    def answer(self, most: int = MOST_BODY) -> Answer:
        """Read the body to its end; raises an AsrError, also for more than `most` bytes."""
        if self.status in {204, 205, 304}:
            return self._answer()
        length = self.headers.get("content-length", "")
        if length.isdecimal() and (len(length) > 12 or int(length) > most):
            raise self.too_large(most)
        body = bytearray()
        for piece in self.pieces(most):
            body += piece
        return self._answer(bytes(body))

    def too_large(self, most: int) -> UnexpectedAnswerError:
        """The answer is longer than anything we asked for can be."""
        return self._answer().unexpected(f"the response is too large: over {most:,} bytes")

    def cut(self) -> NetworkError:
        """The answer ended before its end."""
        return NetworkError(
            self._service, f"the answer of {self.host} was cut", retry=Retry.AMBIGUOUS
        )

    def close(self) -> None:
        """Give the connection back, or close it if there is more to come."""
        with scope(self.exchange):
            self._response.stream.close()  # type: ignore[union-attr]

    def _answer(self, body: bytes = b"") -> Answer:
        return Answer(self.status, self.headers, body, self.host, self._service, whole=self.proven)

    def _raw(self, most: int) -> Iterator[bytes]:
        # The thread's exchange is set for each step: between them, the caller may make other calls.
        source: Iterator[bytes] = iter(self._response.stream)  # type: ignore[arg-type]
        total = 0
        while True:
            with scope(self.exchange), as_ours(self._service, self._url, self.exchange):
                piece = next(source, None)
            if piece is None:
                return
            total += len(piece)
            if total > most:
                raise self.too_large(most)
            yield piece


class Sender:
    """Makes attempts over one transport, which is made when it is first needed."""

    def __init__(
        self,
        service: str,
        connection: Connection,
        transport: httpx.BaseTransport | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.service = service
        self.connection = connection
        self._transport = transport
        self._clock = clock
        self._closed = False
        self._lock = threading.Lock()

    @contextmanager
    def open(
        self,
        url: str,
        make: MakeRequest,
        *,
        public_only: bool = False,
        slow: bool = False,
    ) -> Iterator[Reply]:
        """Send the request and give what is answered; raises an AsrError.

        `public_only` refuses hosts of private networks; `slow` answers may come at any speed.
        """
        self.refuse_offline(url)
        exchange = Exchange(self.connection, clock=self._clock, public_only=public_only, slow=slow)
        with scope(exchange), as_ours(self.service, url, exchange), make() as request:
            response = self._wire().handle_request(request)
        reply = Reply(response, self.service, url, exchange)
        try:
            self._check_headers(reply)
            yield reply
        finally:
            reply.close()

    def refuse_offline(self, url: str) -> None:
        """Raises UsageError if no socket may be opened."""
        if self.connection.offline:
            host = urlsplit(url).hostname
            raise UsageError(
                f"--offline: {host} was not asked", hint="Leave out --offline, or use -p local."
            )

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            transport, self._transport = self._transport, None
            self._closed = True
        if transport is not None:
            transport.close()

    def _wire(self) -> httpx.BaseTransport:
        from asrcli.transport.wire import Wire

        with self._lock:
            if self._closed:
                raise NetworkError(self.service, "cancelled: closed", retry=Retry.NEVER)
            if self._transport is None:
                self._transport = Wire(self.connection)
            return self._transport

    def _check_headers(self, reply: Reply) -> None:
        size = sum(len(name) + len(value) + 4 for name, value in reply.headers.items())
        if size > MOST_HEADERS:
            said = f"the headers of its answer have {size:,} bytes"
            raise UnexpectedAnswerError(self.service, said, http_status=reply.status)


def cut_json(reply: Reply, answer: Answer) -> bool:
    """True for an answer that should be JSON, is none, and may have been cut."""
    is_json = "json" in answer.headers.get("content-type", "")
    if reply.proven or answer.is_html or not (is_json or answer.body.startswith((b"{", b"["))):
        return False
    try:
        read_json(answer.body)
    except ValueError:
        return True
    return False
