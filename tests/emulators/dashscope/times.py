"""Times as the service writes them: China's, without a zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

__all__ = ["CHINA", "DAY", "day", "in_milliseconds", "in_seconds", "iso"]

CHINA = timezone(timedelta(hours=8))
DAY = 86_400.0


def in_seconds(moment: float) -> str:
    """`2026-11-02 10:15:00`; `moment` is in seconds of Unix time, as everywhere here."""
    return f"{datetime.fromtimestamp(moment, CHINA):%Y-%m-%d %H:%M:%S}"


def in_milliseconds(moment: float) -> str:
    """`2026-11-02 10:15:00.123`."""
    return f"{in_seconds(moment)}.{int(moment * 1000) % 1000:03d}"


def day(moment: float) -> str:
    """`2026-11-02`."""
    return f"{datetime.fromtimestamp(moment, CHINA):%Y-%m-%d}"


def iso(moment: float) -> str:
    """`2026-11-02T02:15:00.000Z`, as the policies of the object store have it."""
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%S.000Z}"
