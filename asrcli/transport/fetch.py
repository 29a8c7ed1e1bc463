"""Fetching what somebody else's URL names: results of a service, recordings on the web.

No key, no cookie and no header of any service goes along. Redirects are followed, five at most, and
each URL on the way is checked before it is called and again when its name has been looked up.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urljoin, urlsplit

from asrcli.errors import AsrError, FileTooLargeError, OutputError, UnexpectedAnswerError
from asrcli.transport.answers import MOST_BODY, Answer
from asrcli.transport.connection import Connection, check_link
from asrcli.transport.failures import status_error
from asrcli.transport.headers import build_headers
from asrcli.transport.http import retry_after
from asrcli.transport.retry import Retrier
from asrcli.transport.sending import BASE_HEADERS, Reply, Sender, cut_json

if TYPE_CHECKING:
    import httpx

__all__ = ["Download", "Fetcher"]

T = TypeVar("T")

_MOST_REDIRECTS = 5
_MOVED = {301, 302, 303, 307, 308}


@dataclass(frozen=True, slots=True)
class Download:
    """What was fetched into a file."""

    size: int
    mime_type: str
    """As the server calls it, without parameters; may be empty, and may be wrong."""
    whole: bool
    """False where nothing but the end of the connection says that this is all."""


class Fetcher:
    """Thread-safe; one connection to a host is used for many URLs.

    `private` allows URLs of loopback and private networks: for a service that is there itself.
    `read_failure` reads an answer that is no success in its server's own words; what it leaves
    (None) is read by its status.
    Through a proxy only the URL itself can be checked, not what its name leads to.
    """

    def __init__(
        self,
        service: str,
        connection: Connection,
        *,
        retrier: Retrier,
        private: bool = False,
        read_failure: Callable[[Answer], AsrError | None] = lambda _: None,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.service = service
        self._connection = connection
        self._retrier = retrier
        self._private = private
        self._read_failure = read_failure
        self._sender = Sender(service, connection, transport, clock=clock)

    def close(self) -> None:
        """Close the connections."""
        self._sender.close()

    def get(self, url: str, *, most_bytes: int = MOST_BODY) -> Answer:
        """The answer behind a URL, read whole; raises an AsrError, also for more than that."""

        def read(reply: Reply) -> Answer:
            answer = reply.answer(most_bytes)
            if cut_json(reply, answer):
                raise reply.cut()
            return answer

        return self._retrier.run(lambda: self._follow(url, read), spaced=False)

    def download(
        self,
        url: str,
        target: Path,
        *,
        most_bytes: int,
        on_received: Callable[[int], None] = lambda _: None,
    ) -> Download:
        """Write what a URL names into a file, which is begun anew for each try.

        `on_received` gets the bytes so far. Raises FileTooLargeError as soon as there are more than
        `most_bytes`, OutputError, or another AsrError; a file that was begun is left to the caller.
        """

        def write(reply: Reply) -> Download:
            name = urlsplit(url).path.rpartition("/")[2] or reply.host
            length = reply.headers.get("content-length", "")
            if length.isdecimal() and int(length[:20]) > most_bytes:
                raise FileTooLargeError(name, int(length[:20]), most_bytes)
            size = 0
            try:
                with target.open("wb") as file:
                    for piece in reply.pieces(sys.maxsize):
                        size += len(piece)
                        if size > most_bytes:
                            raise FileTooLargeError(name, size, most_bytes)
                        file.write(piece)
                        on_received(size)
            except OSError as error:
                raise OutputError(f"cannot write {target}: {error.strerror}") from error
            mime_type = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
            return Download(size, mime_type, reply.proven)

        return self._retrier.run(lambda: self._follow(url, write), spaced=False)

    def _follow(self, url: str, consume: Callable[[Reply], T]) -> T:
        seen = 0
        while True:
            self._check_url(url)
            with self._sender.open(url, self._request(url), public_only=not self._private) as reply:
                if reply.status not in _MOVED:
                    self._check_status(reply, url)
                    return consume(reply)
                location = reply.headers.get("location", "")
            seen += 1
            if seen > _MOST_REDIRECTS:
                raise self._unexpected(reply, f"more than {_MOST_REDIRECTS} redirects")
            url = self._next(reply, url, location)

    def _next(self, reply: Reply, url: str, location: str) -> str:
        try:
            after = urljoin(url, location)
            downgraded = urlsplit(url).scheme == "https" and urlsplit(after).scheme == "http"
        except ValueError:
            raise self._unexpected(reply, "a redirect to no URL") from None
        if not location or downgraded:
            raise self._unexpected(
                reply, f"a redirect {'to plain http' if location else 'to nowhere'}"
            )
        return after

    def _check_url(self, url: str) -> None:
        insecure = self._connection.insecure_http
        try:
            check_link(url, insecure_http=insecure, private=self._private)
        except ValueError as error:
            raise UnexpectedAnswerError(self.service, f"it refers to {error}") from error

    def _check_status(self, reply: Reply, url: str) -> None:
        if reply.status == 200:
            return
        answer = reply.answer()
        error = self._read_failure(answer) or status_error(answer, url, with_key=False)
        error = error or answer.unexpected(f"it answered with status {reply.status}")
        error.retry_after = retry_after(reply.headers)
        raise error

    def _request(self, url: str) -> Any:
        agent = {"User-Agent": self._connection.user_agent}
        headers = build_headers({**BASE_HEADERS, **agent})

        def make() -> Any:
            import httpx

            return nullcontext(httpx.Request("GET", url, headers=headers))

        return make

    def _unexpected(self, reply: Reply, message: str) -> UnexpectedAnswerError:
        return UnexpectedAnswerError(self.service, message, http_status=reply.status)
