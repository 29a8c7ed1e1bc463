"""What one run of a command holds: console, settings, providers, temporary files."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, BinaryIO

from asrcli.cli.folders import PREFIX, claim, remove_abandoned
from asrcli.errors import OutputError, StoppedBySignal, UsageError
from asrcli.output.console import Console
from asrcli.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from asrcli.cli.asked import Request
    from asrcli.core.asking import Asker
    from asrcli.core.decoding import Decoders
    from asrcli.core.jobs import JobRunner
    from asrcli.core.memory import Memory
    from asrcli.core.select import Choice
    from asrcli.providers.base import Options, Provider
    from asrcli.providers.qwen.vocabularies import Vocabularies
    from asrcli.state.locks import OutputLocks
    from asrcli.state.store import Store
    from asrcli.transport.connection import Connection
    from asrcli.transport.fetch import Download, Fetcher
    from asrcli.transport.retry import Retrier

__all__ = ["Network", "Session", "console", "open_console"]

_console: Console | None = None


def console() -> Console:
    """The console of this run; a plain one where no command has opened its own yet."""
    return _console or open_console()


def open_console(
    *,
    quiet: bool = False,
    verbose: bool = False,
    debug: bool = False,
    color: str = "auto",
    progress: str = "auto",
) -> Console:
    """Make the console that the options ask for, and keep it as that of this run."""
    for value, known, name in (
        (color, ("auto", "always", "never"), "--color"),
        (progress, ("auto", "none", "json"), "--progress"),
    ):
        if value not in known:
            raise UsageError(f"{name} is one of {', '.join(known)}, not {value!r}")
    global _console  # noqa: PLW0603 - one process has one pair of streams
    _console = Console(
        stdout=sys.stdout.buffer if sys.stdout is not None else None,
        stderr=sys.stderr,
        environ=os.environ,
        quiet=quiet,
        verbose=verbose,
        debug=debug,
        color=color,
        progress=progress,
    )
    return _console


def stdin() -> BinaryIO | None:
    """Standard input as bytes; None where it is closed."""
    return sys.stdin.buffer if sys.stdin is not None else None


def require_stdout() -> None:
    """Raise OutputError where standard output is closed: before anything is sent for nothing."""
    if sys.stdout is None:
        raise OutputError("cannot write output: it is closed")


def stdin_is_terminal() -> bool:
    """True when nothing is piped in, and reading would wait for the keyboard."""
    return sys.stdin is not None and sys.stdin.isatty()


MOST_CALLS = 64
_FILES = 24
"""Files that a run has open whatever it does: streams, the database, sockets of its own."""
_FILES_A_CALL = 4
"""A recording, a connection, a lock, a result."""
_LAST_WRITE = 1.0
"""Seconds that a run which is stopped gives to a result that is being written."""
_RAMP = 0.1
"""Seconds in which the calls in flight double at the start of a run."""


def clamped_calls(asked: int, out: Console) -> int:
    """How many calls may be in flight; more than the most is clamped, with a note."""
    if asked > MOST_CALLS:
        out.warning(f"--jobs {asked} is more than asrcli sends at once: {MOST_CALLS}")
    wanted = min(asked, MOST_CALLS)
    files = _open_files(_FILES + wanted * _FILES_A_CALL)
    possible = max(1, (files - _FILES) // _FILES_A_CALL)
    if possible < wanted:
        out.warning(f"{files} open files (ulimit -n) are enough for {possible} calls at once")
    return min(wanted, possible)


def _open_files(wanted: int) -> int:
    """How many files may be open, raised as far as the system lets us, if that is needed."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        return most
    return soft


@dataclass(frozen=True, slots=True)
class Network:
    """What the options say about the way to a service."""

    base_url: str | None = None
    region: str | None = None
    ca_bundle: Path | None = None
    insecure_http: bool = False
    offline: bool = False
    timeout: float = 600.0
    retries: int = 4
    rpm: float | None = None
    calls: int = 4
    job_timeout: float = 46_800.0
    """Seconds that a job is waited for."""
    state: Path | None = None
    """The database of answers; None for the usual place."""
    remember: bool = True
    """False keeps nothing, and takes nothing from what was kept."""


