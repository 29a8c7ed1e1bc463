"""What is expected of each format for `transcript.json`; run it to write the expected files anew.

    python -m tests.golden.rewrite

The change to them is then read like code.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from asrcli.output.cues import CueShape
from asrcli.output.writers import FORMATS, render, suffix_of
from asrcli.transcript import Segment, Timing, Transcript, Word

FOLDER = Path(__file__).parent


def transcript() -> Transcript:
    """The transcript that all expected files are made from."""
    value = json.loads((FOLDER / "transcript.json").read_text(encoding="utf-8"))
    segments = tuple(_segment(segment) for segment in value.pop("segments"))
    ids, warnings = tuple(value.pop("request_ids")), tuple(value.pop("warnings"))
    return Transcript(segments, request_ids=ids, warnings=warnings, **value)


def expected(kind: str) -> Path:
    """The file with what is expected of a format."""
    return FOLDER / f"talk{suffix_of(kind)}"


def written(kind: str) -> str:
    """What is written now."""
    source = {"bytes": 1328044, "duration": 41.5, "container": "wav", "channels": 1}
    extra = {"elapsed": 3.25, "source": source}
    return "".join(render(kind, transcript(), name="talks/talk.wav", shape=CueShape(), extra=extra))


def _segment(value: dict[str, Any]) -> Segment:
    words = tuple(Word(**word) for word in value.pop("words", ()))
    return Segment(words=words, timing=Timing(value.pop("timing")), **value)


if __name__ == "__main__":
    for name in FORMATS:
        expected(name).write_bytes(written(name).encode())
