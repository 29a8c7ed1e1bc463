"""What becomes of results: files, lines on standard output, and the count of it all."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from asrcli.core.inputs import Input
from asrcli.core.outputs import Destination, Target
from asrcli.core.recognize import Recognized
from asrcli.errors import AsrError
from asrcli.output import records, writers
from asrcli.output.console import Console
from asrcli.output.cues import CueShape
from asrcli.output.files import write_atomically
from asrcli.output.sanitize import for_json, for_text
from asrcli.providers.base import Job

__all__ = ["FINISHED", "Results", "Tally"]

FINISHED = "its results are there"
"""Why most inputs are skipped; any other reason is worth a line of its own."""


@dataclass(slots=True)
class Tally:
    """What became of the inputs so far."""

    statuses: list[int] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)
    """Names and messages of those that failed."""
    seconds: float = 0.0
    known_seconds: float = 0.0
    """Of them those that nothing had to be sent for."""
    billed: float | None = None

    def succeeded(self, recognized: Recognized) -> None:
        """An input has its transcript, or what there is of it."""
        transcript = recognized.transcript
        self.statuses.append(0 if recognized.error is None else 3)
        self.words.append("ok" if recognized.error is None else "partial")
        self.seconds += transcript.duration or 0.0
        if recognized.known:
            self.known_seconds += transcript.duration or 0.0
        elif transcript.billed_seconds is not None:
            self.billed = (self.billed or 0.0) + transcript.billed_seconds

    def detached(self) -> None:
        """An input has a job that nobody waits for here."""
        self.statuses.append(0)
        self.words.append("submitted")

    def skipped(self) -> None:
        """An input has its results from an earlier run."""
        self.statuses.append(0)
        self.words.append("skipped")

    def failed(self, name: str, error: AsrError) -> None:
        """An input has no transcript."""
        self.statuses.append(error.exit_status)
        self.words.append("failed")
        self.failures.append((name, str(error)))


@dataclass(slots=True)
class Results:
    """Writes and prints what was recognized."""

    console: Console
    destination: Destination
    shape: CueShape
    several: bool
    headings: bool = True
    _first: bool = True
    """True until something was printed."""

    @property
    def prints_records(self) -> bool:
        """True if standard output is one record an input, failures included."""
        return self.destination.to_stdout and self.destination.formats[0] == "jsonl"

    def write(
        self,
        found: Input,
        target: Target,
        recognized: Recognized,
        elapsed: float,
        *,
        replace: bool,
        announce: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Write one file, whole or not at all; raises OutputError.

        `announce` gets the SHA-256 of what the file will hold, before anything of it is there.
        """
        content = "".join(self._render(found, target.format, recognized, elapsed))
        announce(hashlib.sha256(content.encode("utf-8", "replace")).hexdigest())
        write_atomically(target.path, [content], overwrite=replace)

    def show(self, found: Input, recognized: Recognized, elapsed: float) -> None:
        """Print the result, if it goes to standard output, and say how it went."""
        transcript = recognized.transcript
        for warning in transcript.warnings:
            self.console.warning(f"{found.name}: {warning}")
        if self.destination.to_stdout:
            kind = self.destination.formats[0]
            if self.several and self.headings and kind != "jsonl":
                self.console.write_data([writers.heading(found.name, first=self._first)])
            self._first = False
            self.console.write_data(self._render(found, kind, recognized, elapsed))
        self.console.done(
            found.name, model=transcript.model, duration=transcript.duration, elapsed=elapsed
        )

    def show_detached(self, found: Input, job: Job) -> None:
        """Print the id of a job: with its input if there are several, as a record if asked."""
        if self.prints_records:
            record = records.detached_record(found.name, job.id, provider=job.provider)
            self.console.write_data([f"{for_json(record)}\n"])
            return
        name = f"\t{for_text(found.name)}" if self.several else ""
        self.console.write_data([f"{for_text(job.id)}{name}\n"])

    def show_skipped(self, found: Input, reason: str) -> None:
        """Say that there was nothing to do."""
        if self.prints_records:
            record = records.skipped_record(found.name, reason)
            self.console.write_data([f"{for_json(record)}\n"])
        if self.several and reason == FINISHED:
            self.console.detail(f"{found.name}: skipped, {reason}")
        else:
            self.console.note(f"{found.name}: skipped, {reason}; --overwrite writes it again")

    def show_failed(self, found: Input, error: AsrError) -> None:
        """Say why there is no result, in one line; one that only lacks pieces has a record."""
        if self.prints_records:
            record = records.failure_record(found.name, error)
            self.console.write_data([f"{for_json(record)}\n"])
        self.console.error(error, name=found.name if self.several else None)

    def _render(
        self, found: Input, kind: str, recognized: Recognized, elapsed: float
    ) -> Iterator[str]:
        return writers.render(
            kind,
            recognized.transcript,
            name=found.name,
            shape=self.shape,
            extra=_fields(recognized, elapsed),
        )


def _fields(recognized: Recognized, elapsed: float) -> Mapping[str, Any]:
    fields: dict[str, Any] = {"elapsed": elapsed, "route": str(recognized.route)}
    if recognized.known:
        fields["reused"] = True
    if recognized.error is not None:
        fields.update(status="partial", error=recognized.error)
    if (audio := recognized.audio) is not None:
        fields["source"] = {
            "bytes": audio.size,
            "duration": round(audio.duration, 3),
            "container": audio.container,
            "codec": audio.codec,
            "channels": audio.channels,
            "sample_rate": audio.sample_rate,
            "track": audio.track,
            "tracks": audio.tracks,
        }
    return fields
