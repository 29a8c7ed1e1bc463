"""Threads that work off what they are given, and never keep a program from ending."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

__all__ = ["Workers"]

T = TypeVar("T")


class Workers:
    """At most `count` threads, begun as they are needed; first come, first served.

    They are daemons: those of `concurrent.futures` are waited for at the end of the program, and
    a call to a service may take minutes.
    """

    def __init__(self, count: int, *, name: str) -> None:
        self._count = count
        self._name = name
        self._todo: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._busy = 0
        self._closed = False

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Have it done; whatever it raises comes out of the future."""
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001 - whoever asks for the result gets it
                future.set_exception(error)

        with self._lock:
            if self._closed:
                raise RuntimeError("these workers have been sent home")
            self._busy += 1
            if self._threads < min(self._count, self._busy):
                self._threads += 1
                threading.Thread(target=self._labor, name=self._name, daemon=True).start()
        self._todo.put(run)
        return future

    def close(self) -> None:
        """Begin nothing else; what is under way is not waited for."""
        with self._lock:
            self._closed = True
            threads = self._threads
        for _ in range(threads):
            self._todo.put(None)

    def _labor(self) -> None:
        while (run := self._todo.get()) is not None:
            run()
            run = None  # it may hold a piece of a recording, and the next one may be long in coming
            with self._lock:
                self._busy -= 1
