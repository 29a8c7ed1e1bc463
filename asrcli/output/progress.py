"""How far a run is, as its work reports it from any thread.

A `Progress` keeps what is known, and hands it to a display (see `displays`), after each change
and at regular ticks. The clock and the ticks are arguments.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Protocol

__all__ = ["Display", "Item", "Progress", "State", "Ticker", "tick_in_thread"]

Ticker = Callable[[Callable[[], None], float], Callable[[], None]]
"""Calls a function every so many seconds until the function that it returned is called."""


@dataclass(frozen=True, slots=True)
class State:
    """What is known at a moment; durations are seconds of audio."""

    total: int
    duration: float | None = None
    duration_done: float = 0.0
    elapsed: float = 0.0
    done: int = 0
    failed: int = 0
    name: str = ""
    """The input that was last heard of."""
    latest: str = ""
    """What was last heard in it, or what it is waiting for."""

    @property
    def share(self) -> float:
        """From 0 to 1: of the audio if all durations are known, else of the inputs."""
        if self.done >= self.total:
            return 1.0
        if self.duration:
            return min(1.0, self.duration_done / self.duration)
        return self.done / self.total


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
    """The run as work reports it; a context in which it is shown."""

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
        self._state = State(total, duration)
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
        self.change(name=name, latest="")
        return Item(self, name, duration)

    def change(
        self,
        *,
        name: str | None = None,
        latest: str | None = None,
        heard: float = 0.0,
        ended: bool = False,
        failed: bool = False,
    ) -> None:
        """Something happened: more audio was heard, an input ended, …"""
        with self._lock:
            state = self._state
            self._state = replace(
                state,
                name=state.name if name is None else name,
                latest=state.latest if latest is None else latest,
                duration_done=state.duration_done + heard,
                elapsed=self._clock() - self._began,
                done=state.done + ended,
                failed=state.failed + failed,
            )
            self._display.show(self._state)

    def _tick(self) -> None:
        with self._lock:
            self._state = replace(self._state, elapsed=self._clock() - self._began)
            self._display.tick(self._state)


class Item:
    """One input that is being worked on."""

    def __init__(self, progress: Progress, name: str, duration: float | None) -> None:
        self._progress = progress
        self._name = name
        self._duration = duration
        self._heard = 0.0

    def expect(self, seconds: float) -> None:
        """So much audio it has."""
        self._duration = seconds

    def advance(self, seconds: float, *, free: bool = False) -> None:  # noqa: ARG002
        """So many more seconds of its audio are done; `free` if they had been paid for before."""
        self._heard += seconds
        self._progress.change(name=self._name, heard=seconds)

    def partial(self, text: str) -> None:
        """Its text so far."""
        self._progress.change(name=self._name, latest=text)

    def status(self, text: str) -> None:
        """What it is doing: uploading, waiting, …"""
        self._progress.change(name=self._name, latest=text)

    def end(
        self,
        *,
        failed: bool = False,
        cancelled: bool = False,
        skipped: bool = False,  # noqa: ARG002
        error: str = "",  # noqa: ARG002
    ) -> None:
        """It is done with; what is left of its audio counts as done."""
        failed = failed and not cancelled
        rest = max(0.0, (self._duration or 0.0) - self._heard)
        self._progress.change(heard=rest, ended=True, failed=failed, latest="")


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
