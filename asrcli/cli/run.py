"""One run of `transcribe`: choose, check everything that can be checked, work, write."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asrcli.cli.choosing import known_provider, nearest
from asrcli.cli.session import Session, require_stdout, stdin, stdin_is_terminal
from asrcli.core.batch import Done, exit_status, run
from asrcli.core.inputs import Filter, Input, expand
from asrcli.core.outputs import Destination, Target, prepare_folders, refuse_inputs
from asrcli.core.prepare import Changes
from asrcli.core.recognize import Recognized, Recognizer
from asrcli.core.select import Choice, Need, choose, explain
from asrcli.errors import AsrError, ConfigurationError, FeatureError, UsageError
from asrcli.output import records, writers
from asrcli.output.cues import CueShape
from asrcli.output.files import check_target, sweep, write_atomically
from asrcli.output.sanitize import for_json
from asrcli.providers.base import Feature, Model, Options
from asrcli.providers.catalogue import models
from asrcli.providers.registry import can_run
from asrcli.settings import PROVIDERS
from asrcli.transcript import Transcript

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
            require_stdout()
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
                features=request.features(destination.formats) | _taken_as(inputs),
                itn=request.itn,
            ),
            usable={name: settings.usable(name) for name in PROVIDERS},
            can_run=can_run,
        )
        self._refuse_untimed(choice.model, destination)
        self._console.detail(explain(choice))
        for warning in choice.warnings:
            self._console.note(warning)
        return choice

    def _refuse_untimed(self, model: Model, destination: Destination) -> None:
        timed = _TIMED.intersection(destination.formats)
        if timed and Feature.TIMES not in model.features:
            instead = [m.id for m in models() if Feature.TIMES in m.features and can_run(m)]
            raise FeatureError(f"{min(timed)}: it gives no times", model.id, instead)

    def _targets(self, destination: Destination, inputs: Sequence[Input]) -> list[list[Target]]:
        suffixes = {name: writers.suffix_of(name) for name in writers.FORMATS}
        targets = destination.targets(inputs, suffixes)
        flat = [target for each in targets for target in each]
        refuse_inputs(flat, inputs)
        for target in flat:
            check_target(target.path, overwrite=self._overwrite)
        prepare_folders(flat)
        for folder in dict.fromkeys(target.path.parent for target in flat):
            sweep(folder, now=time.time())
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
        began = time.monotonic()
        several = len(inputs) > 1
        tally = _Tally()
        with self._console.progress(len(inputs)) as progress:

            def work(item: _Pair) -> _Worked:
                shown = progress.begin(item[0].name)
                started = time.monotonic()
                try:
                    on_text = shown.partial if self._partials(several=several) else None
                    found = recognizer.recognize(item[0], on_text=on_text)
                except BaseException:
                    shown.end(failed=True)
                    raise
                shown.end()
                return found, time.monotonic() - started

            for done in run(
                list(zip(inputs, targets, strict=True)),
                work,
                workers=self._session.network.calls,
                stop=self._session.stop,
                fail_fast=self._fail_fast,
            ):
                self._finish(done, destination, tally, several=several)
        status = exit_status(tally.statuses, several=several)
        left = len(inputs) - len(tally.words)
        if left:
            self._console.warning(f"{left} of {len(inputs)} inputs were not begun")
        self._console.summary(
            records.summary_record(
                tally.words,
                total=len(inputs),
                exit_status=status,
                elapsed=time.monotonic() - began,
                duration=tally.seconds,
                billed_seconds=tally.billed,
            )
        )
        return status

    def _partials(self, *, several: bool) -> bool:
        """Text that is still coming is asked for only where somebody sees it."""
        return self._console.stderr_is_terminal and not several

    def _finish(
        self,
        done: Done[_Pair, _Worked],
        destination: Destination,
        tally: _Tally,
        *,
        several: bool,
    ) -> None:
        found, targets = done.item
        error = done.error
        if error is None and done.result is not None:
            try:
                self._write(found, targets, *done.result, destination, tally, several=several)
            except AsrError as failure:
                self._session.stop.set()
                error = failure
            else:
                tally.succeeded(done.result[0].transcript)
                return
        if error is None or error.code == "cancelled":
            tally.statuses.append(3)  # not begun, because another one stopped the run
            return
        tally.failed(error)
        if destination.to_stdout and destination.formats[0] == "jsonl":
            self._console.write_data([f"{for_json(records.failure_record(found.name, error))}\n"])
        self._console.error(error, name=found.name if several else None)

    def _write(
        self,
        found: Input,
        targets: Sequence[Target],
        recognized: Recognized,
        elapsed: float,
        destination: Destination,
        tally: _Tally,
        *,
        several: bool,
    ) -> None:
        transcript = recognized.transcript
        for warning in transcript.warnings:
            self._console.warning(f"{found.name}: {warning}")
        fields = _fields(recognized, elapsed)

        def render(kind: str) -> Iterator[str]:
            return writers.render(
                kind, transcript, name=found.name, shape=self._shape, extra=fields
            )

        for target in targets:
            write_atomically(target.path, render(target.format), overwrite=self._overwrite)
        if destination.to_stdout:
            kind = destination.formats[0]
            if several and self._headings and kind != "jsonl":
                self._console.write_data([writers.heading(found.name, first=tally.first)])
            tally.first = False
            self._console.write_data(render(kind))
        self._console.done(
            found.name, model=transcript.model, duration=transcript.duration, elapsed=elapsed
        )


_Pair = tuple[Input, Sequence[Target]]
_Worked = tuple[Recognized, float]


@dataclass(slots=True)
class _Tally:
    """What became of the inputs so far."""

    statuses: list[int] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    seconds: float = 0.0
    billed: float | None = None
    first: bool = True
    """True until something was printed."""

    def succeeded(self, transcript: Transcript) -> None:
        self.statuses.append(0)
        self.words.append("ok")
        self.seconds += transcript.duration or 0.0
        if transcript.billed_seconds is not None:
            self.billed = (self.billed or 0.0) + transcript.billed_seconds

    def failed(self, error: AsrError) -> None:
        self.statuses.append(error.exit_status)
        self.words.append("failed")


def _fields(recognized: Recognized, elapsed: float) -> Mapping[str, Any]:
    fields: dict[str, Any] = {"elapsed": elapsed}
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


def _known_format(name: str) -> str:
    if name not in writers.FORMATS:
        raise UsageError(f"there is no format {name!r}", hint=nearest(name, writers.FORMATS))
    return name


def _taken_as(inputs: Sequence[Input]) -> frozenset[Feature]:
    """What a model has to take besides files."""
    references = [i.reference for i in inputs if i.reference is not None]
    return frozenset(Feature.UPLOAD if r.provider else Feature.URL for r in references)


def _provider_of(inputs: Sequence[Input]) -> str | None:
    names = {i.reference.provider for i in inputs if i.reference and i.reference.provider}
    if len(names) > 1:
        raise UsageError("references of several providers cannot go to one", hint="Run twice.")
    return next(iter(names), None)


def read_prompt(text: str | None) -> str | None:
    """The prompt itself, from the file that `@FILE` names where it does."""
    if text is None or not text.startswith("@"):
        return text
    name = text[1:]
    if not os.path.isfile(name):
        raise ConfigurationError(f"there is no file {name!r} to read the prompt from")
    try:
        with open(name, "rb") as file:  # noqa: PTH123
            content = file.read(_PROMPT_BYTES + 1)
        if len(content) > _PROMPT_BYTES:
            raise ConfigurationError(f"the prompt {name} is longer than {_PROMPT_BYTES:,} bytes")
        return content.decode("utf-8-sig").strip()
    except OSError as error:
        raise ConfigurationError(f"cannot read the prompt {name}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"the prompt {name} is no text in UTF-8") from error
