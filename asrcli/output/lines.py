"""The text of segments as one line, in pieces: however long it is, it is never copied whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from asrcli.output.sanitize import for_text
from asrcli.transcript import Segment, join_texts

__all__ = ["line_chunks", "slices"]

_SLICE = 64 * 1024


def line_chunks(segments: Iterable[Segment]) -> Iterator[str]:
    """The segments joined as `join_texts` joins; nothing at all if there is no text."""
    last = ""  # the character that decides whether a space follows
    for segment in segments:
        if text := for_text(segment.text):
            if last and len(join_texts((last, text[0]))) > 2:
                yield " "
            yield from slices(text)
            last = text[-1]


def slices(text: str) -> Iterator[str]:
    """The text in parts of a bounded size."""
    if len(text) <= _SLICE:
        yield text
    else:
        yield from (text[at : at + _SLICE] for at in range(0, len(text), _SLICE))
