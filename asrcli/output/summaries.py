"""What a run of several inputs came to, in words for a person.

`rows` is the table that a terminal gets at the end, `sentence` the line that a log gets. Both
read the record of the summary, and leave out what is zero or not known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from asrcli.output.displays import clock_time

__all__ = ["failure_rows", "rows", "sentence"]

_FAILURES = 10
_WORDS = (
    ("ok", "ok"),
    ("partial", "partial"),
    ("skipped", "skipped"),
    ("submitted", "submitted"),
    ("failed", "failed"),
    ("not_begun", "not begun"),
)


def rows(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What it is and how much, for each line of the table."""
    for key, word in _WORDS:
        if record.get(key):
            yield word, f"{record[key]:,} of {record['total']:,}"
    duration, reused = record.get("duration") or 0.0, record.get("reused_seconds") or 0.0
    if duration:
        yield "audio", clock_time(duration)
    if reused:
        yield "reused", f"{clock_time(reused)} of it, paid for before"
    yield "wall time", clock_time(record["elapsed"])
    if speed := _speed(record):
        yield "speed", f"{speed} x real time"
    if record.get("requests") is not None:
        yield "requests", f"{record['requests']:,}"
    if record.get("bytes_sent") is not None:
        yield "sent", size_words(record["bytes_sent"])
    if cost := _cost(record):
        yield "cost", cost


def failure_rows(failures: Sequence[tuple[str, str]], *, failed: int) -> Iterator[tuple[str, str]]:
    """The first failures by name, and how many more there are."""
    shown = failures[:_FAILURES]
    yield from shown
    if shown and (more := max(failed, len(failures)) - len(shown)):
        yield f"and {more:,} more", ""


def sentence(record: Mapping[str, Any]) -> str:
    """The same in a line."""
    parts = [f"{record[key]:,} {word}" for key, word in _WORDS if record.get(key)]
    told = f"{record['total']:,} inputs: {', '.join(parts) or 'nothing done'}"
    facts = []
    if duration := record.get("duration"):
        facts.append(f"{clock_time(duration)} of audio in {clock_time(record['elapsed'])}")
    if speed := _speed(record):
        facts.append(f"{speed} x real time")
    if reused := record.get("reused_seconds"):
        facts.append(f"{clock_time(reused)} of it paid for before")
    if record.get("requests") is not None:
        facts.append(f"{record['requests']:,} requests")
    if record.get("bytes_sent"):
        facts.append(f"{size_words(record['bytes_sent'])} sent")
    if cost := _cost(record):
        facts.append(cost)
    return "; ".join(filter(None, [told, ", ".join(facts)]))


def size_words(size: float) -> str:
    """Bytes in the unit that reads best; 1 MB is 1,000,000 bytes."""
    if size < 1000:
        return f"{size:.0f} bytes"
    for unit in ("kB", "MB", "GB"):
        size /= 1000
        if size < 999.95:
            return f"{size:.1f} {unit}"
    return f"{size / 1000:.1f} TB"


def _speed(record: Mapping[str, Any]) -> str:
    """Of what was not taken from the state; empty where there is nothing to tell."""
    new = (record.get("duration") or 0.0) - (record.get("reused_seconds") or 0.0)
    if new <= 0 or not record["elapsed"]:
        return ""
    speed = new / record["elapsed"]
    return f"{speed:.0f}" if speed >= 10 else f"{speed:.1f}"


def _cost(record: Mapping[str, Any]) -> str:
    """Empty where nothing was sent; the price of what was is an estimate."""
    if not record.get("requests"):
        return ""
    if not record.get("cost_known") or record.get("cost") is None:
        return "price unknown"
    return f"about {record['cost']:.4f} USD"
