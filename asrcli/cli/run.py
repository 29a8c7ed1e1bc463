"""One run of `transcribe`: choose, check everything that can be checked, work, write."""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from asrcli.cli.asked import TIMED, Request, provider_for, taken_as
from asrcli.cli.choosing import nearest
from asrcli.cli.planning import check_cost, show_plan
from asrcli.cli.results import FINISHED, Results, Tally
from asrcli.cli.session import Session, require_stdout, stdin, stdin_is_terminal
from asrcli.core.asking import Asker
from asrcli.core.batch import Done, exit_status, run
from asrcli.core.choosing import Chooser
from asrcli.core.inputs import Filter, Input, expand, in_shard
from asrcli.core.jobs import Detached
from asrcli.core.memory import Memory
from asrcli.core.opening import Opener
from asrcli.core.outputs import (
    Destination,
    Target,
    existing,
    prepare_folders,
    refuse_inputs,
)
from asrcli.core.pieced import Piecer
from asrcli.core.prepare import Changes
from asrcli.core.recognize import Recognized, Recognizer, Watcher
from asrcli.core.select import Choice, Need, explain
from asrcli.errors import AsrError, OutputError, UsageError
from asrcli.output import records, writers
from asrcli.output.cues import CueShape
from asrcli.output.files import check_target, sweep
from asrcli.output.progress import Item
from asrcli.providers.base import API, Feature
from asrcli.providers.registry import can_run
from asrcli.settings import PROVIDERS

__all__ = ["Run", "Wanted"]

_LONG_NAME = 60
"""Characters of a name that may be more bytes than a file system takes."""
_MOST_JOBS = 64
"""Jobs of a service that are waited for at once; its requests are limited apart from that."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a run is to do with its inputs and results."""

    output: str | None = None
    formats: Sequence[str] = ()
    shape: CueShape = field(default_factory=CueShape)
    changes: Changes = field(default_factory=Changes)
    track: int = 0
    apart: bool = False
    """Each channel by itself."""
    overwrite: bool = False
    headings: bool = True
    fail_fast: bool = False
    ordered: bool = True
    allow_partial: bool = False
    shard: tuple[int, int] = (1, 1)
    dry_run: bool = False
    max_cost: float | None = None
    detach: bool = False


