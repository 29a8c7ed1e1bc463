"""What went wrong on the way, in our own errors: each with a sentence that names host and port.

Statuses of HTTP are read here too, for services that say no more than that.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar
from urllib.parse import urlsplit

from asrcli.errors import (
    ArrearsError,
    AsrError,
    ConfigurationError,
    InputRefusedError,
    KeyRefusedError,
    NetworkError,
    RateLimitedError,
    RedirectError,
    RefusedError,
    RemoteError,
    Retry,
    RightsError,
    ServiceError,
    TimeLimitError,
    TLSError,
    UnexpectedAnswerError,
)
from asrcli.transport import tls
from asrcli.transport.answers import Answer
from asrcli.transport.connection import host_and_port, mask_url
from asrcli.transport.exchange import DeadlineReached, Exchange, Stage, TooSlow
from asrcli.transport.sockets import AddressRefused

__all__ = ["as_ours", "status_error"]

_E = TypeVar("_E", bound=BaseException)
_NETWORK_HINT = "Check --base-url or your network."


@contextmanager
def as_ours(service: str, url: str, exchange: Exchange) -> Iterator[None]:
    """Turn what httpx, httpcore, ssl and sockets raise within the block into an AsrError."""
    try:
        yield
    except AsrError:
        raise
    except Exception as error:
        if (ours := _Failure(service, url, exchange, error).read()) is None:
            raise
        raise ours from error


class _Failure:
    def __init__(self, service: str, url: str, exchange: Exchange, error: Exception) -> None:
        self.service = service
        self.url = url
        self.exchange = exchange
        self.error = error
        host, port = exchange.peer or host_and_port(url)
        self.place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.host = host
        self.unclear = Retry.TRANSIENT if exchange.unsent else Retry.AMBIGUOUS
        """Once the whole request has left, it may have been carried out."""

    def read(self) -> AsrError | None:
        """The error that says it; None for a mistake of ours."""
        import httpx

        ours: AsrError | None = self._limit()
        match self.error:
            case httpx.InvalidURL() | httpx.UnsupportedProtocol():
                ours = ConfigurationError(f"{mask_url(self.url)} is no URL of a web service")
            case httpx.LocalProtocolError():
                pass  # a request that no server may get
            case httpx.ProxyError():
                ours = self._proxy()
            case httpx.ConnectTimeout() | httpx.ConnectError() | httpx.PoolTimeout():
                ours = self._unreached()
            case httpx.TransportError():
                ours = self._broken()
        return ours

    def _limit(self) -> AsrError | None:
        connection = self.exchange.connection
        if isinstance(self.error, DeadlineReached):
            said = f"{self.place} did not finish within {connection.timeout:g} s"
            hint = "--timeout sets how long one call may take; 0 is without limit."
            return TimeLimitError(self.service, said, hint=hint, retry=self.unclear)
        if isinstance(self.error, TooSlow):
            said = f"{self.place} is too slow: under {connection.min_speed:g} bytes/s"
            return self._network(f"{said} for {connection.idle_timeout:g} s", self.unclear)
        if isinstance(self.error, AddressRefused):
            said = f"{self.host} leads to an address of a private network"
            return UnexpectedAnswerError(self.service, said)
        return None

    def _network(self, said: str, retry: Retry, *, hint: str | None = None) -> NetworkError:
        return NetworkError(self.service, said, retry=retry, hint=hint)

    def _unreached(self) -> NetworkError:
        import httpx

        if found := self._cause(ssl.SSLError):
            return self._tls(found)
        if self._cause(socket.gaierror):
            said = f"cannot resolve {self.host}"
            return self._network(said, Retry.TRANSIENT, hint=_NETWORK_HINT)
        within = f"within {self.exchange.connection.connect_timeout:g} s"
        stage = self.exchange.stage
        if isinstance(self.error, httpx.PoolTimeout):
            return self._network(f"no connection to {self.place} was free", Retry.TRANSIENT)
        if isinstance(self.error, httpx.ConnectTimeout):
            said = {
                Stage.RESOLVING: f"cannot resolve {self.host} {within}",
                Stage.HANDSHAKE: f"{self.place} did not answer in TLS {within}",
            }.get(stage, f"no connection to {self.place} {within}")
        elif self._cause(ConnectionRefusedError):
            said = f"{self.place} refused the connection"
        elif stage is Stage.HANDSHAKE:
            said = f"{self.place} broke off the TLS handshake"
        else:
            said = f"no connection to {self.place}: {self._reason()}"
        return self._network(said, Retry.TRANSIENT, hint=_NETWORK_HINT)

    def _tls(self, error: ssl.SSLError) -> NetworkError:
        if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            said = f"{self.place} broke off the TLS handshake"
            return self._network(said, Retry.TRANSIENT, hint=_NETWORK_HINT)
        reason, hint = tls.explain(error)
        name = self.exchange.tls_name
        behind_proxy = name not in {None, self.host}
        return TLSError(
            self.service, f"{name if behind_proxy else self.place}: {reason}", hint=hint
        )

    def _proxy(self) -> NetworkError:
        said = str(self.error)
        if match := re.match(r"(\d{3})\b", said):
            status = int(match[1])
            if status == 407:
                return proxy_login_error(self.service, self.place)
            retry = Retry.TRANSIENT if status >= 500 else Retry.NEVER
            host, port = host_and_port(self.url)
            said = f"the proxy {self.place} did not connect to {host}:{port} ({status})"
            return self._network(said, retry)
        # Of SOCKS: refused, or asked for.
        if "username" in said.lower() or "acceptable methods" in said.lower():
            return proxy_login_error(self.service, self.place)
        return self._network(f"the proxy {self.place}: {said}", Retry.TRANSIENT)

    def _broken(self) -> RemoteError:
        import httpx

        exchange = self.exchange
        if exchange.head and not exchange.head.startswith(b"HTTP/"[: len(exchange.head)]):
            return UnexpectedAnswerError(self.service, f"{self.place} is not an HTTP server")
        idle = f"{exchange.connection.idle_timeout:g} s"
        if isinstance(self.error, httpx.WriteTimeout):
            said = f"{self.place} took nothing of the request for {idle}"
            return self._network(said, Retry.TRANSIENT)
        if isinstance(self.error, httpx.ReadTimeout):
            part = "sent nothing more" if exchange.head else "sent nothing"
            return self._network(f"{self.place} {part} for {idle}", self.unclear)
        protocol = isinstance(self.error, httpx.RemoteProtocolError)
        # The other side of a tracked exchange that is malformed did not end: it said nonsense.
        nonsense = exchange.tracked and not exchange.ended
        if protocol and exchange.stage >= Stage.SENDING and nonsense:
            said = f"{self.place} does not keep to HTTP: {_short(str(self.error))}"
            return UnexpectedAnswerError(self.service, said)
        how = "was closed" if protocol or self._cause(ssl.SSLEOFError) else "was reset"
        when = "within the answer" if exchange.head else "before an answer came"
        return self._network(f"the connection to {self.place} {how} {when}", self.unclear)

    def _cause(self, kind: type[_E]) -> _E | None:
        """The error of that kind behind the one at hand."""
        todo: list[BaseException] = [self.error]
        seen: list[BaseException] = []
        while todo:
            error = todo.pop()
            if isinstance(error, kind):
                return error
            seen.append(error)
            behind = [error.__cause__, error.__context__, *error.args]
            todo.extend(e for e in behind if isinstance(e, BaseException) and e not in seen)
        return None

    def _reason(self) -> str:
        found = self._cause(OSError)
        said = found.strerror if found and found.strerror else str(self.error)
        return _short(said) or type(self.error).__name__


def proxy_login_error(service: str, place: str) -> NetworkError:
    """A proxy wants to know who we are, or does not like it."""
    return NetworkError(
        service,
        f"proxy authentication required by {place}",
        retry=Retry.NEVER,
        hint="Put user and password into the proxy's variable: http://USER:PASSWORD@HOST:PORT.",
    )


def _short(text: str) -> str:
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= 200 else line[:200] + "…"


# --- statuses ---------------------------------------------------------------------------------

_BY_STATUS: dict[int, tuple[type[RemoteError], Retry, str]] = {
    401: (KeyRefusedError, Retry.NEVER, "the key was refused"),
    402: (ArrearsError, Retry.NEVER, "the account has nothing left to spend"),
    403: (RightsError, Retry.NEVER, "the key may not do this"),
    404: (RefusedError, Retry.NEVER, "there is nothing at this address"),
    408: (ServiceError, Retry.TRANSIENT, "it waited too long for the request"),
    413: (InputRefusedError, Retry.NEVER, "the file is too large for it"),
    415: (InputRefusedError, Retry.NEVER, "it does not take files of this format"),
    425: (ServiceError, Retry.TRANSIENT, "it asks to come later"),
    429: (RateLimitedError, Retry.THROTTLED, "too many requests"),
    500: (ServiceError, Retry.TRANSIENT, "it failed"),
    503: (ServiceError, Retry.TRANSIENT, "it is overloaded or down"),
    521: (ServiceError, Retry.TRANSIENT, "it is down"),
    523: (ServiceError, Retry.TRANSIENT, "it is down"),
}
# A gateway lost sight of the service behind it, which may have done the work.
_LOST_BEHIND = {502, 504, 520, 522, 524}
_MOVED = {301, 302, 303, 307, 308}


def status_error(answer: Answer, url: str, *, with_key: bool = True) -> AsrError | None:
    """The error that a status by itself means; None for success.

    Without a key in the request, 401 and 403 say nothing about keys.
    """
    service, status = answer.service, answer.status
    if status in {200, 201, 202, 203, 206}:
        return None
    if status in _MOVED:
        return _redirect_error(answer, url)
    if status == 407:
        return proxy_login_error(service, "a proxy on the way")
    kind, retry, said = _BY_STATUS.get(status, (RefusedError, Retry.NEVER, "it refused"))
    if status in {401, 403} and not with_key:
        kind, said = RefusedError, "it may not be read, or not any longer"
    elif status == 404:
        said = f"there is nothing at {mask_url(url)}"
    elif status in _LOST_BEHIND:
        kind, retry, said = ServiceError, Retry.AMBIGUOUS, "its gateway got no answer from it"
    elif not 400 <= status < 500 and status not in _BY_STATUS:
        kind = ServiceError if 500 <= status < 600 else UnexpectedAnswerError
        said = f"it answered with status {status}"
    if (
        answer.headers.get("x-should-retry") == "false"
    ):  # as the SDKs of OpenAI and DashScope read it
        retry = Retry.NEVER
    return kind(service, said, http_status=status, request_id=answer.request_id, retry=retry)


def _redirect_error(answer: Answer, url: str) -> RedirectError:
    location = answer.headers.get("location", "")
    try:
        parts = urlsplit(location)
        where = parts.hostname or (f"{parts.scheme}:" if parts.scheme else host_and_port(url)[0])
    except ValueError:
        where = ""
    where = _short(where) if location and where else "nowhere"
    return RedirectError(
        answer.service,
        f"the server redirected to {where}; set --base-url",
        http_status=answer.status,
        request_id=answer.request_id,
    )
