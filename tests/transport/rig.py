"""What the tests of this package share: a clock that nobody waits for, clients, certificates."""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asrcli.errors import AsrError
from asrcli.secret import Secret
from asrcli.transport.connection import Connection
from asrcli.transport.http import Answer, HTTPClient
from asrcli.transport.retry import Retrier, RetryPolicy
from asrcli.transport.sockets import Backend
from asrcli.transport.throttle import Throttle
from asrcli.transport.wire import Wire

if TYPE_CHECKING:
    import httpx
    import trustme

KEY = "sk-canary-0123456789abcdef"


class FakeTime:
    """A clock that moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.slept.append(seconds)
        self.now += seconds

    @property
    def waited(self) -> float:
        return sum(self.slept)


def make_retrier(
    time: FakeTime,
    *,
    policy: RetryPolicy | None = None,
    limit: int = 4,
    rpm: float | None = None,
    on_wait: Callable[[str, float], None] = lambda _reason, _seconds: None,
    cancelled: Callable[[], bool] = lambda: False,
    random: Callable[[], float] = lambda: 1.0,
) -> Retrier:
    throttle = Throttle(limit, rpm=rpm, clock=time.clock, sleep=time.sleep, on_wait=on_wait)
    return Retrier(
        policy or RetryPolicy(),
        throttle=throttle,
        clock=time.clock,
        sleep=time.sleep,
        random=random,
        cancelled=cancelled,
    )


def connection(**settings: Any) -> Connection:
    """Small limits, and no variable of the machine that runs the tests."""
    return Connection(**{"environ": {}, "connect_timeout": 5.0, "timeout": 20.0, **settings})


def no_failure(answer: Answer) -> AsrError | None:
    """A service without words of its own for failures."""
    return None


def make_client(
    url: str,
    *,
    settings: Connection | None = None,
    retrier: Retrier | None = None,
    read_failure: Callable[[Answer], AsrError | None] = no_failure,
    transport: httpx.BaseTransport | None = None,
    headers: dict[str, str | Secret] | None = None,
) -> HTTPClient:
    return HTTPClient(
        "svc",
        url,
        {"Authorization": Secret(KEY)} if headers is None else headers,
        settings or connection(),
        retrier=retrier or make_retrier(FakeTime()),
        read_failure=read_failure,
        transport=transport,
    )


def pointing(settings: Connection, **names: Sequence[str] | OSError) -> Wire:
    """A transport for which names (`a_b` for `a.b`) have the addresses given, or an error."""
    from socket import SOCK_STREAM, AddressFamily

    def resolve(host: str, port: int) -> list[tuple[Any, ...]]:
        found = names.get(host.replace(".", "_"), ["127.0.0.1"])
        if isinstance(found, OSError):
            raise found
        families = {True: AddressFamily.AF_INET6, False: AddressFamily.AF_INET}
        return [(families[":" in ip], SOCK_STREAM, 6, "", (ip, port)) for ip in found]

    return Wire(settings, backend=Backend(resolve))


def server_context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def self_signed_context(authority: trustme.CA) -> ssl.SSLContext:
    """The authority's own certificate as that of a server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "both.pem"
        path.write_bytes(authority.private_key_pem.bytes() + authority.cert_pem.bytes())
        context.load_cert_chain(path)
    return context
