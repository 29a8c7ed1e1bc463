"""One run of `transcribe`: choose, check everything that can be checked, work, write."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asrcli.cli.choosing import known_provider, nearest
from asrcli.cli.session import Session, stdin, stdin_is_terminal
from asrcli.core.batch import Done, exit_status, run
from asrcli.core.inputs import Filter, Input, expand
from asrcli.core.outputs import Destination, Target, prepare_folders, refuse_existing
from asrcli.core.prepare import Changes
from asrcli.core.recognize import Recognized, Recognizer
from asrcli.core.select import Choice, Need, choose, explain
from asrcli.errors import AsrError, ConfigurationError, UsageError
from asrcli.output import records, writers
from asrcli.output.cues import CueShape
from asrcli.output.files import write_atomically
from asrcli.providers.base import Feature, Options
from asrcli.providers.registry import can_run
from asrcli.settings import PROVIDERS

__all__ = ["Request", "Run", "read_prompt"]

_TIMED = frozenset({"srt", "vtt", "tsv"})
"""Formats that make no sense without times."""
_PROMPT_BYTES = 200_000


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of the recognizer, in the user's own words."""

    model: str
    provider: str | None
    language: str | None
    itn: bool | None
    emotion: bool
    words: bool
    prompt: str | None

    def features(self, formats: Sequence[str]) -> frozenset[Feature]:
        """What a model must be able to do to serve this."""
        wanted = {
            Feature.EMOTION: self.emotion,
            Feature.WORDS: self.words,
            Feature.PROMPT: bool(self.prompt),
            Feature.TIMES: bool(_TIMED & set(formats)),
        }
        return frozenset(feature for feature, asked in wanted.items() if asked)


@dataclass(frozen=True, slots=True)
class Written:
    """What became of one input."""

    status: int
    seconds: float = 0.0
    """Of audio."""