@dataclass(frozen=True, slots=True)
class _Item:
    found: Input
    targets: Sequence[Target]


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What one input came to; neither a transcript nor a job if it was skipped."""

    recognized: Recognized | None = None
    detached: Detached | None = None
    skipped: str = ""
    elapsed: float = 0.0


class Run:
    """A run over some inputs; `__call__` gives its exit status."""

    def __init__(self, session: Session, wanted: Wanted, request: Request) -> None:
        self._session = session
        self._console = session.console
        self._wanted = wanted
        self._request = request
        # Both `-f srt -f vtt` and `-f srt,vtt`.
        named = [name for each in wanted.formats for name in each.split(",")]
        self._formats = [_known_format(name.strip()) for name in named]
        self._taken: list[Target] = []
        self._long_names: list[Target] = []

    def __call__(self, names: Iterable[str], which: Filter) -> int:
        """Transcribe everything that is named; errors that concern all inputs are raised."""
        everything = self._inputs(names, which)
        destination = self._destination(everything)
        inputs, targets = self._targets(destination, everything)
        if not inputs:
            self._console.note("no input is in this shard")
            return 0
        chooser = self._chooser(inputs, destination)
        first = chooser(None)
        self._look_at(inputs, targets)
        memory = self._session.memory()
        recognizer = self._recognizer(chooser, first, destination, memory)
        if self._wanted.dry_run:
            return show_plan(
                self._session, recognizer, inputs, destination, most=self._wanted.max_cost
            )
        if self._wanted.max_cost is not None:
            check_cost(self._session, recognizer, inputs, self._wanted.max_cost)
        self._refuse_existing(memory)
        work = _Work(self._session, self._wanted, memory, recognizer, destination)
        work.fingerprint = self._fingerprint(first)
        items = [_Item(i, t) for i, t in zip(inputs, targets, strict=True)]
        return work(items, workers=self._workers(first))

    # --- before anything is sent --------------------------------------------------------------

    def _inputs(self, names: Iterable[str], which: Filter) -> list[Input]:
        inputs = list(expand(names, which))
        if not inputs:
            raise UsageError("nothing to transcribe", hint="Name a file, a folder, or - for stdin.")
        if any(i.is_stdin for i in inputs) and stdin_is_terminal():
            raise UsageError(
                "standard input is a terminal, and nothing comes from it",
                hint="Pipe a recording into it, or name a file.",
            )
        return inputs

    def _destination(self, inputs: Sequence[Input]) -> Destination:
        by_suffix, output = None, self._wanted.output
        if output and output != "-":
            by_suffix = writers.format_of(Path(output).suffix)
        several = len(inputs) > 1 or self._wanted.shard[1] > 1
        destination = Destination.choose(
            output, self._formats, several=several, by_suffix=by_suffix
        )
        if destination.to_stdout:
            require_stdout()
        if by_suffix and destination.folder is not None and not _names_folder(output or ""):
            why = "there are several inputs" if several else "there are several formats"
            kinds = ", ".join(destination.formats)
            self._console.note(
                f"{output} will be a folder (of {kinds}), since {why}; -o {output}/ says the same"
            )
        return destination

    def _chooser(self, inputs: Sequence[Input], destination: Destination) -> Chooser:
        request = self._request
        provider = provider_for(request, inputs)
        network, settings = self._session.network, self._session.settings
        if network.base_url and provider is None:
            raise UsageError("--base-url needs to know whose it is", hint="Add -p NAME.")
        need = Need(
            model=request.model,
            provider=provider,
            language=request.language,
            features=request.features(destination.formats) | taken_as(inputs) | self._timed,
            itn=request.itn,
        )
        usable = {name: settings.usable(name) for name in PROVIDERS}
        return Chooser(need, usable, can_run, self._tell_choice)

    @property
    def _timed(self) -> frozenset[Feature]:
        """Channels are merged by the times of what is said in them; and jobs give times."""
        asked = self._wanted.apart or self._wanted.detach
        return frozenset({Feature.TIMES} if asked else ())

    def _tell_choice(self, choice: Choice) -> None:
        network = self._session.network
        if choice.model.provider == "local" and network.base_url:
            raise UsageError("local has no base URL")
        if network.region and choice.model.provider != "qwen":
            from asrcli.providers.qwen.hosts import REGIONS

            raise UsageError(
                f"{choice.model.provider} has no regions",
                hint=f"Leave out --region: only qwen has them ({', '.join(REGIONS)}).",
            )
        if self._wanted.detach and choice.model.api not in {API.JOB, API.JOB_LIST}:
            raise UsageError(
                f"{choice.model.id} answers at once: there is no job to leave (--detach)",
                hint="With a key for qwen, -m qwen3-asr-flash-filetrans or -m fun-asr have jobs.",
            )
        self._console.detail(explain(choice))
        for warning in choice.warnings:
            self._console.note(warning)

    def _targets(
        self, destination: Destination, inputs: Sequence[Input]
    ) -> tuple[list[Input], list[list[Target]]]:
        """The inputs of this shard, and where the results of each go.

        The names are those of a run over all of them: two shards must not write the same file.
        """
        suffixes = {name: writers.suffix_of(name) for name in writers.FORMATS}
        targets = destination.targets(inputs, suffixes)
        number, count = self._wanted.shard
        if count == 1:
            return [*inputs], targets
        places = [at for at, each in enumerate(inputs) if in_shard(each, number, count)]
        return [inputs[at] for at in places], [targets[at] for at in places]

    def _look_at(self, inputs: Sequence[Input], targets: Sequence[Sequence[Target]]) -> None:
        """See what is there already, and make the folders that are not."""
        flat = [target for each in targets for target in each]
        self._taken = existing(flat)
        # The others need no look at the disk, and there may be 100,000 of them.
        self._long_names = [t for t in flat if len(t.file) - t.file.rfind(os.sep) > _LONG_NAME]
        refuse_inputs(self._taken, inputs)
        if not self._wanted.dry_run:
            for folder in prepare_folders(flat):
                sweep(folder, now=time.time())

    def _refuse_existing(self, memory: Memory) -> None:
        """Raise for what stands in the way: all but results of earlier runs."""
        for target in self._long_names:
            check_target(target.path, overwrite=True)
        for target in self._taken:
            ours = memory.is_ours(target.path)
            check_target(target.path, overwrite=self._wanted.overwrite or ours)

    def _recognizer(
        self, chooser: Chooser, first: Choice, destination: Destination, memory: Memory
    ) -> Recognizer:
        session, wanted = self._session, self._wanted
        provider = session.provider(first.model.provider)
        asker = Asker(provider, memory, stop=session.stop.is_set)
        return Recognizer(
            choose=chooser,
            options_for=session.options(self._request, memory, send=not wanted.dry_run),
            asker=asker,
            memory=memory,
            opener=Opener(
                session.folder,
                session.fetch,
                track=wanted.track,
                stdin=stdin(),
                detail=self._console.detail,
            ),
            piecer=Piecer(
                asker,
                session.folder,
                calls=session.network.calls,
                decoders=session.decoders(),
                stop=session.stop.is_set,
            ),
            jobs=session.jobs(asker, memory, detach=wanted.detach),
            folder=session.folder,
            decoders=session.decoders(),
            changes=wanted.changes,
            timed=bool(TIMED.intersection(destination.formats)),
            apart=wanted.apart,
            allow_partial=wanted.allow_partial,
            detail=self._console.detail,
        )

    def _workers(self, choice: Choice) -> int:
        if choice.model.api in {API.JOB, API.JOB_LIST}:
            return max(_MOST_JOBS, self._session.network.calls)
        # Some are looked at and written while the others wait for the service.
        calls = self._session.network.calls
        return calls + calls // 4

    def _fingerprint(self, first: Choice) -> Callable[[str], str]:
        wanted, request = self._wanted, self._request

        @functools.cache
        def of(kind: str) -> str:
            return request.fingerprint(
                format=kind,
                model=first.model.id,
                provider=first.model.provider,
                shape=wanted.shape,
                changes=wanted.changes,
                track=wanted.track,
                apart=wanted.apart,
            )

        return of


class _Work:
    """The work itself: inputs on several threads, results in the order of the inputs."""

    def __init__(
        self,
        session: Session,
        wanted: Wanted,
        memory: Memory,
        recognizer: Recognizer,
        destination: Destination,
    ) -> None:
        self._session = session
        self._console = session.console
        self._wanted = wanted
        self._memory = memory
        self._recognizer = recognizer
        self._destination = destination
        self.fingerprint: Callable[[str], str] = str

    def __call__(self, items: Sequence[_Item], *, workers: int) -> int:
        """Do all of it; gives the exit status."""
        began = time.monotonic()
        several = len(items) > 1
        wanted = self._wanted
        self._results = Results(
            self._console, self._destination, wanted.shape, several, wanted.headings
        )
        tally = Tally()
        with self._console.progress(len(items)) as progress:
            self._recognizer.asker.on_traffic = lambda calls, size: progress.traffic(
                in_flight=calls, sent=size
            )

            def work(item: _Item) -> _Outcome:
                shown = progress.begin(item.found.name)
                try:
                    outcome = self._one(item, shown, several=several)
                except AsrError as error:
                    shown.end(failed=True, cancelled=error.code == "cancelled", error=error)
                    raise
                except BaseException:
                    shown.end(failed=True)
                    raise
                recognized = outcome.recognized
                shown.end(
                    skipped=bool(outcome.skipped),
                    submitted=outcome.detached is not None,
                    partial=recognized is not None and recognized.error is not None,
                )
                return outcome

            for done in run(
                items,
                work,
                workers=workers,
                stop=self._session.stop,
                fail_fast=wanted.fail_fast,
                ordered=wanted.ordered,
            ):
                self._finish(done, tally)
        return self._summed_up(tally, len(items), time.monotonic() - began)

    # --- one input, on its thread -------------------------------------------------------------

    def _one(self, item: _Item, shown: Item, *, several: bool) -> _Outcome:
        started = time.monotonic()
        with self._locked(item.targets):
            if reason := self._finished(item):
                return _Outcome(skipped=reason)
            watcher = Watcher(
                on_text=shown.partial if self._partials(several=several) else None,
                on_length=shown.expect,
                on_part=lambda seconds, known: shown.advance(seconds, free=known),
                on_status=shown.status,
            )
            try:
                recognized = self._recognizer.recognize(item.found, watcher)
            except Detached as job:
                return _Outcome(detached=job)
            elapsed = time.monotonic() - started
            self._write(item, recognized, elapsed)
            return _Outcome(recognized, elapsed=elapsed)

    @contextlib.contextmanager
    def _locked(self, targets: Sequence[Target]) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for target in targets:
                stack.enter_context(self._session.lock(target.path))
            yield

    def _finished(self, item: _Item) -> str:
        """Why there is nothing to do, or an empty text."""
        if not item.targets or self._wanted.overwrite:
            return ""
        if not all(os.path.lexists(target.file) for target in item.targets):
            return ""
        source = self._source(item.found)
        whole = source is not None and all(
            self._memory.is_finished(t.path, source, self.fingerprint(t.format))
            for t in item.targets
        )
        if not whole:
            return ""
        edited = [t.path for t in item.targets if self._memory.was_edited(t.path)]
        if edited:
            return f"{edited[0]} was changed since asrcli wrote it"
        return FINISHED

    def _source(self, found: Input) -> str | None:
        """The identity of an input; None if it has to be read first."""
        if found.reference is not None and found.reference.provider is not None:
            return self._memory.digest_of_reference(found.reference)
        if found.path is None or not found.path.is_file():
            return None
        return self._memory.identify(found.path).digest

    def _write(self, item: _Item, recognized: Recognized, elapsed: float) -> None:
        source = recognized.source or self._source(item.found) or ""
        for target in item.targets:
            replace = self._wanted.overwrite
            is_new = not os.path.lexists(target.file)
            if not replace and not is_new and self._memory.is_ours(target.path):
                if self._memory.was_edited(target.path):
                    raise OutputError(
                        f"{target.path} was changed since asrcli wrote it",
                        hint="--overwrite replaces it.",
                    )
                replace = True
            # What lacks pieces is ours as well, and not finished.
            kind = self.fingerprint(target.format) if recognized.error is None else ""

            def announce(digest: str, target: Target = target, kind: str = kind) -> None:
                # Killed right after it wrote a file, a run must find that it was its own.
                self._memory.will_write(target.path, source, kind, digest)

            try:
                with self._session.writing():
                    self._results.write(
                        item.found,
                        target,
                        recognized,
                        elapsed,
                        replace=replace,
                        announce=announce,
                    )
            except OutputError:
                self._session.stop.set()  # the next one would fare no better, and cost as much
                raise
            if not is_new:
                self._memory.wrote(target.path)

    def _partials(self, *, several: bool) -> bool:
        """Text that is still coming is asked for only where somebody sees it."""
        return self._console.stderr_is_terminal and not several

    # --- results, in order --------------------------------------------------------------------

    def _finish(self, done: Done[_Item, _Outcome], tally: Tally) -> None:
        found, outcome, error = done.item.found, done.result, done.error
        if outcome is not None:
            try:
                self._show(found, outcome, tally)
            except AsrError as failure:
                self._session.stop.set()
                error = failure
            else:
                return
        if error is None or error.code == "cancelled":
            tally.statuses.append(3)  # not begun, because another one stopped the run
            return
        tally.failed(found.name, error)
        self._results.show_failed(found, error)

    def _show(self, found: Input, outcome: _Outcome, tally: Tally) -> None:
        if outcome.recognized is not None:
            self._results.show(found, outcome.recognized, outcome.elapsed)
            if outcome.recognized.error is not None:
                self._console.error(outcome.recognized.error, name=found.name)
            tally.succeeded(outcome.recognized)
        elif outcome.detached is not None:
            self._results.show_detached(found, outcome.detached.job)
            tally.detached()
        else:
            self._results.show_skipped(found, outcome.skipped)
            tally.skipped()

    def _summed_up(self, tally: Tally, total: int, elapsed: float) -> int:
        status = exit_status(tally.statuses, several=total > 1)
        sums = self._memory.sums
        self._console.summary(
            records.summary_record(
                tally.words,
                total=total,
                exit_status=status,
                elapsed=elapsed,
                duration=tally.seconds,
                billed_seconds=tally.billed,
                requests=sums.requests,
                bytes_sent=sums.bytes,
                cost=sums.cost,
                reused_seconds=tally.known_seconds,
            ),
            failures=tally.failures,
        )
        return status


def _names_folder(output: str) -> bool:
    """True if nobody can take it for the name of a file."""
    return output.endswith((os.sep, os.altsep or os.sep)) or os.path.isdir(output)


def _known_format(name: str) -> str:
    if name not in writers.FORMATS:
        raise UsageError(f"there is no format {name!r}", hint=nearest(name, writers.FORMATS))
    return name
