"""What the commands of `jobs` do."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from asrcli.cli.results import Results, Tally
from asrcli.cli.session import Session, require_stdout, stdin_is_terminal
from asrcli.core.asking import Asker
from asrcli.core.batch import Done, exit_status, run
from asrcli.core.inputs import Input
from asrcli.core.job_records import job_of
from asrcli.core.jobs import FETCHED, JobRunner
from asrcli.core.outputs import Destination
from asrcli.core.plan import Route
from asrcli.core.polling import NEW_SECONDS
from asrcli.core.recognize import Recognized
from asrcli.errors import AsrError, RefusedError, UsageError
from asrcli.output import writers
from asrcli.output.cues import CueShape
from asrcli.output.sanitize import for_json, for_text
from asrcli.providers.base import JobState, Model
from asrcli.providers.catalogue import resolve
from asrcli.secret import redact
from asrcli.state.jobs import StoredJob

__all__ = ["JobLists"]

_OVER = frozenset({FETCHED, JobState.FAILED, JobState.CANCELED, JobState.UNKNOWN})
"""States in which there is nothing to wait for."""
_SETTLED = _OVER - {JobState.UNKNOWN}
"""States that no poll changes."""
_POLLERS = 4
_WAITERS = 64
_COLUMNS = ("id", "state", "model", "input", "age", "seconds")


class JobLists:
    """The jobs of one state, in one run of a command."""

    def __init__(self, session: Session, *, as_json: bool = False) -> None:
        self._session = session
        self._console = session.console
        self._as_json = as_json
        self._memory = session.memory()
        self._runners: dict[str, JobRunner] = {}

    # --- list and show ----------------------------------------------------------------------------

    def show_all(self, *, everything: bool, refresh: bool) -> int:
        """Show jobs, the newest first; gives the exit status."""
        require_stdout()
        every = self._all()
        found = [job for job in every if everything or job.state != FETCHED]
        statuses: list[int] = []
        if refresh:
            found, statuses = self._refreshed(found)
        if self._as_json:
            self._console.write_data(f"{for_json(_record(job))}\n" for job in found)
        else:
            shown = self._console.stdout_is_terminal
            self._console.table(_COLUMNS, [_row(job, self._age(job), shown) for job in found])
            if not found:
                hidden = f"; --all shows {len(every)} whose transcripts were fetched"
                self._console.note("there are no jobs here" + (hidden if every else ""))
        return exit_status(statuses, several=len(found) > 1)

    def show(self, identity: str) -> int:
        """Show all that is known of a job, as the service has it now."""
        require_stdout()
        found, statuses = self._named([identity]), [0]
        if not self._session.network.offline:
            found, statuses = self._refreshed(found)
        record = _record(found[0])
        if self._as_json:
            self._console.write_data([f"{for_json(record)}\n"])
        else:
            # Only a job without an id is called by anything else.
            hidden = _HIDDEN | ({"handle"} if found[0].id else set())
            rows = [(name, _plain(value)) for name, value in record.items() if name not in hidden]
            self._console.table(("field", "value"), [row for row in rows if row[1]])
        return exit_status(statuses, several=False)

    def _refreshed(self, found: Sequence[StoredJob]) -> tuple[list[StoredJob], list[int]]:
        """The jobs as the service has them; what it does not tell is shown as an error."""
        statuses, new = [], []
        for done in self._each(found, self._polled, workers=_POLLERS):
            if done.error is not None:
                self._failed(done.item, done.error)
            statuses.append(done.error.exit_status if done.error else 0)
            new.append(self._memory.job(done.item.key) or done.item)
        return new, statuses

    def _polled(self, stored: StoredJob) -> None:
        if stored.id is None or stored.state in _SETTLED:
            return
        status = self._runner(stored).provider.poll(job_of(stored), _model(stored))
        young = self._age(stored) < NEW_SECONDS
        if not (status.state is JobState.UNKNOWN and young):
            self._memory.update_job(stored.key, str(status.state), status.error)

    # --- wait -------------------------------------------------------------------------------------

    def wait(self, identities: Sequence[str], kind: str, *, headings: bool) -> int:
        """Print the transcripts of jobs as soon as they are there; gives the exit status."""
        require_stdout()
        if kind not in writers.FORMATS:
            raise UsageError(
                f"there is no format {kind!r}", hint=f"One of {', '.join(writers.FORMATS)}."
            )
        open_ = [job for job in reversed(self._all()) if job.state not in _OVER]
        found = self._named(identities) if identities else open_
        if not found:
            self._console.note("there are no jobs to wait for")
            return 0
        several = len(found) > 1
        destination = Destination.choose(None, [kind], several=several, by_suffix=None)
        results = Results(self._console, destination, CueShape(), several, headings)
        tally = Tally()
        for stored in found:
            self._runner(stored)  # a key that is missing is told before anything is waited for
        with self._console.progress(len(found)) as progress:

            def work(stored: StoredJob) -> tuple[Recognized, float]:
                shown = progress.begin(stored.name)
                began = time.monotonic()
                try:
                    answered = self._runner(stored).resume(
                        stored, _model(stored), on_status=shown.status
                    )
                except AsrError as error:
                    shown.end(failed=True, cancelled=error.code == "cancelled", error=str(error))
                    raise
                except BaseException:
                    shown.end(failed=True)
                    raise
                shown.end()
                made = Recognized(answered.transcript, None, Route.JOB, known=answered.known)
                return made, time.monotonic() - began

            for done in self._each(found, work, workers=_WAITERS):
                self._show(done, results, tally)
        return exit_status(tally.statuses, several=several)

    def _show(
        self, done: Done[StoredJob, tuple[Recognized, float]], results: Results, tally: Tally
    ) -> None:
        named = Input(done.item.name)
        if done.result is not None:
            recognized, elapsed = done.result
            results.show(named, recognized, elapsed)
            tally.succeeded(recognized)
        elif done.error is not None and done.error.code != "cancelled":
            tally.failed(done.item.name, done.error)
            results.show_failed(named, done.error)
        else:
            tally.statuses.append(3)  # not waited for, because another one stopped the run

    # --- cancel and forget ------------------------------------------------------------------------

    def cancel(self, identities: Sequence[str]) -> int:
        """Take jobs back that have not begun; gives the exit status."""
        found = self._named(identities)
        statuses = []
        for done in self._each(found, self._canceled, workers=1):
            if done.error is not None:
                self._failed(done.item, done.error)
            statuses.append(done.error.exit_status if done.error else 0)
        return exit_status(statuses, several=len(found) > 1)

    def _canceled(self, stored: StoredJob) -> None:
        if stored.id is None or stored.state in _SETTLED:
            raise UsageError(f"{_handle(stored)} is {stored.state}: there is nothing to cancel")
        try:
            self._runner(stored).provider.cancel(job_of(stored))
        except RefusedError as error:
            error.hint = error.hint or (
                "Only what has not begun can be taken back: the service finishes and charges it. "
                f"`asrcli jobs wait {stored.id}` prints its transcript."
            )
            raise
        self._memory.update_job(stored.key, str(JobState.CANCELED))
        self._console.note(f"{_handle(stored)} was canceled")

    def forget(
        self,
        identities: Sequence[str],
        *,
        every_job: bool,
        everything: bool,
        yes: bool,
        ask: Callable[[str], bool],
    ) -> int:
        """Remove jobs, or the whole state; gives the exit status."""
        if bool(identities) + every_job + everything != 1:
            raise UsageError("name the jobs to forget, or give --all or --everything")
        if everything:
            return self._forget_everything(yes=yes, ask=ask)
        found = self._all() if every_job else self._named(identities)
        if self._memory.store is not None and found:
            self._memory.store.jobs.forget([job.key for job in found])
        for job in found:
            if job.state not in {*_OVER, JobState.SUCCEEDED}:
                self._console.note(f"{_handle(job)} may go on at the service, and be charged")
        self._console.note(f"forgot {len(found)} job{'' if len(found) == 1 else 's'}")
        return 0

    def _forget_everything(self, *, yes: bool, ask: Callable[[str], bool]) -> int:
        store = self._memory.store
        if store is None:
            self._console.note("nothing is remembered")
            return 0
        if not yes:
            if not (stdin_is_terminal() and self._console.stderr_is_terminal):
                raise UsageError("nobody can be asked here", hint="Give --yes to do it without.")
            rows = store.statistics().rows
            held = ", ".join(f"{count:,} {name}" for name, count in rows.items() if count)
            if not ask(f"Erase all of {os.fspath(store.path)} ({held or 'it is empty'})?"):
                self._console.note("nothing was erased")
                return 0
        self._memory.forget()
        self._console.note(f"all of {os.fspath(store.path)} was erased")
        return 0

    # --- which, and with what ---------------------------------------------------------------------

    def _all(self) -> list[StoredJob]:
        return self._memory.store.jobs.all() if self._memory.store is not None else []

    def _named(self, identities: Iterable[str]) -> list[StoredJob]:
        """The jobs whose ids begin so; raises UsageError for none, and for several."""
        every = self._all()
        found: dict[str, StoredJob] = {}
        for identity in identities:
            job = _one(identity, every)
            found[job.key] = job
        return list(found.values())

    def _runner(self, stored: StoredJob) -> JobRunner:
        name = stored.provider
        if name not in self._runners:
            provider = self._session.provider(name)
            asker = Asker(provider, self._memory)
            runner = self._session.jobs(asker, self._memory, detach=False)
            if runner is None:
                raise UsageError(f"{name} does not work by jobs")
            self._runners[name] = runner
        return self._runners[name]

    def _each(
        self, found: Sequence[StoredJob], work: Callable[[StoredJob], Any], *, workers: int
    ) -> Iterable[Done[StoredJob, Any]]:
        count = max(1, min(workers, len(found)))
        return run(found, work, workers=count, stop=self._session.stop)

    def _failed(self, stored: StoredJob, error: AsrError) -> None:
        self._console.error(error, name=_handle(stored))

    def _age(self, stored: StoredJob) -> float:
        since = stored.submitted or stored.created
        return max(0.0, (datetime.now(UTC) - since).total_seconds())


def _model(stored: StoredJob) -> Model:
    """The model that works on it."""
    return resolve(stored.model, provider=stored.provider)


def _one(identity: str, every: Sequence[StoredJob]) -> StoredJob:
    exact = [job for job in every if job.id == identity]
    alike = exact or [job for job in every if identity and _handle(job).startswith(identity)]
    if not alike:
        raise UsageError(
            f"there is no job {identity!r}", hint="See `asrcli jobs list --all` for what there is."
        )
    if len(alike) > 1:
        names = ", ".join(_handle(job) for job in alike[:5])
        raise UsageError(f"several jobs begin with {identity!r}: {names}")
    return alike[0]


def _handle(stored: StoredJob) -> str:
    """The id, or a name of our own for a job whose id nobody knows."""
    return stored.id or f"intent-{stored.key[:12]}"


# --- as it is shown -------------------------------------------------------------------------------

_HIDDEN = frozenset({"v", "type", "unproven", "possible_duplicate"})


def _row(stored: StoredJob, age: float, shown: bool) -> tuple[str, ...]:
    seconds = f"{stored.seconds:.0f}" if stored.seconds else ""
    return (
        _handle(stored),
        stored.state,
        stored.model,
        redact(stored.name),
        _span(age) if shown else f"{age:.0f}",
        seconds,
    )


def _span(seconds: float) -> str:
    for size, name in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} s"


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return for_json(value) if value else ""
    if isinstance(value, float):
        return f"{value:g}"
    return "" if value is None else str(value)


def _record(stored: StoredJob) -> dict[str, Any]:
    return {
        "v": 1,
        "type": "job",
        "id": stored.id,
        "handle": _handle(stored),
        "state": stored.state,
        "provider": stored.provider,
        "model": stored.model,
        "host": stored.host,
        "name": redact(stored.name),
        "source": None if stored.source is None else redact(for_text(stored.source)),
        "seconds": stored.seconds,
        "options": _options(stored.options),
        "created": stored.created.isoformat(timespec="seconds"),
        "submitted": _moment(stored.submitted),
        "updated": stored.updated.isoformat(timespec="seconds"),
        "expires": _moment(stored.expires),
        "code": stored.code,
        "message": None if stored.message is None else redact(stored.message),
        "unproven": stored.unproven,
        "possible_duplicate": stored.possible_duplicate,
    }


def _options(written: str) -> dict[str, Any]:
    try:
        return dict(json.loads(written))
    except (TypeError, ValueError):  # a later version wrote it
        return {}


def _moment(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat(timespec="seconds")
