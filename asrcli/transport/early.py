"""Load what the first call needs while there is still something else to wait for."""

from __future__ import annotations

from importlib import import_module

__all__ = ["load"]


def load() -> None:
    """Import the packages and modules of a call; it is quick if that was done before."""
    for name in ("httpx", "httpcore", "asrcli.transport.http", "asrcli.transport.wire"):
        import_module(name)
