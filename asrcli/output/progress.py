"""How far a run is, as its work reports it from any thread.

A `Progress` keeps what is known, and hands it to a display (see `displays`), after each change
and at regular ticks. The clock and the ticks are arguments.

What counts is audio, not inputs: one may be a hundred times longer than the next. How long an
input is becomes known when it is looked at, so the length of all is an estimate until then. Work
that had been paid for before is done at once; it tells nothing about how long the rest will take.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Protocol

from asrcli.errors import AsrError
from asrcli.output.pace import Pace

__all__ = ["Display", "Ended", "Item", "Progress", "State", "Ticker", "tick_in_thread"]

Ticker = Callable[[Callable[[], None], float], Callable[[], None]]
"""Calls a function every so many seconds until the function that it returned is called."""

_SAMPLE = 10
"""Inputs that must have been looked at before their mean stands for the others."""


@dataclass(frozen=True, slots=True)
class State:
    """What is known at a moment; durations are seconds of audio."""

    total: int
    duration: float | None = None
    """Of all inputs that have work in them; None until something is known of it."""
    duration_done: float = 0.0
    elapsed: float = 0.0
    done: int = 0
    """Inputs that ended: whole, partial, skipped and failed ones."""
    failed: int = 0
    name: str = ""
    """The input that was last heard of."""
    latest: str = ""
    """What was last heard in it, or what it is waiting for."""
    skipped: int = 0
    cancelled: int = 0
    """Given up because the run stops; neither done nor failed."""
    unheard: int = 0
    """Inputs that ended without a length: they have no part in `duration`."""
    estimated: bool = False
    """True while `duration` has a guess in it for inputs that nobody has looked at."""
    reused: float = 0.0
    """Of `duration_done` what had been paid for before."""
    rate: float | None = None
    """Seconds of audio for a second of the clock; None until it can be said."""
    seconds_left: float | None = None
    """Seconds of the clock until the end; None until it can be said."""
    in_flight: int = 0
    """Requests that wait for their answers."""
    bytes_sent: int = 0

    @property
    def share(self) -> float:
        """From 0 to 1: of the audio if its length is known, else of the inputs.

        An input that ended without a length, a skipped one for example, counts as the mean one.
        """
        if self.done >= self.total:
            return 1.0
        if not self.duration:
            return self.done / self.total
        each = self.duration / max(1, self.total - self.unheard)
        gone = each * self.unheard
        return min(1.0, (self.duration_done + gone) / (self.duration + gone))


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of one input."""

    name: str
    status: str
    """ok, partial, skipped, submitted, failed or cancelled."""
    seconds: float | None
    """Of audio; None if nobody found out."""
    elapsed: float
    """Seconds of the clock."""
    error: AsrError | str | None = None


class Display(Protocol):
    """Shows states. Each call comes under the lock of the console."""

    period: float
    """Seconds between ticks; 0 for none."""

    def show(self, state: State) -> None:
        """Show what has changed, if it is time to."""
        ...

    def tick(self, state: State) -> None:
        """Show how it is now, if it is time to."""
        ...

    def end(self, ended: Ended) -> None:
        """Tell what became of an input; `show` follows."""
        ...

    def pause(self) -> None:
        """Leave the screen to someone else."""
        ...

    def resume(self) -> None:
        """Come back."""
        ...

    def stop(self) -> None:
        """Leave for good, without a trace."""
        ...


