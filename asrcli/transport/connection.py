"""What every call to a service keeps to: its limits, its certificates, its way through the network.

Also the rules for the URLs that calls go to. Nothing here opens a socket or imports a package.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urlsplit, urlunsplit

from asrcli import __version__
from asrcli.errors import ConfigurationError

__all__ = [
    "MOST_CONNECTIONS",
    "Connection",
    "check_base_url",
    "check_link",
    "host_and_port",
    "is_loopback",
    "is_public",
    "join_url",
    "mask_url",
    "may_be_public",
]

MOST_CONNECTIONS = 64
"""Beyond it httpx spends its time on its pool, and services on refusing us."""

_PORTS = {"http": 80, "https": 443}
_UNSAFE = re.compile(r"[\x00-\x20\x7f-\x9f\\<>\"`{}|^]")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Connection:
    """The settings of the network, the same for every client of a run. Times are seconds.

    Deadlines are kept by a monotonic clock: the time for which a process is stopped counts, that
    for which a Linux machine sleeps does not.
    """

    timeout: float | None = 600.0
    """From the start of one call to the end of its answer; 0 or None for no such limit."""
    connect_timeout: float = 10.0
    """For finding the host, reaching it and agreeing on keys, together."""
    idle_timeout: float = 60.0
    """Without a byte sent, or without one received once the answer has begun."""
    min_speed: float = 100.0
    """Bytes a second, over any `idle_timeout`; less than that is as good as nothing."""
    ca_bundle: Path | None = None
    """A file or a folder of the authorities to trust, in place of the usual ones."""
    insecure_http: bool = False
    """Plain http is fine for more than loopback."""
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    """Where proxies and certificates are looked up; not shown, since it may hold keys."""
    user_agent: str = f"asrcli/{__version__}"
    max_connections: int = 4
    offline: bool = False
    """Any call ends in a UsageError before a socket is opened."""

    def __post_init__(self) -> None:
        if not 1 <= self.max_connections <= MOST_CONNECTIONS:
            raise ValueError(f"max_connections must be 1 to {MOST_CONNECTIONS}")


def check_base_url(url: str, *, insecure_http: bool = False) -> str:
    """The URL without slash at its end, and with a path that was doubled put right.

    Raises ConfigurationError for one that cannot be used, or that would carry a key in the open.
    """
    parts = _split(url.strip())
    host = parts.hostname or ""
    if parts.username or parts.password:
        raise ConfigurationError(
            f"the base URL {mask_url(url)} holds a user or a password",
            hint="A key has a place of its own: a variable, or config.toml.",
        )
    if parts.query or parts.fragment:
        raise ConfigurationError(f"the base URL {mask_url(url)} must end with its path")
    if parts.scheme == "http" and not (insecure_http or is_loopback(host)):
        raise ConfigurationError(
            f"{mask_url(url)} is plain http: everyone on the way could read key and recording",
            hint="Use https, or accept that with --insecure-http.",
        )
    segments = [segment for segment in parts.path.split("/") if segment]
    half = len(segments) // 2
    if segments and segments[:half] == segments[half:]:
        segments = segments[:half]
    return urlunsplit((parts.scheme, parts.netloc, "/".join(["", *segments]), "", ""))


def check_link(url: str, *, insecure_http: bool = False, private: bool = False) -> None:
    """Check a URL that somebody else gave us; raises ValueError, whose text says what it is.

    It must be https (http only to loopback) without user or password, and, unless `private`, name
    no host that is plainly not open to everyone; what a name leads to is seen when it is called.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError("no URL") from error
    host = (parts.hostname or "").rstrip(".")
    if parts.scheme not in _PORTS or not host or port == 0 or _UNSAFE.search(url):
        raise ValueError("no URL of the web")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a URL with a user or a password")
    if not private and not may_be_public(host):
        raise ValueError(f"a URL of a private network ({host})")
    if parts.scheme == "http" and not (insecure_http or is_loopback(host)):
        raise ValueError("a URL of plain http")


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigurationError(f"{mask_url(url)} is no URL: {error}") from error
    known = parts.scheme in _PORTS
    if not known and "://" not in url:
        raise ConfigurationError(
            f"the base URL {mask_url(url)} has no scheme", hint="Begin it with https://."
        )
    if not known or not parts.hostname or port == 0 or _UNSAFE.search(url):
        raise ConfigurationError(f"{mask_url(url)} is no URL of a web service")
    return parts


def join_url(base: str, path: str) -> str:
    """`path` under `base`; what the base already ends with is not said again.

    A slash at the end of `path` is kept: to some services it is another place.
    A base of `…/v1/audio/transcriptions` and one of `…/v1` lead to the same place.
    """
    parts = urlsplit(base)
    start = [segment for segment in parts.path.split("/") if segment]
    end = [segment for segment in path.split("/") if segment]
    shared = next((n for n in range(min(len(start), len(end)), 0, -1) if start[-n:] == end[:n]), 0)
    whole = "/".join(["", *start, *end[shared:]]) + ("/" if end and path.endswith("/") else "")
    return urlunsplit((parts.scheme, parts.netloc, whole, "", ""))


def host_and_port(url: str) -> tuple[str, int]:
    """Where a checked URL leads."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)


def mask_url(url: str) -> str:
    """The URL fit to be shown: no user, no password, and `?…` for its query."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "…"
    host = parts.netloc.rpartition("@")[2]
    shown = urlunsplit((parts.scheme, host, parts.path, "", ""))
    shown = "".join(c if c.isprintable() else "�" for c in shown)
    return shown + ("?…" if parts.query else "")


def is_loopback(host: str) -> bool:
    """True for a name or an address of this computer."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def may_be_public(host: str) -> bool:
    """False for a name or an address that is plainly not open to everyone."""
    if is_loopback(host):
        return False
    try:
        return is_public(host)
    except ValueError:
        return not host.lower().endswith((".local", ".internal", ".localdomain"))


def is_public(address: str) -> bool:
    """True for an IP address that is open to everyone: not private, local or reserved."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        ip = inner or ip
    return ip.is_global and not ip.is_multicast
