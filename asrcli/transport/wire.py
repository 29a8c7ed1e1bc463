"""The real way out: a transport of httpx's kind on httpcore's pools and our own sockets.

Loaded by the first call; a test that passes a transport of its own never comes here.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from asrcli.transport.connection import Connection
from asrcli.transport.exchange import current
from asrcli.transport.headers import build_headers, login
from asrcli.transport.proxies import Proxy, find_proxy
from asrcli.transport.sockets import Backend
from asrcli.transport.tls import make_context

if TYPE_CHECKING:
    import ssl

    import httpcore
    import httpx
    from httpx import BaseTransport, SyncByteStream
else:  # interfaces; see `sockets`
    BaseTransport = SyncByteStream = object

__all__ = ["Wire"]

_KEPT_SECONDS = 4.0
"""An idle connection is kept for less than any common server keeps it: many close after 5 s, and a
request that meets the closing cannot be told from one that was carried out."""


class Wire(BaseTransport):
    """Sends requests of httpx, directly or through the proxy that the variables name.

    Raises httpx's errors, ConfigurationError for settings of the network that cannot be used, and
    what `exchange` and `sockets` raise. Safe for many threads.
    """

    def __init__(self, connection: Connection, *, backend: Backend | None = None) -> None:
        self._connection = connection
        self._backend = backend or Backend()
        self._idle: deque[_Line] = deque()
        self._busy: set[_Line] = set()
        self._closed = False
        self._context: ssl.SSLContext | None = None
        self._lock = threading.Lock()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; the answer's body is read from its `stream`."""
        import httpcore
        import httpx

        exchange = current()
        exchange.start()
        url = request.url
        port = url.port or {"http": 80, "https": 443}.get(url.scheme, 0)
        proxy = find_proxy(url.scheme, url.host, port, self._connection.environ)
        exchange.proxied = proxy is not None
        line = self._take((url.scheme, url.host, port), proxy)
        outgoing = httpcore.Request(
            method=request.method,
            url=httpcore.URL(
                scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
            ),
            headers=request.headers.raw,
            content=exchange.watched(cast("Iterable[bytes]", request.stream)),
            extensions={"timeout": {"pool": exchange.left()}},
        )
        try:
            with _as_httpx():
                response = line.pool.handle_request(outgoing)
        except BaseException:
            exchange.abandon()  # httpcore forgets a connection to a proxy that it did not get past
            self._give_back(line)
            raise
        body = _Body(response.stream, lambda: self._give_back(line))
        return httpx.Response(response.status, headers=response.headers, stream=body)

    def close(self) -> None:
        """Close all connections; calls under way fail."""
        with self._lock:
            self._closed = True
            lines = [*self._idle, *self._busy]
            self._idle.clear()
        for line in lines:
            line.pool.close()

    def _take(self, origin: tuple[str, str, int], proxy: Proxy | None) -> _Line:
        """The line to this origin that was used last, or a new one; nobody else has it."""
        key = (*origin, proxy.variable if proxy else "")
        with self._lock:
            self._expire()
            line = next((line for line in reversed(self._idle) if line.key == key), None)
            if line is None:
                encrypted = "https" in {origin[0], proxy.scheme if proxy else ""}
                if encrypted and self._context is None:
                    bundle, environ = self._connection.ca_bundle, self._connection.environ
                    self._context = make_context(bundle, environ)
                line = _Line(key, self._make_pool(proxy))
            else:
                self._idle.remove(line)
            self._busy.add(line)
            return line

    def _give_back(self, line: _Line) -> None:
        with self._lock:
            if line not in self._busy:
                return
            self._busy.remove(line)
            line.since = time.monotonic()
            if not self._closed:
                self._idle.append(line)
                self._expire()
                return
        line.pool.close()

    def _expire(self) -> None:
        """Close what nobody used for long, and what is more than there are calls at once."""
        oldest = time.monotonic() - _KEPT_SECONDS
        while self._idle and (
            self._idle[0].since < oldest or len(self._idle) > self._connection.max_connections
        ):
            self._idle.popleft().pool.close()

    def _make_pool(self, proxy: Proxy | None) -> httpcore.ConnectionPool:
        import httpcore

        options: dict[str, Any] = {
            "ssl_context": self._context,
            "max_connections": 1,
            "max_keepalive_connections": 1,
            "keepalive_expiry": _KEPT_SECONDS,
            "network_backend": self._backend,
        }
        if proxy is None:
            return httpcore.ConnectionPool(**options)
        url = httpcore.URL(
            scheme=proxy.scheme.encode(), host=proxy.host.encode(), port=proxy.port, target=b"/"
        )
        if proxy.socks:
            auth = login(proxy.login) if proxy.login else None
            return httpcore.SOCKSProxy(url, proxy_auth=auth, **options)
        named = build_headers({"Proxy-Authorization": proxy.login} if proxy.login else {})
        headers = [(name.encode(), value.encode()) for name, value in named.items()]
        if proxy.scheme == "https":
            options["proxy_ssl_context"] = self._context
        return httpcore.HTTPProxy(url, proxy_headers=headers, **options)


@dataclass(slots=True, eq=False)
class _Line:
    """A pool of one connection, which one call has at a time.

    A pool that many threads share gives a connection to two of them at the same moment, opens
    others in their place, and closes some that it has just given away
    (https://github.com/encode/httpcore/issues/1110); and it looks at all of them for each call.
    """

    key: tuple[str, str, int, str]
    pool: httpcore.ConnectionPool
    since: float = 0.0
    """When the last call ended."""


class _Body(SyncByteStream):
    """The body of an answer, with httpx's errors."""

    def __init__(self, stream: Any, done: Callable[[], None]) -> None:
        self._stream = stream
        self._done = done

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx():
            stream: Iterable[bytes] = self._stream
            yield from stream

    def close(self) -> None:
        """Give the connection back, or close it if the body was not read to its end."""
        try:
            self._stream.close()
        finally:
            self._done()


@contextmanager
def _as_httpx() -> Iterator[None]:
    import httpcore
    import httpx

    known = (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError)
    try:
        yield
    except (*known, httpcore.ProxyError, httpcore.UnsupportedProtocol) as error:
        # The classes of both packages have the same names.
        kind: type[httpx.TransportError] = getattr(httpx, type(error).__name__)
        raise kind(str(error)) from error
    except Exception as error:
        # Two that httpcore lets through: a body of another length than was declared, and what the
        # SOCKS package raises or asserts when the proxy speaks something else.
        package = type(error).__module__.partition(".")[0]
        if package == "h11":
            raise httpx.LocalProtocolError(str(error)) from error
        if package == "socksio" or isinstance(error, AssertionError):
            raise httpx.ProxyError("it does not speak SOCKS") from error
        raise
