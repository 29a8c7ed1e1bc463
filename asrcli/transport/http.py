"""Calls to one service over HTTP: JSON, forms with a file, streams of events.

Redirects are never followed here, and nothing is remembered between calls: no cookies, no netrc.
What a call may cost, and so how often it is made, is said by whoever makes it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from asrcli.errors import AsrError, RemoteError, UnexpectedAnswerError
from asrcli.secret import Secret, redact
from asrcli.transport.answers import Answer, encode_json
from asrcli.transport.connection import (
    Connection,
    check_base_url,
    check_link,
    host_and_port,
    is_public,
    join_url,
    may_be_public,
)
from asrcli.transport.events import EventReader, ServerEvent
from asrcli.transport.failures import status_error
from asrcli.transport.forms import FilePart, form_request
from asrcli.transport.headers import ALLOWED_WITHOUT_KEY, build_headers
from asrcli.transport.retry import Held, Retrier, read_retry_after
from asrcli.transport.sending import BASE_HEADERS, MakeRequest, Reply, Sender, cut_json

if TYPE_CHECKING:
    import httpx

__all__ = ["Answer", "FilePart", "HTTPClient", "ServerEvent"]

Headers = Mapping[str, str | Secret]
_MOST_STREAM = 512_000_000
"""Bytes of a stream, whose events may each hold all that came before."""


class HTTPClient:
    """One service, with its key: thread-safe, made of nothing until the first call.

    `headers` go to the service alone: a Secret under `Authorization` is sent as `Bearer …`.
    `read_failure` reads a failure in the service's own words, with any status but a redirect's,
    also 200; what it leaves (None) is read by its status. Its errors decide on other tries by their
    `retry`, and get what they lack of status, request id and `Retry-After`.

    Raises ConfigurationError for a base URL that cannot be used. Every call raises an AsrError.
    """

    def __init__(
        self,
        service: str,
        base_url: str,
        headers: Headers,
        connection: Connection,
        *,
        retrier: Retrier,
        read_failure: Callable[[Answer], AsrError | None],
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.service = service
        self.base_url = check_base_url(base_url, insecure_http=connection.insecure_http)
        self._origin = host_and_port(self.base_url)
        self._headers = dict(headers)
        self._connection = connection
        self._retrier = retrier
        self._read_failure = read_failure
        self._sender = Sender(service, connection, transport, clock=clock)
        self.private = not may_be_public(self._origin[0])
        """The service is in a private network, as far as is known, and may name others there."""

    def __repr__(self) -> str:
        return f"HTTPClient({self.service!r}, {self.base_url!r})"

    def close(self) -> None:
        """Close the connections; calls under way fail, later ones are refused."""
        self._sender.close()

    def get(
        self,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Headers | None = None,
    ) -> Answer:
        """Ask for something; tried again freely, and not counted for requests a minute."""
        url = join_url(self.base_url, path)
        if params:
            url += "?" + urlencode(params)
        make = self._plain("GET", url, headers, None)
        return self._call(url, make, ambiguous=False, spaced=False)

    def post(
        self,
        path: str,
        json: Any,
        *,
        headers: Headers | None = None,
        ambiguous: bool = True,
        submit: bool = False,
    ) -> Answer:
        """Send JSON, or, with None, no body at all.

        `ambiguous`: the call may be billed, so an unclear failure is followed by one resend at
        most, which marks answer or error as `possible_duplicate`. `submit`: it begins a job, and is
        tried again only where it was surely not carried out (429, 503, no connection); an error
        with `Retry.AMBIGUOUS` means that the caller has to look before sending it again.
        """
        url = join_url(self.base_url, path)
        body = None if json is None else encode_json(json)
        make = self._plain("POST", url, headers, body)
        return self._call(url, make, ambiguous=ambiguous, submit=submit)

    def post_file(
        self,
        url_or_path: str,
        fields: Sequence[tuple[str, str]],
        file: FilePart,
        *,
        keyless: bool = False,
        headers: Headers | None = None,
        ambiguous: bool = False,
        on_sent: Callable[[int], None] | None = None,
    ) -> Answer:
        """Send a form that ends with a file; the file is read anew for each try.

        To another host than the service's, the call carries no header of this client in any case;
        `keyless` says the same for its own. `on_sent` gets the bytes of the file sent so far.
        """
        url, foreign = self._resolve(url_or_path)
        keyless = keyless or foreign
        built = self._build(headers, keyless=keyless)

        def make() -> Any:
            return form_request(url, built, fields, file, on_sent=on_sent)

        return self._call(url, make, ambiguous=ambiguous, keyless=keyless, foreign=foreign)

    def events(
        self,
        path: str,
        json: Any,
        *,
        headers: Headers | None = None,
        ambiguous: bool = True,
    ) -> Iterator[ServerEvent]:
        """Send JSON, and give the events of the answer as they come, until the connection ends.

        Whether the last event was the last one is the caller's to see. The call is tried again
        only before its first event; a failure that the first event reports is raised as an error.
        """
        url = join_url(self.base_url, path)
        wanted = {"Accept": "text/event-stream", **(headers or {})}
        make = self._plain("POST", url, wanted, encode_json(json))
        held = self._retrier.hold(lambda: self._open_events(url, make), ambiguous=ambiguous)
        yield from _told(held)

    # --- one call ---------------------------------------------------------------------------------

    def _call(
        self,
        url: str,
        make: MakeRequest,
        *,
        ambiguous: bool,
        submit: bool = False,
        keyless: bool = False,
        foreign: bool = False,
        spaced: bool = True,
    ) -> Answer:
        def attempt() -> Answer:
            guarded = foreign and not self.private
            with self._sender.open(url, make, public_only=guarded) as reply:
                if not foreign:
                    self._learn(reply)
                answer = reply.answer()
                if answer.status < 300 and cut_json(reply, answer):
                    raise reply.cut()
            self._check(answer, url, with_key=not keyless)
            return answer

        spaced = spaced and not foreign
        held = self._retrier.hold(attempt, ambiguous=ambiguous, submit=submit, spaced=spaced)
        held.release()
        return held.value.marked(possible_duplicate=held.resent)

    def _resolve(self, url_or_path: str) -> tuple[str, bool]:
        if "://" not in url_or_path:
            return join_url(self.base_url, url_or_path), False
        insecure = self._connection.insecure_http
        try:
            check_link(url_or_path, insecure_http=insecure, private=self.private)
        except ValueError as error:
            raise UnexpectedAnswerError(self.service, f"it refers to {error}") from error
        same_scheme = urlsplit(url_or_path).scheme == urlsplit(self.base_url).scheme
        return url_or_path, not same_scheme or host_and_port(url_or_path) != self._origin

    def _build(self, headers: Headers | None, *, keyless: bool) -> dict[str, str]:
        extra = headers or {}
        if keyless:
            extra = {n: v for n, v in extra.items() if n.lower() in ALLOWED_WITHOUT_KEY}
        ours = {} if keyless else self._headers
        agent = {"User-Agent": self._connection.user_agent}
        return build_headers({**BASE_HEADERS, **agent, **ours, **extra})

    def _plain(
        self, method: str, url: str, headers: Headers | None, body: bytes | None
    ) -> MakeRequest:
        built = self._build(headers, keyless=False)
        if body is not None:
            built["Content-Type"] = "application/json"

        def make() -> Any:
            import httpx

            return nullcontext(httpx.Request(method, url, headers=built, content=body))

        return make

    def _learn(self, reply: Reply) -> None:
        if reply.exchange.address and not reply.exchange.proxied:
            self.private = not is_public(reply.exchange.address)

    # --- what it says -----------------------------------------------------------------------------

    def _check(self, answer: Answer, url: str, *, with_key: bool = True) -> None:
        """Raises the error that the answer reports."""
        try:
            error = None if 300 <= answer.status < 400 else self._read_failure(answer)
        except AsrError as unreadable:
            error = unreadable
        error = error or status_error(answer, url, with_key=with_key)
        if error is not None:
            raise _completed(error, answer)

    def _open_events(self, url: str, make: MakeRequest) -> _Events:
        with ExitStack() as stack:
            reply = stack.enter_context(self._sender.open(url, make, slow=True))
            self._learn(reply)
            content_type = reply.headers.get("content-type", "text/event-stream")
            streamed = content_type.startswith("text/event-stream")
            if reply.status != 200 or not streamed:
                answer = reply.answer()
                events = EventReader().feed(answer.body) if streamed else []
                for event in events[:1]:
                    answer = replace(answer, body=event.data.encode(), _decoded=[])
                self._check(answer, url)
                raise answer.unexpected("it did not answer with a stream of events")
            stream = _Events(reply)
            first = stream.first()
            status = first.http_status or (500 if first.event == "error" else 200)
            if first.event == "error" or status >= 400:
                body = first.data.encode("utf-8", "replace")
                self._check(Answer(status, reply.headers, body, reply.host, self.service), url)
            stream.stack = stack.pop_all()
            return stream


class _Events:
    """An open stream; its first event was read already."""

    def __init__(self, reply: Reply) -> None:
        self.stack = ExitStack()
        self._reply = reply
        self._events = self._read()
        self._first: ServerEvent | None = None

    def first(self) -> ServerEvent:
        """Raises an error that allows another try if there is none."""
        self._first = next(self._events, None)
        if self._first is None:
            raise self._reply.cut()
        return self._first

    def __iter__(self) -> Iterator[ServerEvent]:
        if self._first is not None:
            yield self._first
        yield from self._events

    def _read(self) -> Iterator[ServerEvent]:
        reader = EventReader()
        for piece in self._reply.pieces(_MOST_STREAM):
            try:
                yield from reader.feed(piece)
            except ValueError as error:
                answer = Answer(self._reply.status, self._reply.headers, host=self._reply.host)
                raise answer.unexpected(f"it sent {error}") from error


def _told(held: Held[_Events]) -> Iterator[ServerEvent]:
    try:
        with held.value.stack:
            for event in held.value:
                yield replace(event, possible_duplicate=True) if held.resent else event
    except AsrError as error:
        error.possible_duplicate = error.possible_duplicate or held.resent
        raise
    finally:
        held.release()


def _completed(error: AsrError, answer: Answer) -> AsrError:
    """The error with what the answer says besides, and without the key that it may repeat."""
    error.http_status = error.http_status or answer.status
    error.request_id = error.request_id or answer.request_id
    if error.retry_after is None:
        error.retry_after = retry_after(answer.headers)
    if isinstance(error, RemoteError):
        error.message = redact(error.message)
        error.args = (error.service, error.message)
    return error


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that the headers ask to wait, or None."""
    milliseconds = read_retry_after(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    return read_retry_after(headers.get("retry-after"))
