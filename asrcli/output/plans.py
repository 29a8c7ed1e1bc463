"""What a run would do, as rows: for people, for scripts, for programs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from asrcli.output.displays import clock_time
from asrcli.output.records import plan_record, plan_total_record
from asrcli.output.sanitize import for_json, for_terminal, one_line
from asrcli.secret import redact

__all__ = [
    "COLUMNS",
    "FIELDS",
    "PlanRow",
    "PlanTotals",
    "plan_blocks",
    "plan_cells",
    "plan_fields",
    "plan_records",
    "plan_totals",
    "total_words",
]


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
    wait: float | None = None
    """Seconds that it takes at least, where a rate limit or a queue says so."""


@dataclass(frozen=True, slots=True)
class PlanTotals:
    """All inputs together; None where it is not known of one. What is known costs nothing."""

    inputs: int
    duration: float | None
    speech: float | None
    requests: int | None
    bytes: int | None
    cost: float | None
    seconds: float | None
    """That the requests take at least, at the rate that was asked for."""
    known: int = 0
    """Inputs that nothing has to be sent for."""


def plan_totals(rows: Iterable[PlanRow], *, rpm: float | None) -> PlanTotals:
    """The sums; `rpm` is how many requests a minute there may be."""
    rows = list(rows)
    new = [row for row in rows if not row.known]
    requests = _sum(row.requests for row in new)
    size = _sum(row.bytes for row in new)
    return PlanTotals(
        inputs=len(rows),
        duration=_sum(row.duration for row in rows),
        speech=_sum(row.duration if row.speech is None else row.speech for row in new),
        requests=None if requests is None else round(requests),
        bytes=None if size is None else round(size),
        cost=_sum(row.cost for row in new),
        seconds=requests * 60 / rpm if rpm and requests is not None else None,
        known=len(rows) - len(new),
    )


def _sum(values: Iterable[float | None]) -> float | None:
    total = 0.0
    for value in values:
        if value is None:
            return None
        total += value
    return total


# --- for a person -----------------------------------------------------------------------------

COLUMNS = ("input", "length", "speech", "model", "way", "requests", "bytes", "USD", "why")


def plan_cells(rows: Iterable[PlanRow], *, rpm: float | None) -> Iterator[Sequence[str]]:
    """The rows of a table under COLUMNS, and one for all of them together if there are several."""
    seen = list(rows)
    for row in seen:
        yield (
            redact(row.name),
            _clock(row.duration),
            _clock(row.speech),
            f"{row.model} ({row.provider})",
            row.route,
            _count(_sent(row, row.requests)),
            _count(_sent(row, row.bytes)),
            _cost(row),
            redact(row.why),
        )
    if len(seen) > 1 or rpm:
        total = plan_totals(seen, rpm=rpm)
        yield (
            _counted(total.inputs, "input"),
            _clock(total.duration),
            _clock(total.speech),
            "",
            "",
            _count(total.requests),
            _count(total.bytes),
            _dollars(total.cost),
            _wait(total.seconds, "at this rate"),
        )


def plan_blocks(rows: Iterable[PlanRow], *, rpm: float | None) -> Iterator[str]:
    """The same for a narrow terminal: an input is a line, and what is known of it are others."""
    seen: list[PlanRow] = []
    for row in rows:
        seen.append(row)
        speech = "" if row.speech is None else f", {_clock(row.speech)} of speech"
        pieces = f" in {row.pieces:,} pieces" if row.pieces and row.pieces > 1 else ""
        yield _block(
            row.name,
            f"{_clock(row.duration)} of audio{speech}{pieces}",
            f"{row.model} ({row.provider}): {row.route}",
            f"{_counted(_sent(row, row.requests), 'request')}, "
            f"{_counted(_sent(row, row.bytes), 'byte')}",
            f"USD: {_cost(row)}",
            _wait(row.wait),
            row.why,
        )
    if len(seen) > 1 or rpm:
        total = plan_totals(seen, rpm=rpm)
        yield _block(total_words(total), _wait(total.seconds, "at this rate"))


def _block(head: str, *lines: str) -> str:
    shown = [for_terminal(one_line(redact(head)))]
    shown += [f"  {for_terminal(one_line(redact(line)))}" for line in lines if line]
    return "\n".join(shown) + "\n"


def total_words(total: PlanTotals) -> str:
    """The sums in a line."""
    cost = "price unknown" if total.cost is None else f"{_dollars(total.cost)} USD"
    known = f"{total.known} known already, " if total.known else ""
    return (
        f"{_counted(total.inputs, 'input')}, {known}"
        f"{_clock(total.duration)} of audio, {_clock(total.speech)} to be sent, "
        f"{_counted(total.requests, 'request')}, {_counted(total.bytes, 'byte')}, {cost}"
    )


def _wait(seconds: float | None, why: str = "") -> str:
    return f"at least {_clock(seconds)} {why}".rstrip() if seconds else ""


def _clock(seconds: float | None) -> str:
    return "?" if seconds is None else clock_time(seconds)


def _count(value: float | None) -> str:
    return "?" if value is None else f"{value:,.0f}"


def _sent(row: PlanRow, value: int | None) -> int | None:
    return 0 if row.known else value


def _counted(value: float | None, word: str) -> str:
    return f"{_count(value)} {word}{'s' * (value != 1)}"


def _cost(row: PlanRow) -> str:
    return "0 (known)" if row.known else _dollars(row.cost)


def _dollars(value: float | None) -> str:
    return "price unknown" if value is None else f"{value:.4f}"


# --- for scripts and programs -----------------------------------------------------------------

_FIELDS: dict[str, Callable[[PlanRow], object]] = {
    "name": lambda row: redact(row.name),
    "duration": lambda row: row.duration,
    "speech": lambda row: row.speech,
    "provider": lambda row: row.provider,
    "model": lambda row: row.model,
    "route": lambda row: row.route,
    "pieces": lambda row: row.pieces,
    "requests": lambda row: row.requests,
    "bytes": lambda row: row.bytes,
    "cost": lambda row: row.cost,
    "known": lambda row: row.known,
    "wait": lambda row: row.wait,
    "why": lambda row: redact(row.why),
}
FIELDS = tuple(_FIELDS)


def plan_fields(row: PlanRow) -> Sequence[str]:
    """A row under FIELDS: seconds and dollars as numbers, nothing where nothing is known."""
    return [_field(read(row)) for read in _FIELDS.values()]


def _field(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.6f}".rstrip("0").rstrip(".")
        case _:
            return str(value)


def plan_records(rows: Iterable[PlanRow], *, rpm: float | None) -> Iterator[str]:
    """One JSON object an input, and a last one for all of them together."""
    seen: list[PlanRow] = []
    for row in rows:
        seen.append(row)
        yield f"{for_json(plan_record(row))}\n"
    yield f"{for_json(plan_total_record(plan_totals(seen, rpm=rpm)))}\n"
