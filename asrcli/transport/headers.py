"""The headers of a request; the only place where a key is taken out of its `Secret`."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping

from asrcli.errors import ConfigurationError
from asrcli.secret import Secret

__all__ = ["ALLOWED_WITHOUT_KEY", "build_headers", "login"]

ALLOWED_WITHOUT_KEY = frozenset({"accept", "range"})
"""What a caller may add to a call to a host that is not the service's own."""

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r"[\t\x20-\x7e]*")


def build_headers(headers: Mapping[str, str | Secret]) -> dict[str, str]:
    """The headers as they are sent; an empty Secret is left out.

    A Secret under `Authorization` becomes `Bearer …`, one under `Proxy-Authorization` (`user:pass`)
    becomes `Basic …`. Raises ConfigurationError for what would end the header early.
    """
    built = {}
    for name, value in headers.items():
        if isinstance(value, Secret) and not value:
            continue
        text = _revealed(name.lower(), value) if isinstance(value, Secret) else value
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(text):
            raise ConfigurationError(f"the header {name!r} holds characters that no header has")
        built[name] = text
    return built


def login(secret: Secret) -> tuple[bytes, bytes]:
    """User and password of a SOCKS proxy, kept as `user:password`."""
    user, _, password = secret.reveal().partition(":")
    return user.encode(), password.encode()


def _revealed(name: str, secret: Secret) -> str:
    value = secret.reveal()
    if name == "authorization":
        return f"Bearer {value}"
    if name == "proxy-authorization":
        return f"Basic {base64.b64encode(value.encode()).decode()}"
    return value
