"""What live recognition tells, on its way to a screen, a pipe or a file.

Text for a pipe goes out final by final. A file is there from the first final on: it is replaced as
a whole now and then, so that a machine that loses its power leaves the text up to a moment ago.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from asrcli.core.live_events import Final, Gap, LiveEvent, Note, Partial, Status
from asrcli.errors import AsrError
from asrcli.output.console import Console
from asrcli.output.cues import CueShape
from asrcli.output.files import write_atomically
from asrcli.output.live_lines import LiveLines, plain_line, screen_line
from asrcli.output.records import final_record, partial_record
from asrcli.output.sanitize import for_json, for_text
from asrcli.output.writers import render
from asrcli.transcript import Segment, Timing, Transcript

__all__ = ["FORMATS", "Captions", "Sink"]

FORMATS = ("text", "jsonl", "srt")
_SAVED_EVERY = 10.0
"""Seconds from one writing of the file to the next."""
_SHORTEST = 0.1
"""Seconds that a final lasts at least."""


@dataclass(frozen=True, slots=True)
class Sink:
    """What is written, and where."""

    format: str = "text"
    path: Path | None = None
    """None prints."""
    partials: bool = True
    overwrite: bool = False


class Captions:
    """Takes the events of one stream; any thread may call."""

    def __init__(
        self,
        console: Console,
        lines: LiveLines,
        sink: Sink,
        *,
        provider: str,
        model: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console
        self._lines = lines
        self._sink = sink
        self._by = (provider, model)
        self._clock = clock
        self._lock = threading.RLock()
        self._finals: list[Segment] = []
        self._saved: int | None = None
        """How many finals are in the file, if there is one of ours."""
        self._saved_at = clock()
        self._seconds = 0.0

    @property
    def transcript(self) -> Transcript:
        """All finals."""
        provider, model = self._by
        return Transcript(tuple(self._finals), provider=provider, model=model)

    @property
    def saved(self) -> bool:
        """True once the file is one that was written here."""
        return self._saved is not None

    def level(self, level: float, seconds: float) -> None:
        """How loud it is, in dBFS, and how many seconds were heard so far."""
        self._seconds = seconds
        self._lines.level(level, seconds)

    def __call__(self, event: LiveEvent) -> None:
        """Show or write it; raises OutputError, and BrokenPipeError if nobody reads any more."""
        with self._lock:
            match event:
                case Partial():
                    self._partial(event)
                case Final():
                    self._final(event)
                case Gap(start, end, reason):
                    self.warn(f"no text from {start:.1f} s to {end:.1f} s: {reason}")
                case Status(state, lag, service):
                    self._lines.status(str(state), lag=lag, service=service)
                case Note(_, message):
                    self.note(message)

    def warn(self, text: str) -> None:
        """Say something above the lines."""
        with self._lines.above():
            self._console.warning(text)

    def note(self, text: str) -> None:
        """The same, of less weight."""
        with self._lines.above():
            self._console.note(text)

    def error(self, error: AsrError) -> None:
        """The same, of the most."""
        with self._lines.above():
            self._console.error(error)

    def close(self) -> None:
        """Write what is written at the end; raises as a call does."""
        with self._lock:
            if self._sink.path is not None:
                self._save()
            elif self._sink.format == "srt":
                self._console.write_data(self._rendered())

    # --- events ---------------------------------------------------------------------------------

    def _partial(self, event: Partial) -> None:
        if not self._sink.partials:
            return
        if self._streams("jsonl"):
            segment = Segment(event.text, start=event.start)
            self._print([_line(partial_record(segment, index=len(self._finals)))])
        self._lines.partial(event.text)

    def _final(self, event: Final) -> None:
        segment = event.segment
        if not for_text(segment.text):
            return
        record = final_record(segment, index=len(self._finals))
        self._finals.append(self._bounded(segment) if self._sink.format == "srt" else segment)
        if self._streams("jsonl"):
            self._print([_line({**record, "complete": event.complete})], final=True)
        elif self._streams("text"):
            watched = self._console.stdout_is_terminal
            shown = screen_line(segment) if watched else plain_line(segment)
            self._print([f"{shown}\n"], final=True)
        else:
            self._echo(segment)
        if self._sink.path is not None and self._clock() - self._saved_at >= _SAVED_EVERY:
            self._save()

    def _bounded(self, segment: Segment) -> Segment:
        """With the bounds between which it was said, where the service gave no times."""
        if segment.start is not None and segment.end is not None:
            return segment
        before = self._finals[-1].end or 0.0 if self._finals else 0.0
        start = before if segment.start is None else segment.start
        end = max(self._seconds, start + _SHORTEST)
        return replace(segment, start=start, end=end, timing=Timing.PIECE, words=())

    def _streams(self, name: str) -> bool:
        return self._sink.path is None and self._sink.format == name

    def _print(self, chunks: list[str], *, final: bool = False) -> None:
        with self._lines.above(final=final):
            self._console.write_data(chunks)

    def _echo(self, segment: Segment) -> None:
        """Show someone who watches what goes to a file, or comes at the end."""
        with self._lines.above(final=True):
            if self._lines.active:
                self._lines.write(f"{screen_line(segment)}\n")

    # --- files ----------------------------------------------------------------------------------

    def _save(self) -> None:
        path, self._saved_at = self._sink.path, self._clock()
        if path is None or self._saved == len(self._finals):
            return
        ours = self._saved is not None
        write_atomically(path, self._rendered(), overwrite=self._sink.overwrite or ours)
        self._saved = len(self._finals)

    def _rendered(self) -> Iterator[str]:
        match self._sink.format:
            case "srt":
                return render("srt", self.transcript, name="", shape=CueShape())
            case "jsonl":
                return (
                    _line(final_record(segment, index=index))
                    for index, segment in enumerate(self._finals)
                )
            case _:
                return (f"{plain_line(segment)}\n" for segment in self._finals)


def _line(record: dict[str, Any]) -> str:
    return f"{for_json(record)}\n"