@dataclass(slots=True)
class Session:
    """Opened by a command; closing it lets go of everything, also when the run is stopped."""

    console: Console
    settings: Settings
    network: Network
    stop: threading.Event = field(default_factory=threading.Event)
    _providers: dict[str, Provider] = field(default_factory=dict)
    _folder: Path | None = None
    _memory: Memory | None = None
    _locks: OutputLocks | None = None
    _fetcher: Fetcher | None = None
    _decoders: Decoders | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _claim: IO[bytes] | None = None
    _written: threading.Condition = field(default_factory=threading.Condition)
    _writers: int = 0
    _closed: bool = False

    @classmethod
    def open(cls, console: Console, network: Network) -> Session:
        """Read the settings; nothing is asked of any service yet."""
        settings = Settings(base_url=network.base_url, region=network.region, warn=console.warning)
        return cls(console, settings, network)

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.stop.set()
        if isinstance(error, StoppedBySignal | KeyboardInterrupt):
            self.console.note("stopping…")
        for provider in self._providers.values():
            with contextlib.suppress(Exception):
                provider.close()
        if self._decoders is not None:
            self._decoders.close()
        if self._memory is not None:
            with contextlib.suppress(Exception):
                self._memory.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        if self._claim is not None:
            self._claim.close()
        self._await_writers()

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """While a result is written; the end of the run waits for that, but not for long."""
        with self._written:
            if self._closed:
                raise OutputError("the run was stopped")
            self._writers += 1
        try:
            yield
        finally:
            with self._written:
                self._writers -= 1
                self._written.notify_all()

    def _await_writers(self) -> None:
        with self._written:
            self._written.wait_for(lambda: not self._writers, timeout=_LAST_WRITE)
            self._closed = True

    def folder(self) -> Path:
        """The folder for temporary files, readable by this user alone; made when first needed."""
        with self._lock:
            if self._folder is None:
                try:
                    remove_abandoned(Path(tempfile.gettempdir()))
                    self._folder = Path(tempfile.mkdtemp(prefix=PREFIX))
                except OSError as error:
                    raise OutputError(
                        f"no folder for temporary files can be made: {error.strerror or error}",
                        hint="TMPDIR says where it goes.",
                    ) from error
                self._claim = claim(self._folder)
            return self._folder

    def provider(self, name: str) -> Provider:
        """The provider of that name; one instance for the whole run."""
        from asrcli.providers.registry import make

        if name not in self._providers:
            self._providers[name] = make(
                name, self.settings, self._connection(), retrier=self._retrier, wait=self._wait
            )
        return self._providers[name]

    def expect(self, name: str) -> None:
        """Start what decodes, if this recording is likely to need it: it loads while we do."""
        from asrcli.core.decoding import warm_for

        if any(self.settings.usable(service) for service in ("qwen", "onemin", "openai")):
            warm_for(Path(name), self.decoders())

    def decoders(self) -> Decoders:
        """The processes that decode; none is started before it is needed."""
        from asrcli.core.decoding import open_decoders

        with self._lock:
            if self._decoders is None:
                self._decoders = open_decoders()
        return self._decoders

    # --- what is kept ---------------------------------------------------------------------------

    def memory(self) -> Memory:
        """What earlier runs were answered; empty with `--no-cache`."""
        from asrcli.core.memory import Memory

        if self._memory is None:
            self._memory = Memory(self._store(), warn=self.console.warning)
        return self._memory

    def _store(self) -> Store | None:
        from asrcli.errors import ConfigurationError
        from asrcli.state.store import Store, default_path

        if not self.network.remember:
            return None
        named = self.network.state
        try:
            return Store(named or default_path(os.environ), warn=self.console.warning)
        except (OutputError, ConfigurationError) as error:
            # Without a home there is no state, and the work can be done all the same.
            if named is not None or error.exit_status == 2:
                raise
            self.console.warning(f"{error}: nothing is remembered")
            return None

    def lock(self, path: Path) -> AbstractContextManager[object]:
        """The lock of one result file; raises LockedError while another run has it."""
        from asrcli.state.locks import OutputLocks
        from asrcli.state.store import default_path

        with self._lock:
            if self._locks is None:
                state = self.network.state or default_path(os.environ)
                self._locks = OutputLocks(state.parent / "locks", warn=self.console.warning)
        return self._locks.hold(path)

    # --- the way to a service -------------------------------------------------------------------

    def fetch(self, url: str, target: Path) -> Download:
        """Write what a URL names into a file, without any key; raises an `AsrError`."""
        from asrcli.core.opening import MOST_FETCHED
        from asrcli.transport.fetch import Fetcher

        with self._lock:
            if self._fetcher is None:
                self._fetcher = Fetcher(
                    "web",
                    self._connection(),
                    retrier=self._retrier(),
                    private=self.network.insecure_http,
                )
        return self._fetcher.download(url, target, most_bytes=MOST_FETCHED)

    def options(
        self, request: Request, memory: Memory, *, send: bool
    ) -> Callable[[Choice], Options]:
        """What each model is asked for; with `send`, the list of hotwords that it needs is made."""
        from asrcli.core.hotwords import apply_hotwords, plan_hotwords

        made: dict[str, Options] = {}
        lock = threading.Lock()

        def options_for(choice: Choice) -> Options:
            with lock:
                if choice.model.id not in made:
                    options = request.options(choice)
                    plan = plan_hotwords(request.hotwords, choice.model, options)
                    warnings = plan.warnings
                    if send:
                        options, more = apply_hotwords(
                            plan,
                            options,
                            service=self._vocabularies,
                            recall=memory.recall_vocabulary,
                            keep=memory.keep_vocabulary,
                        )
                        warnings += more
                    for warning in warnings:
                        self.console.warning(warning)
                    made[choice.model.id] = options
                return made[choice.model.id]

        return options_for

    def _vocabularies(self) -> Vocabularies:
        from asrcli.providers.qwen.vocabularies import Vocabularies

        return Vocabularies.open(self.settings, self._connection(), retrier=self._retrier())

    def jobs(self, asker: Asker, memory: Memory, *, detach: bool) -> JobRunner | None:
        """What brings recordings to the service as jobs; None where there are none."""
        from asrcli.core.jobs import JobRunner, Poller
        from asrcli.providers.registry import works_by_jobs

        provider = works_by_jobs(asker.provider)
        if provider is None:
            return None
        poller = Poller(provider, note=self.console.note, stop=self.stop.is_set)
        return JobRunner(
            provider,
            asker,
            memory,
            poller,
            longest=self.network.job_timeout,
            detach=detach,
            note=self.console.note,
            wait=self.stop.wait,
        )

    def _wait(self, seconds: float) -> None:
        self.stop.wait(seconds)

    def _connection(self) -> Connection:
        from asrcli.transport.connection import Connection

        return Connection(
            timeout=self.network.timeout or None,
            ca_bundle=self.network.ca_bundle,
            insecure_http=self.network.insecure_http,
            offline=self.network.offline,
            max_connections=self.network.calls,
        )

    def _retrier(self) -> Retrier:
        from asrcli.transport.retry import Retrier, RetryPolicy
        from asrcli.transport.throttle import Throttle

        throttle = Throttle(
            self.network.calls,
            rpm=self.network.rpm,
            ramp=_RAMP,
            sleep=self.stop.wait,
            on_wait=lambda reason, seconds: self.console.note(f"{reason}; waiting {seconds:.1f} s"),
        )
        return Retrier(
            RetryPolicy(retries=self.network.retries),
            throttle=throttle,
            sleep=self.stop.wait,
            cancelled=self.stop.is_set,
        )
