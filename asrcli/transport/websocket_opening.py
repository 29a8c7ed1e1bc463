"""Opening a WebSocket: the way through the network, the handshake, and what is wrong with either.

Loads the package `websockets`; imported by `websocket` only.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote, urlsplit, urlunsplit

from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidProxyStatus,
    InvalidStatus,
    InvalidURI,
    ProxyError,
)
from websockets.http11 import Response
from websockets.sync.client import ClientConnection, connect

from asrcli.errors import AsrError, ConfigurationError, NetworkError, UsageError
from asrcli.secret import Secret, redact
from asrcli.transport.answers import Answer
from asrcli.transport.connection import Connection, is_loopback, mask_url
from asrcli.transport.exchange import Exchange, Stage, scope
from asrcli.transport.failures import as_ours, status_error
from asrcli.transport.headers import build_headers, login
from asrcli.transport.http import retry_after
from asrcli.transport.proxies import Proxy, find_proxy
from asrcli.transport.sockets import Backend
from asrcli.transport.tls import make_context

__all__ = ["Keepalive", "open_connection"]

_SCHEMES = {"ws": ("http", 80), "wss": ("https", 443)}
_SEND_BUFFER = 64 * 1024
"""Bytes that the kernel holds back for us: two seconds of sound. Its own choice would hide minutes
of it behind a slow line, where nobody could say how far behind we are."""

# The client would log the handshake with its key at the level DEBUG; this one logs nothing.
_silent = logging.Logger("asrcli.websocket", level=logging.CRITICAL + 1)  # noqa: LOG001


@dataclass(frozen=True, slots=True, kw_only=True)
class Keepalive:
    """How soon a connection counts as lost, in seconds, and how large a message may be, in bytes.

    One that is half open is found out after `interval` + `answer` + `close` at the latest.
    """

    interval: float = 20.0
    """From one ping to the next."""
    answer: float = 8.0
    """For the answer to a ping."""
    close: float = 2.0
    """For the answer to a close frame."""
    stall: float = 10.0
    """Without a byte taken by the other side while something is to be sent."""
    most_bytes: int = 8 * 1024 * 1024


class _RefusedError(Exception):
    """The handshake was answered with another status than 101."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status_code)
        self.response = response


class _Client(ClientConnection):
    def handshake(self, *args: Any, **options: Any) -> None:
        """As everywhere, but a redirect is no more than an answer."""
        try:
            super().handshake(*args, **options)
        except InvalidStatus as error:
            raise _RefusedError(error.response) from None


def open_connection(
    stack: ExitStack,
    service: str,
    url: str,
    headers: Mapping[str, str | Secret],
    connection: Connection,
    *,
    read_failure: Callable[[Answer], AsrError | None],
    keepalive: Keepalive,
    backend: Backend,
) -> ClientConnection:
    """An open connection, which `stack` closes; raises an AsrError."""
    target = _Target(url, connection)
    if connection.offline:
        hint = "Leave out --offline, or use -p local."
        raise UsageError(f"--offline: {target.host} was not asked", hint=hint)
    exchange = Exchange(connection)
    exchange.start()
    exchange.peer = (target.host, target.port)
    with as_ours(service, target.as_http, exchange), scope(exchange), _as_httpx(service, exchange):
        try:
            return _connected(stack, target, headers, connection, keepalive, backend, exchange)
        except _RefusedError as refused:
            answer = _answer(refused.response, target, service)
    raise _refusal(answer, target, read_failure)


class _Target:
    def __init__(self, url: str, connection: Connection) -> None:
        parts = urlsplit(url)
        if parts.scheme not in _SCHEMES or not parts.hostname or parts.username is not None:
            raise ConfigurationError(f"{mask_url(url)} is no URL of a WebSocket")
        self.url = url
        self.host = parts.hostname
        self.scheme, port = _SCHEMES[parts.scheme]
        self.port = parts.port or port
        self.as_http = urlunsplit((self.scheme, *parts[1:]))
        open_line = self.scheme == "http" and not is_loopback(self.host)
        if open_line and not connection.insecure_http:
            raise ConfigurationError(
                f"{mask_url(url)} is not encrypted: everyone on the way could hear all of it",
                hint="Use wss, or accept that with --insecure-http.",
            )
        self.proxy = find_proxy(self.scheme, self.host, self.port, connection.environ)


def _connected(
    stack: ExitStack,
    target: _Target,
    headers: Mapping[str, str | Secret],
    connection: Connection,
    keepalive: Keepalive,
    backend: Backend,
    exchange: Exchange,
) -> ClientConnection:
    options: dict[str, Any] = {"proxy": None}
    proxy = target.proxy
    over_tls = "https" in {target.scheme, proxy.scheme if proxy else ""}
    context = make_context(connection.ca_bundle, connection.environ) if over_tls else None
    if proxy is not None and not proxy.socks:
        exchange.proxied, exchange.peer = True, (proxy.host, proxy.port)
        options["proxy"] = _proxy_url(proxy)
        options["proxy_ssl"] = context if proxy.scheme == "https" else None
    else:
        options["sock"] = _socket(target, backend, exchange)
    exchange.stage, exchange.tls_name = Stage.HANDSHAKE, target.host
    opened: ClientConnection = stack.enter_context(
        connect(
            target.url,
            ssl=context if target.scheme == "https" else None,
            additional_headers=build_headers(headers),
            user_agent_header=connection.user_agent,
            compression=None,  # sound does not shrink, and what unpacks can be made to explode
            open_timeout=exchange.connect_left(),
            ping_interval=keepalive.interval,
            ping_timeout=keepalive.answer,
            close_timeout=keepalive.close,
            max_size=keepalive.most_bytes,
            logger=_silent,
            create_connection=_Client,
            **options,
        )
    )
    with contextlib.suppress(OSError):  # it may have ended already, and says so later
        opened.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
    return opened


