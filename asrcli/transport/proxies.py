"""Which proxy a URL goes through, by the variables that curl and others know.

`https_proxy`, `http_proxy` and `all_proxy`, each in small or capital letters, and `no_proxy`.
Loopback is never asked of a proxy: its loopback is not ours, and keys go there unencrypted.
"""

from __future__ import annotations

import importlib.util
import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from asrcli.errors import ConfigurationError
from asrcli.secret import Secret
from asrcli.transport.connection import is_loopback

__all__ = ["Proxy", "find_proxy"]

_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy, and the variable that names it."""

    variable: str
    scheme: str
    host: str
    port: int
    login: Secret | None
    """`user:password`."""

    @property
    def socks(self) -> bool:
        """True if it speaks SOCKS, False if HTTP."""
        return self.scheme.startswith("socks")


def find_proxy(
    scheme: str,
    host: str,
    port: int,
    environ: Mapping[str, str],
    *,
    installed: Callable[[str], bool] = lambda name: importlib.util.find_spec(name) is not None,
) -> Proxy | None:
    """The proxy for a host, or None for the direct way.

    Raises ConfigurationError, which names the variable, for a value that is no proxy and for a
    SOCKS proxy without the package that SOCKS needs; `installed` says if a module can be imported.
    """
    if is_loopback(host) or _excepted(host, port, environ):
        return None
    for variable in _variables(scheme, environ):
        if value := environ.get(variable, "").strip():
            proxy = _read(variable, value)
            if proxy.socks and not installed("socksio"):
                raise ConfigurationError(
                    f"{variable} names a SOCKS proxy, and the package for SOCKS is not installed",
                    hint="pip install 'asrcli[socks]'",
                )
            return proxy
    return None


def _variables(scheme: str, environ: Mapping[str, str]) -> Iterator[str]:
    yield f"{scheme}_proxy"
    # In a CGI program it is what a client sent as its header `Proxy:` (CVE-2016-1000110).
    if scheme != "http" or "REQUEST_METHOD" not in environ:
        yield f"{scheme.upper()}_PROXY"
    yield from ("all_proxy", "ALL_PROXY")


def _read(variable: str, value: str) -> Proxy:
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        port = parts.port
    except ValueError:
        raise _unusable(variable, value) from None
    clean = not re.search(r"[\x00-\x20\x7f]", value)
    if parts.scheme not in _PORTS or not parts.hostname or port == 0 or not clean:
        raise _unusable(variable, value)
    login = None
    if parts.username is not None:
        login = Secret(f"{unquote(parts.username)}:{unquote(parts.password or '')}")
        Secret(unquote(parts.password or ""))  # known from here on, so that it is blotted out
    return Proxy(variable, parts.scheme, parts.hostname, port or _PORTS[parts.scheme], login)


def _unusable(variable: str, value: str) -> ConfigurationError:
    shown = re.sub(r"(://)?[^/]*@", r"\1", value)  # no user, no password
    shown = "".join(c if c.isprintable() else "�" for c in shown)[:100]
    return ConfigurationError(
        f"{variable} holds no proxy that can be used: {shown!r}",
        hint="A proxy is http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT.",
    )


def _excepted(host: str, port: int, environ: Mapping[str, str]) -> bool:
    value = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    return any(_matches(entry, host.lower(), port) for entry in re.split(r"[\s,]+", value) if entry)


def _matches(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    if match := re.fullmatch(r"(\[[^\]]*\]|[^:]*):(\d+)", entry):
        if int(match[2]) != port:
            return False
        entry = match[1]
    name = entry.strip("[]").lower().removeprefix("*").removeprefix(".")
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(name, strict=False)
    except ValueError:
        return bool(name) and (host == name or host.endswith(f".{name}"))