class Progress:
    """The run as work reports it; a context in which it is shown.

    `duration` is the length of all inputs together, where the caller knows it.
    """

    def __init__(
        self,
        display: Display,
        lock: threading.RLock,
        *,
        total: int,
        duration: float | None,
        clock: Callable[[], float],
        ticker: Ticker,
    ) -> None:
        self._display = display
        self._lock = lock
        self._clock = clock
        self._ticker = ticker
        self._began = clock()
        self._duration = duration
        self._state = State(total, duration)
        self._pace = Pace()
        self._lengths = _Lengths()
        self._stop: Callable[[], None] = lambda: None

    def __enter__(self) -> Progress:
        if self._display.period:
            self._stop = self._ticker(self._tick, self._display.period)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._stop()  # not under the lock: a tick that waits for it has to end
        with self._lock:
            self._display.stop()

    def begin(self, name: str, *, duration: float | None = None) -> Item:
        """An input is being worked on; say the rest to what is returned."""
        with self._lock:
            item = Item(self, name, self._clock())
            if duration is not None:
                self.expect(item, duration)
            self._change(name=name, latest="")
        return item

    # --- what items report --------------------------------------------------------------------

    def report(
        self, item: Item, *, latest: str | None = None, in_flight: int = 0, sent: int = 0
    ) -> None:
        """What an item does, and the requests and bytes that it takes."""
        with self._lock:
            state = self._state
            self._change(
                name=item.name,
                latest=state.latest if latest is None else latest,
                in_flight=max(0, state.in_flight + in_flight),
                bytes_sent=state.bytes_sent + sent,
            )

    def traffic(self, *, in_flight: int = 0, sent: int = 0) -> None:
        """Requests began or ended, and bytes left, for whichever item."""
        with self._lock:
            state = self._state
            self._change(
                in_flight=max(0, state.in_flight + in_flight), bytes_sent=state.bytes_sent + sent
            )

    def expect(self, item: Item, seconds: float) -> None:
        """How long an item is; never less than what was heard of it."""
        with self._lock:
            seconds = max(seconds, item.heard)
            self._lengths.add(seconds - (item.duration or 0.0), new=item.duration is None)
            item.duration = seconds

    def advance(self, item: Item, seconds: float, *, free: bool) -> None:
        """More of an item is done."""
        with self._lock:
            now = self._clock()
            item.heard += seconds
            if item.duration is not None and item.heard > item.duration:
                self.expect(item, item.heard)
            if free:
                item.paid_since = now
            elif seconds > 0:
                self._pace.add(seconds, since=item.paid_since, now=now)
            state = self._state
            self._change(
                name=item.name,
                duration_done=state.duration_done + seconds,
                reused=state.reused + (seconds if free else 0.0),
            )

    def end(self, item: Item, status: str, error: AsrError | str | None) -> None:
        """An item is done with; only the first call for it counts."""
        with self._lock:
            if item.ended:
                return
            item.ended = True
            if status == "cancelled":
                self._set(cancelled=self._state.cancelled + 1, latest="")
            else:
                self._settle(item, status)
            elapsed = self._clock() - item.began
            self._display.end(Ended(item.name, status, item.duration, elapsed, error))
            self._display.show(self._state)

    def _settle(self, item: Item, status: str) -> None:
        """Count what is left of an input's audio as done: as work only where it was work."""
        if item.duration is None and item.heard:
            self.expect(item, item.heard)
        rest = 0.0 if item.duration is None else item.duration - item.heard
        # What one that reported its parts has left over at its end took no time of its own.
        if rest and not item.heard and status in {"ok", "partial"}:
            self._pace.add(rest, since=item.paid_since, now=self._clock())
        if item.duration is None:
            self._lengths.miss()
        state = self._state
        self._set(
            duration_done=state.duration_done + rest,
            done=state.done + 1,
            failed=state.failed + (status == "failed"),
            skipped=state.skipped + (status == "skipped"),
            unheard=self._lengths.unheard,
            latest="",
        )

    # --- the state ----------------------------------------------------------------------------

    def _change(self, **fields: Any) -> None:
        self._set(**fields)
        self._display.show(self._state)

    def _tick(self) -> None:
        with self._lock:
            self._set()
            self._display.tick(self._state)

    def _set(self, **fields: Any) -> None:
        """Change the state, and estimate anew what follows from it."""
        now, lengths, state = self._clock(), self._lengths, self._state
        duration, unknown = self._duration, 0
        if duration is None:
            unknown = max(0, state.total - lengths.count - lengths.unheard)
            duration = lengths.of_all(unknown)
        sure = unknown == 0 or lengths.count >= _SAMPLE
        rate = self._pace.rate(now)
        left = None
        if rate and sure and duration is not None:
            done = fields.get("duration_done", state.duration_done)
            left = max(0.0, duration - done) / rate
        self._state = replace(
            state,
            elapsed=now - self._began,
            duration=duration,
            estimated=unknown > 0 and duration is not None,
            rate=rate,
            seconds_left=left,
            **fields,
        )


class _Lengths:
    """The lengths of the inputs that were looked at."""

    def __init__(self) -> None:
        self._sum = 0.0
        self.count = 0
        self.unheard = 0
        """Inputs that ended before anybody could tell."""

    def add(self, seconds: float, *, new: bool) -> None:
        self._sum += seconds
        self.count += new

    def miss(self) -> None:
        self.unheard += 1

    def of_all(self, unknown: int) -> float | None:
        """Those known, and for each that is not yet their mean; None if none is known."""
        return self._sum * (1 + unknown / self.count) if self.count else None


class Item:
    """One input that is being worked on; its methods may be called from any thread.

    The attributes are those of `Progress`, which changes them under its lock.
    """

    def __init__(self, progress: Progress, name: str, now: float) -> None:
        self._progress = progress
        self.name = name
        self.began = now
        self.duration: float | None = None
        self.heard = 0.0
        self.paid_since = now
        """When the work that is not free began."""
        self.ended = False

    def expect(self, seconds: float) -> None:
        """So much audio it has; may be said again when more is known."""
        self._progress.expect(self, seconds)

    def advance(self, seconds: float, *, free: bool = False) -> None:
        """So many more seconds of its audio are done; `free` if they had been paid for before."""
        self._progress.advance(self, seconds, free=free)

    def in_flight(self, change: int) -> None:
        """So many more requests wait for their answers; less than 0 when answers came."""
        self._progress.report(self, in_flight=change)

    def sent(self, size: int) -> None:
        """So many more bytes were sent."""
        self._progress.report(self, sent=size)

    def partial(self, text: str) -> None:
        """Its text so far."""
        self._progress.report(self, latest=text)

    def status(self, text: str) -> None:
        """What it is doing: uploading, waiting, …"""
        self._progress.report(self, latest=text)

    def end(
        self,
        *,
        failed: bool = False,
        cancelled: bool = False,
        skipped: bool = False,
        partial: bool = False,
        submitted: bool = False,
        error: AsrError | str = "",
    ) -> None:
        """It is done with; what is left of its audio counts as done, unless it was cancelled.

        One that was cancelled has not failed, whatever else is said. Only the first call counts.
        """
        said = {
            "cancelled": cancelled,
            "failed": failed,
            "skipped": skipped,
            "submitted": submitted,
            "partial": partial,
        }
        status = next((word for word, true in said.items() if true), "ok")
        self._progress.end(self, status, error or None)


# --- time -------------------------------------------------------------------------------------


def tick_in_thread(tick: Callable[[], None], period: float) -> Callable[[], None]:
    """Tick every `period` seconds on a thread of its own."""
    over = threading.Event()

    def run() -> None:
        while not over.wait(period):
            tick()

    thread = threading.Thread(target=run, name="asrcli-progress", daemon=True)
    thread.start()

    def stop() -> None:
        over.set()
        thread.join(1.0)  # a terminal that was stopped by Ctrl-S does not hold up the end

    return stop
