"""Many inputs at once: workers, order, and what a failure stops.

The workers are daemon threads: when a run is given up, nothing waits for a call under way.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from asrcli.errors import AsrError

__all__ = ["Done", "exit_status", "run"]

T = TypeVar("T")
R = TypeVar("R")

_RUN_CLASSES = (8, 4, 5, 11, 10)
"""Exit statuses that beat the others in a run of several inputs, the strongest first."""
_AHEAD = 2
"""Inputs that are begun or wait for their turn, for each worker."""
_TICK = 0.2
"""Seconds; a wait without an end cannot be interrupted on every system."""


@dataclass(frozen=True, slots=True)
class Done(Generic[T, R]):
    """An input that was worked on: its result, its error, or neither if the run stopped first."""

    item: T
    result: R | None = None
    error: AsrError | None = None


@dataclass(slots=True)
class _Slot(Generic[T, R]):
    item: T
    ready: bool = False
    result: R | None = None
    error: BaseException | None = None


def run(
    items: Iterable[T],
    work: Callable[[T], R],
    *,
    workers: int,
    stop: threading.Event,
    fail_fast: bool = False,
    ordered: bool = True,
) -> Iterator[Done[T, R]]:
    """Work on all items, `workers` at a time; give them back in their own order, or as they finish.

    Results that wait for their turn are bounded, so a slow reader slows the work. An error with
    `stops_run`, or any with `fail_fast`, sets `stop`: what is under way is finished, nothing else
    is begun. An error that is none of ours is raised.
    """
    todo: queue.SimpleQueue[_Slot[T, R] | None] = queue.SimpleQueue()
    waiting: deque[_Slot[T, R]] = deque()
    finished = threading.Condition()
    threads = 0
    source = iter(items)
    try:
        while True:
            while len(waiting) < _AHEAD * workers:
                try:
                    slot: _Slot[T, R] = _Slot(next(source))
                except StopIteration:
                    break
                waiting.append(slot)
                todo.put(slot)
                if threads < min(workers, len(waiting)):
                    threads += 1
                    arguments = (todo, work, finished, stop, fail_fast)
                    threading.Thread(target=_labor, args=arguments, daemon=True).start()
            if not waiting:
                return
            yield _done(_next(waiting, finished, ordered=ordered))
    finally:
        for _ in range(threads):
            todo.put(None)


def _next(
    waiting: deque[_Slot[T, R]], finished: threading.Condition, *, ordered: bool
) -> _Slot[T, R]:
    """Take out the first slot, or the first that is ready; waits for it."""
    candidates = 1 if ordered else len(waiting)
    with finished:
        while True:
            for place in range(candidates):
                if waiting[place].ready:
                    slot = waiting[place]
                    del waiting[place]
                    return slot
            finished.wait(_TICK)


def _labor(
    todo: queue.SimpleQueue[_Slot[T, R] | None],
    work: Callable[[T], R],
    finished: threading.Condition,
    stop: threading.Event,
    fail_fast: bool,  # noqa: FBT001 - a thread's arguments have no names
) -> None:
    while (slot := todo.get()) is not None:
        if not stop.is_set():
            try:
                slot.result = work(slot.item)
            except BaseException as error:  # noqa: BLE001 - `_done` raises it where it is seen
                slot.error = error
                if not isinstance(error, AsrError) or error.stops_run or fail_fast:
                    stop.set()
        with finished:
            slot.ready = True
            finished.notify_all()


def _done(slot: _Slot[T, R]) -> Done[T, R]:
    if slot.error is not None and not isinstance(slot.error, AsrError):
        raise slot.error
    return Done(slot.item, slot.result, slot.error)


def exit_status(statuses: Iterable[int], *, several: bool) -> int:
    """The exit status of a run from those of its inputs (0 for one that is whole)."""
    failed = [status for status in statuses if status]
    if not failed:
        return 0
    if not several:
        return failed[0]
    return next((status for status in _RUN_CLASSES if status in failed), 3)
