"""Taking in sound on a thread of its own, since a microphone waits for nobody."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from asrcli.core.waking import Waker

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

__all__ = ["Capture"]

_TICK = 0.5
_JOIN = 1.0


class Capture:
    """Hands block after block to `take`, on its thread; wakes `waker` after each.

    While `full`, no more is taken in; `drained` says that this may have changed.
    """

    def __init__(
        self, take: Callable[[Samples], None], *, full: Callable[[], bool], waker: Waker
    ) -> None:
        self.error: BaseException | None = None
        """What the blocks ended with, if not by themselves."""
        self._take = take
        self._full = full
        self._waker = waker
        self._stopping = False
        self._ended = False
        self._drained = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def over(self) -> bool:
        """True when no other block counts."""
        return self._ended or self._stopping

    def start(self, blocks: Iterable[Samples]) -> None:
        """Begin."""
        # A daemon: a microphone that hangs must not keep the program.
        self._thread = threading.Thread(
            target=self._run, args=(blocks,), name="asrcli-capture", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Take in no more; by any thread or signal handler."""
        self._stopping = True
        self._waker.wake()

    def drained(self) -> None:
        """Look again if there is room."""
        self._drained.set()

    def join(self) -> None:
        """Stop, and wait a moment for the thread."""
        self.stop()
        self._drained.set()
        if self._thread is not None:
            self._thread.join(_JOIN)

    def _run(self, blocks: Iterable[Samples]) -> None:
        try:
            for block in blocks:
                if self._stopping:
                    break
                self._take(block)
                self._waker.wake()
                self._wait_for_room()
        except BaseException as error:  # noqa: BLE001 - told, or raised, by whoever listens
            self.error = error
        finally:
            self._ended = True
            self._waker.wake()

    def _wait_for_room(self) -> None:
        while not self._stopping:
            self._drained.clear()
            if not self._full():
                return
            self._drained.wait(_TICK)
