"""From a provider's name to the provider, with its key, its host and its manners."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from asrcli.errors import ConfigurationError, UsageError
from asrcli.providers.base import API, JobProvider, Model, Provider
from asrcli.settings import Settings
from asrcli.transport.connection import Connection
from asrcli.transport.retry import Retrier

__all__ = ["can_run", "engine_problem", "make", "works_by_jobs"]


_CALLED = frozenset(
    {
        *(API.ONEMIN, API.SYNC, API.SYNC_FLASH, API.CHAT, API.JOB, API.JOB_LIST),
        *(API.OPENAI, API.EMBEDDED),
    }
)


def can_run(model: Model) -> bool:
    """True for a model that this version knows how to call."""
    return model.api in _CALLED


def works_by_jobs(provider: Provider) -> JobProvider | None:
    """The provider as one that also works by jobs; None if it does not."""
    return cast("JobProvider", provider) if hasattr(provider, "submit") else None


def engine_problem() -> str | None:
    """Why the embedded engine cannot run here, or None if it can."""
    from asrcli.providers.local import available

    return available()


def make(
    name: str,
    settings: Settings,
    connection: Connection,
    *,
    retrier: Callable[[], Retrier],
    wait: Callable[[float], None],
) -> Provider:
    """The provider of that name; raises KeyMissingError or ConfigurationError.

    `wait` sleeps, and wakes up when the run is given up.
    """
    if name == "local":
        from asrcli.providers.local import Local

        return Local()
    if name == "qwen":
        from asrcli.providers.qwen.hosts import find_hosts
        from asrcli.providers.qwen.provider import Qwen

        key = settings.require_key("qwen")
        return Qwen(
            key.value,
            find_hosts(settings),
            connection,
            retrier=retrier(),
            key_place=key.place,
        )
    if name == "onemin":
        from asrcli.providers.onemin import DEFAULT_BASE_URL, OneMin

        key = settings.require_key("onemin")
        base = settings.base_url("onemin")
        return OneMin(
            key.value,
            connection,
            retrier=retrier(),
            base_url=base.value if base else DEFAULT_BASE_URL,
            wait=wait,
            key_place=key.place,
        )
    if name == "openai":
        return _openai(settings, connection, retrier())
    raise UsageError(f"there is no provider {name!r}")


def _openai(settings: Settings, connection: Connection, retrier: Retrier) -> Provider:
    """Raises ConfigurationError without a host: none is taken for granted, since the key may be."""
    from asrcli.providers.openai_compatible import OpenAICompatible

    base = settings.base_url("openai")
    if base is None:
        raise ConfigurationError(
            "openai has no base URL", hint="Set OPENAI_BASE_URL or --base-url: https://HOST/v1."
        )
    key = settings.key("openai")
    return OpenAICompatible(
        key.value if key else None,
        base.value,
        connection,
        retrier=retrier,
        key_place=key.place if key else None,
    )
