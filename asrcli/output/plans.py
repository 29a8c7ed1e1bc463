"""What a run would do, as rows: for people, for scripts, for programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from asrcli.output.displays import clock_time
from asrcli.output.sanitize import for_json

__all__ = ["COLUMNS", "PlanRow", "plan_cells", "plan_records"]


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One input; None is what is not known before it is done."""

    name: str
    model: str
    provider: str
    route: str
    why: str
    duration: float | None = None
    speech: float | None = None
    """Seconds that would be sent."""
    pieces: int | None = None
    requests: int | None = None
    bytes: int | None = None
    cost: float | None = None
    """US dollars."""
    known: bool = False
    """Nothing has to be sent: it was answered before."""


COLUMNS = ("input", "length", "speech", "model", "way", "requests", "bytes", "USD", "why")


def plan_cells(rows: Iterable[PlanRow], *, rpm: float | None) -> Iterator[Sequence[str]]:
    """The rows of a table under COLUMNS, and one for all of them together if there are several."""
    seen: list[PlanRow] = []
    for row in rows:
        seen.append(row)
        yield (
            row.name,
            _clock(row.duration),
            _clock(row.speech),
            f"{row.model} ({row.provider})",
            row.route,
            _count(row.requests),
            _count(row.bytes),
            "0 (known)" if row.known else _cost(row.cost),
            row.why,
        )
    if len(seen) > 1 or rpm:
        total = _total(seen, rpm)
        wait = f"at least {_clock(total['seconds'])} at this rate" if total["seconds"] else ""
        yield (
            f"{len(seen)} inputs", _clock(total["duration"]), _clock(total["speech"]), "", "",
            _count(total["requests"]), _count(total["bytes"]), _cost(total["cost"]), wait,
        )  # fmt: skip


def plan_records(rows: Iterable[PlanRow], *, rpm: float | None) -> Iterator[str]:
    """One JSON object an input, and a last one for all of them together."""
    seen: list[PlanRow] = []
    for row in rows:
        seen.append(row)
        yield f"{for_json({'v': 1, 'type': 'plan', **asdict(row)})}\n"
    yield f"{for_json({'v': 1, 'type': 'plan_total', **_total(seen, rpm)})}\n"


def _total(rows: Sequence[PlanRow], rpm: float | None) -> dict[str, Any]:
    """Sums; None where something is not known. What is known already costs nothing."""
    new = [row for row in rows if not row.known]
    requests = _sum([row.requests for row in new])
    return {
        "inputs": len(rows),
        "duration": _sum([row.duration for row in rows]),
        "speech": _sum([row.speech or row.duration for row in new]),
        "requests": requests,
        "bytes": _sum([row.bytes for row in new]),
        "cost": _sum([row.cost for row in new]),
        "seconds": requests * 60 / rpm if rpm and requests is not None else None,
    }


def _sum(values: Sequence[float | None]) -> float | None:
    return None if None in values else sum(value for value in values if value is not None)


def _clock(seconds: float | None) -> str:
    return "?" if seconds is None else clock_time(seconds)


def _count(value: float | None) -> str:
    return "?" if value is None else f"{value:,.0f}"


def _cost(value: float | None) -> str:
    return "price unknown" if value is None else f"{value:.4f}"
