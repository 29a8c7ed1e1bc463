"""Talk with one child that runs `asrcli.media.decoder`: a job goes out, an answer comes in.

Nothing that comes is believed: a child that was broken by a hostile file may say anything.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import asrcli.errors
from asrcli.errors import AsrError, InputError, MissingHelperError, UsageError
from asrcli.media.children import Child
from asrcli.media.decoder import DONE, ERROR, FAILURE, HEAD, SAMPLES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

__all__ = ["BrokenError", "Decoder", "Limits"]

_MOST_TEXT = 1 << 20
"""Bytes of an answer that is not samples."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long we wait for a child, in seconds; while it waits for us, no clock runs."""

    base: float = 60.0
    share: float = 0.2
    """Of the length of the recording, on top of `base`."""
    quiet: float = 60.0
    """Without any sound from it."""


class BrokenError(Exception):
    """A child did not do its job; says why as a clause."""


class Decoder:
    """A child that runs `asrcli.media.decoder`, and the job it has."""

    def __init__(self, child: Child, clock: Callable[[], float]) -> None:
        self.child = child
        self.jobs = 0
        self.rests = True
        """True if it has no job, or has done it as it should."""
        self._clock = clock
        self._limits = Limits()
        self._seconds = 0.0
        self._looking = 0.0
        self._waited = 0.0
        self._quiet = 0.0

    def begin(
        self,
        path: Path,
        job: dict[str, Any],
        limits: Limits,
        *,
        seconds: float = 0.0,
        looking: float = 0.0,
    ) -> None:
        """Send a job; raises BrokenError.

        `seconds` is how long the recording lasts, `looking` how long it takes to read.
        """
        self.jobs += 1
        self.rests = False
        self._limits, self._seconds, self._looking = limits, seconds, looking
        self._waited = self._quiet = 0.0
        job = job | {"path": str(path.absolute())}
        try:
            self.child.send(json.dumps(job).encode() + b"\n")
        except OSError:
            raise BrokenError(f"its decoder {self.child.fate()}") from None

    def load(self) -> None:
        """Have it load its libraries; a job may follow at once."""
        with suppress(OSError):  # it is gone, which the job will tell
            self.child.send(b'{"do": "load"}\n')

    def blocks(self, size: int, sample_rate: int) -> Iterator[Samples]:
        """Blocks of at most `size` samples, until the answer is complete."""
        import numpy  # noqa: F401, ICN001 - while the child loads its libraries, too

        count = 0
        while True:
            kind, length = self._part()
            if kind != SAMPLES:
                break
            block = self._samples(length, size)
            count += len(block)
            self._seconds = max(self._seconds, count / sample_rate)
            yield block
        if self._last(kind, length).get("samples") != count:
            self._break("its decoder lost count")

    def answer(self) -> dict[str, Any]:
        """The last part of an answer; raises the error that it may be."""
        return self._last(*self._part())

    def _last(self, kind: bytes, length: int) -> dict[str, Any]:
        if kind not in {DONE, ERROR, FAILURE} or length > _MOST_TEXT:
            self._break("its decoder gave no answer")
        content = bytearray(length)
        self._read(memoryview(content))
        try:
            said = json.loads(content)
        except ValueError:
            self._break("its decoder gave no answer")
        if kind == FAILURE:
            self._break(str(said)[:500])
        if not isinstance(said, dict):
            self._break("its decoder gave no answer")
        self.rests = True
        if kind == ERROR:
            raise self._error(said)
        return said

    def _error(self, said: dict[str, Any]) -> AsrError:
        """An error as it was raised in the child: class, sentence, hint and data."""
        kind: Any = getattr(asrcli.errors, str(said.get("class")), None)
        try:
            if not issubclass(kind, (InputError, UsageError, MissingHelperError)):
                raise TypeError
            error: AsrError = kind.__new__(kind, *said["args"])
            vars(error).update(said["state"])
        except (KeyError, TypeError, ValueError):
            self._break("its decoder gave no answer")
        return error

    def _samples(self, length: int, size: int) -> Samples:
        import numpy as np

        count, odd = divmod(length, 4)
        if odd or not 0 < count <= size:
            self._break("its decoder gave no answer")
        block = np.empty(count, dtype=np.float32)
        self._read(block.view(np.uint8).data)
        return block

    def _part(self) -> tuple[bytes, int]:
        head = bytearray(HEAD.size)
        self._read(memoryview(head))
        kind, length = HEAD.unpack(head)
        return kind, length

    def _read(self, target: memoryview) -> None:
        """Fill `target`; raises BrokenError if the child ends before, or takes too long."""
        while target:
            began = self._clock()
            try:
                count = self.child.receive_into(target, self._patience())
            except TimeoutError:
                self._wait(began)
                self._break(f"its decoder was stopped after {self._waited:,.1f} s of waiting")
            except OSError:
                count = 0
            if not count:
                self._break(f"its decoder {self.child.fate()}")
            self._wait(began)
            self._quiet = 0.0
            target = target[count:]

    def _wait(self, began: float) -> None:
        seconds = self._clock() - began
        self._waited += seconds
        self._quiet += seconds

    def _patience(self) -> float:
        limits = self._limits
        total = limits.base + limits.share * self._seconds + self._looking
        quiet = limits.quiet + self._looking
        return max(0.0, min(total - self._waited, quiet - self._quiet))

    def _break(self, why: str) -> NoReturn:
        self.rests = False
        raise BrokenError(why)