class Run:
    """A run over some inputs; `__call__` gives its exit status."""

    def __init__(
        self,
        session: Session,
        *,
        output: str | None,
        formats: Sequence[str],
        overwrite: bool,
        headings: bool,
        shape: CueShape,
        fail_fast: bool,
    ) -> None:
        self._session = session
        self._console = session.console
        self._output = output
        self._formats = [_known_format(name) for name in formats]
        self._overwrite = overwrite
        self._headings = headings
        self._shape = shape
        self._fail_fast = fail_fast

    def __call__(
        self, names: Iterable[str], which: Filter, request: Request, changes: Changes, track: int
    ) -> int:
        """Transcribe everything that is named; errors that concern all inputs are raised."""
        inputs = list(expand(names, which))
        if not inputs:
            raise UsageError("nothing to transcribe", hint="Name a file, a folder, or - for stdin.")
        if any(i.is_stdin for i in inputs) and stdin_is_terminal():
            raise UsageError(
                "standard input is a terminal, and nothing comes from it",
                hint="Pipe a recording into it, or name a file.",
            )
        destination = self._destination(inputs)
        choice = self._choose(request, inputs, destination)
        targets = self._targets(destination, inputs)
        recognizer = self._recognizer(choice, request, changes, track)
        return self._work(inputs, targets, recognizer, destination)

    # --- before anything is sent --------------------------------------------------------------

    def _destination(self, inputs: Sequence[Input]) -> Destination:
        by_suffix = None
        if self._output and self._output != "-":
            by_suffix = writers.format_of(Path(self._output).suffix)
        destination = Destination.choose(
            self._output, self._formats, several=len(inputs) > 1, by_suffix=by_suffix
        )
        if destination.to_stdout:
            self._console.check_stdout()
        return destination

    def _choose(
        self, request: Request, inputs: Sequence[Input], destination: Destination
    ) -> Choice:
        provider = known_provider(request.provider) or _provider_of(inputs)
        if self._session.network.base_url and provider is None:
            raise UsageError("--base-url needs to know whose it is", hint="Add -p NAME.")
        settings = self._session.settings
        choice = choose(
            Need(
                model=request.model,
                provider=provider,
                language=request.language,
                features=request.features(destination.formats),
                itn=request.itn,
            ),
            usable={name: settings.usable(name) for name in PROVIDERS},
            can_run=can_run,
        )
        self._console.detail(explain(choice))
        for warning in choice.warnings:
            self._console.note(warning)
        return choice

    def _targets(self, destination: Destination, inputs: Sequence[Input]) -> list[list[Target]]:
        suffixes = {name: writers.suffix_of(name) for name in writers.FORMATS}
        targets = destination.targets(inputs, suffixes)
        flat = [target for each in targets for target in each]
        if not self._overwrite:
            refuse_existing(flat)
        prepare_folders(flat)
        return targets

    def _recognizer(
        self, choice: Choice, request: Request, changes: Changes, track: int
    ) -> Recognizer:
        if choice.model.provider == "local" and self._session.network.base_url:
            raise UsageError("local has no base URL")
        options = Options(
            language=choice.language,
            itn=request.itn,
            prompt=request.prompt,
            words=request.words,
            emotion=request.emotion,
        )
        return Recognizer(
            choice=choice,
            provider=self._session.provider(choice.model.provider),
            options=options,
            changes=changes,
            folder=self._session.folder,
            track=track,
            stdin=stdin(),
            detail=self._console.detail,
        )

    # --- the work -----------------------------------------------------------------------------

    def _work(
        self,
        inputs: Sequence[Input],
        targets: Sequence[Sequence[Target]],
        recognizer: Recognizer,
        destination: Destination,
    ) -> int:
        several = len(inputs) > 1
        statuses = []
        with self._console.progress(total=len(inputs)) as progress:

            def work(item: tuple[Input, Sequence[Target]]) -> tuple[Recognized, float]:
                started = time.monotonic()
                found = recognizer.recognize(item[0], on_text=progress.on_text)
                return found, time.monotonic() - started

            pairs = list(zip(inputs, targets, strict=True))
            workers = self._session.network.calls
            for done in run(
                pairs, work, workers=workers, stop=self._session.stop, fail_fast=self._fail_fast
            ):
                statuses.append(self._finish(done, destination, several=several))
                progress.advance(_seconds(done), failed=statuses[-1] != 0)
        return exit_status(statuses, several=several)

    def _finish(
        self,
        done: Done[tuple[Input, Sequence[Target]], tuple[Recognized, float]],
        destination: Destination,
        *,
        several: bool,
    ) -> int:
        found, targets = done.item
        error = done.error
        if error is None and done.result is not None:
            try:
                self._write(found, targets, *done.result, destination, several=several)
            except AsrError as failure:
                self._session.stop.set()
                error = failure
            else:
                return 0
        if error is None:
            return 3  # not begun, because another one stopped the run
        if destination.to_stdout and destination.formats[0] == "jsonl":
            self._console.write_data([records.line(records.failure_record(found.name, error))])
        self._console.error(error, name=found.name if several else None)
        return error.exit_status

    def _write(
        self,
        found: Input,
        targets: Sequence[Target],
        recognized: Recognized,
        elapsed: float,
        destination: Destination,
        *,
        several: bool,
    ) -> None:
        transcript = recognized.transcript
        for warning in transcript.warnings:
            self._console.warning(f"{found.name}: {warning}")
        extra = _extra(recognized, elapsed)

        def render(kind: str) -> Iterator[str]:
            return writers.render(kind, transcript, name=found.name, shape=self._shape, extra=extra)

        for target in targets:
            write_atomically(target.path, render(target.format), overwrite=self._overwrite)
        if destination.to_stdout:
            kind = destination.formats[0]
            if several and self._headings and kind != "jsonl":
                self._console.heading(found.name)
            self._console.write_data(render(kind))
        self._console.done(found.name, transcript, elapsed=elapsed)


def _extra(recognized: Recognized, elapsed: float) -> Mapping[str, Any]:
    extra: dict[str, Any] = {"elapsed": round(elapsed, 3)}
    if (audio := recognized.audio) is not None:
        extra["source"] = {
            "bytes": audio.size,
            "container": audio.container,
            "codec": audio.codec,
            "channels": audio.channels,
            "sample_rate": audio.sample_rate,
            "track": audio.track,
            "tracks": audio.tracks,
        }
    return extra


def _seconds(done: Done[Any, tuple[Recognized, float]]) -> float:
    return (done.result[0].transcript.duration or 0.0) if done.result else 0.0


def _known_format(name: str) -> str:
    if name not in writers.FORMATS:
        raise UsageError(f"there is no format {name!r}", hint=nearest(name, writers.FORMATS))
    return name


def _provider_of(inputs: Sequence[Input]) -> str | None:
    names = {i.reference.provider for i in inputs if i.reference and i.reference.provider}
    if len(names) > 1:
        raise UsageError("references of several providers cannot go to one", hint="Run twice.")
    return next(iter(names), None)


def read_prompt(text: str | None) -> str | None:
    """The prompt itself, from the file that `@FILE` names where it does."""
    if text is None or not text.startswith("@"):
        return text
    try:
        content = Path(text[1:]).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read the prompt {text[1:]}: {error.strerror}") from error
    if len(content) > _PROMPT_BYTES:
        raise ConfigurationError(f"the prompt {text[1:]} is too long: {len(content):,} bytes")
    return content.decode("utf-8-sig", "replace").strip()
