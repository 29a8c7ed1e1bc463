"""pocketsphinx, with the model of its wheel: https://pypi.org/project/pocketsphinx."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["Engine", "Heard"]

_FRAMES_PER_SECOND = 100
_BEAM = 3000
"""HMMs per frame: two thirds of the time of the default, at the same word error rate."""
_LEAST = 3_200
"""Bytes (100 ms): there is no word in less, and the decoder fails at nothing at all."""
_NO_WORD = re.compile(r"<.*>|\[.*\]|\+\+.*\+\+")
_ALTERNATIVE = re.compile(r"\(\d+\)$")


class Heard(NamedTuple):
    """A word; times are seconds from the start of what was decoded."""

    text: str
    start: float
    end: float
    confidence: float


class Engine:
    """A decoder. It holds Python's lock while it works, and serves one thread at a time."""

    def __init__(self) -> None:
        from pocketsphinx import Decoder

        self._decoder = Decoder(maxhmmpf=_BEAM, loglevel="FATAL")

    def decode(self, pcm: bytes) -> list[Heard]:
        """Recognize 16-bit mono PCM at 16 kHz; no words if there is too little of it."""
        if len(pcm) < _LEAST:
            return []
        # The noise estimate outlives an utterance: without this, what is heard would depend on
        # what was heard before.
        self._decoder.reinit_feat()
        self._decoder.start_utt()
        # As a whole, and not block by block: it is normalized over the whole utterance.
        self._decoder.process_raw(pcm, full_utt=True)
        self._decoder.end_utt()
        if self._decoder.hyp() is None:
            return []
        return [
            Heard(
                _ALTERNATIVE.sub("", segment.word),
                segment.start_frame / _FRAMES_PER_SECOND,
                (segment.end_frame + 1) / _FRAMES_PER_SECOND,
                round(min(max(segment.prob, 0.0), 1.0), 3),
            )
            for segment in self._decoder.seg()
            if not _NO_WORD.fullmatch(segment.word)
        ]
