"""The real way out: a transport of httpx's kind on httpcore's pools and our own sockets.

Loaded by the first call; a test that passes a transport of its own never comes here.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
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
        self._pools: dict[tuple[str, str], httpcore.ConnectionPool] = {}
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
        pool = self._pool(url.scheme, proxy)
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
                response = pool.handle_request(outgoing)
        except BaseException:
            exchange.abandon()  # httpcore forgets a connection to a proxy that it did not get past
            raise
        return httpx.Response(
            response.status, headers=response.headers, stream=_Body(response.stream)
        )

    def close(self) -> None:
        """Close all connections; calls under way fail."""
        with self._lock:
            pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            pool.close()

    def _pool(self, scheme: str, proxy: Proxy | None) -> httpcore.ConnectionPool:
        key = (scheme, proxy.variable if proxy else "")
        with self._lock:
            if key not in self._pools:
                encrypted = "https" in {scheme, proxy.scheme if proxy else ""}
                if encrypted and self._context is None:
                    bundle, environ = self._connection.ca_bundle, self._connection.environ
                    self._context = make_context(bundle, environ)
                self._pools[key] = self._make_pool(proxy)
            return self._pools[key]

    def _make_pool(self, proxy: Proxy | None) -> httpcore.ConnectionPool:
        import httpcore

        # Twice as many as there are calls: a pool that is full closes connections which it has
        # just given away (https://github.com/encode/httpcore/issues/1110).
        most = 2 * self._connection.max_connections
        options: dict[str, Any] = {
            "ssl_context": self._context,
            "max_connections": most,
            "max_keepalive_connections": most,
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


class _Body(SyncByteStream):
    """The body of an answer, with httpx's errors."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx():
            stream: Iterable[bytes] = self._stream
            yield from stream

    def close(self) -> None:
        """Give the connection back, or close it if the body was not read to its end."""
        self._stream.close()


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