# --- the way ------------------------------------------------------------------------------------


def _socket(target: _Target, backend: Backend, exchange: Exchange) -> socket.socket:
    proxy = target.proxy
    host, port = (proxy.host, proxy.port) if proxy else (target.host, target.port)
    exchange.proxied = proxy is not None
    stream = backend.connect_tcp(host, port)
    plain = cast("socket.socket", cast("Any", stream)._socket)
    try:
        plain.settimeout(exchange.connect_left())
        if proxy:
            _ask_socks(plain, proxy, target)
    except BaseException:
        plain.close()
        raise
    return plain


def _proxy_url(proxy: Proxy) -> str:
    host = f"[{proxy.host}]" if ":" in proxy.host else proxy.host
    who = ""
    if proxy.login:
        user, password = login(proxy.login)
        who = f"{quote(user, safe='')}:{quote(password, safe='')}@"
    return f"{proxy.scheme}://{who}{host}:{proxy.port}"


def _ask_socks(plain: socket.socket, proxy: Proxy, target: _Target) -> None:
    """Have a SOCKS 5 proxy (RFC 1928) connect to the target, whose name it looks up itself."""
    import httpx
    from socksio import ProtocolError, socks5

    wanted = socks5.SOCKS5AuthMethod
    method = wanted.USERNAME_PASSWORD if proxy.login else wanted.NO_AUTH_REQUIRED
    conversation = socks5.SOCKS5Connection()

    def ask(request: Any) -> Any:
        conversation.send(request)
        plain.sendall(conversation.data_to_send())
        data = plain.recv(4096)
        if not data:
            raise ConnectionResetError("the proxy closed the connection")
        return conversation.receive_data(data)

    try:
        reply = ask(socks5.SOCKS5AuthMethodsRequest([method]))
        if reply.method != method:
            raise httpx.ProxyError("no acceptable methods")
        if (
            proxy.login
            and not ask(socks5.SOCKS5UsernamePasswordRequest(*login(proxy.login))).success
        ):
            raise httpx.ProxyError("invalid username or password")
        where = (target.host, target.port)
        answer = ask(socks5.SOCKS5CommandRequest.from_address(socks5.SOCKS5Command.CONNECT, where))
    except (ProtocolError, AssertionError, AttributeError) as error:
        raise httpx.ProxyError("it does not speak SOCKS") from error
    if answer.reply_code != socks5.SOCKS5ReplyCode.SUCCEEDED:
        raise httpx.ProxyError(f"it did not connect ({answer.reply_code.name.lower()})")


# --- failures -----------------------------------------------------------------------------------


@contextmanager
def _as_httpx(service: str, exchange: Exchange) -> Iterator[None]:
    """What goes wrong, in the words that `failures` reads."""
    import httpcore
    import httpx

    try:
        yield
    except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
        kind = httpx.ConnectTimeout if "Timeout" in type(error).__name__ else httpx.ConnectError
        raise kind(str(error)) from error
    except InvalidProxyStatus as error:
        raise httpx.ProxyError(str(error.response.status_code)) from error
    except ProxyError as error:
        raise httpx.ProxyError("it does not answer as a proxy") from error
    except InvalidURI as error:
        raise httpx.InvalidURL("no URL") from error
    except TimeoutError as error:
        if "handshake response" in str(error):
            raise _unanswered(service, exchange) from error
        raise httpx.ConnectTimeout(str(error)) from error
    except (InvalidHandshake, ConnectionClosed) as error:
        exchange.stage = Stage.SENDING
        ended = isinstance(error.__cause__, EOFError | OSError)
        exchange.ended = ended or isinstance(error, ConnectionClosed)
        raise httpx.RemoteProtocolError(str(error)) from error
    except (EOFError, ConnectionError, ssl.SSLError, OSError) as error:
        if exchange.proxied and isinstance(error, EOFError):
            raise httpx.ProxyError("it closed the connection") from error
        raise httpx.ConnectError(str(error)) from error


def _unanswered(service: str, exchange: Exchange) -> NetworkError:
    host, port = exchange.peer or ("", 0)
    within = f"within {exchange.connection.connect_timeout:g} s"
    return NetworkError(service, f"{host}:{port} did not answer the handshake {within}")


def _answer(response: Response, target: _Target, service: str) -> Answer:
    headers = {name.lower(): value for name, value in response.headers.raw_items()}
    body = bytes(response.body or b"")
    return Answer(response.status_code, headers, body, target.host, service)


def _refusal(
    answer: Answer, target: _Target, read_failure: Callable[[Answer], AsrError | None]
) -> AsrError:
    error = None if 300 <= answer.status < 400 else read_failure(answer)
    error = error or status_error(answer, target.as_http)
    if error is None:
        return answer.unexpected(f"{target.host} does not speak WebSocket at this address")
    error.http_status = error.http_status or answer.status
    error.request_id = error.request_id or answer.request_id
    if error.retry_after is None:
        error.retry_after = retry_after(answer.headers)
    if getattr(error, "message", None):
        error.message = redact(error.message)  # type: ignore[attr-defined]
    return error
