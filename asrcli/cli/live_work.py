"""One run of `stream-mic`: choose, check, listen, write, and perhaps listen once more."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from types import FrameType

from asrcli.cli.asked import Request
from asrcli.cli.captions import FORMATS, Captions, Sink
from asrcli.cli.choosing import known_provider
from asrcli.cli.live_loops import Loop, LoopMaker
from asrcli.cli.session import Session, require_stdout
from asrcli.core.hearing import Listening, Source, Tap, devices, open_source
from asrcli.core.live_events import Outcome
from asrcli.core.live_service import Hearing, choose_hearing
from asrcli.core.select import Need, explain
from asrcli.errors import AsrError, OutputError, RemoteError, UsageError
from asrcli.output.console import Console
from asrcli.output.files import check_target
from asrcli.output.live_lines import LiveLines
from asrcli.output.records import summary_record
from asrcli.output.terminal import NoticeStream
from asrcli.output.writers import format_of
from asrcli.settings import PROVIDERS

__all__ = ["LiveRun", "LiveWanted", "list_devices", "read_format"]

_TAIL = 1.0
"""Seconds that a source may take to hand out what was said before it was stopped."""


@dataclass(frozen=True, slots=True)
class LiveWanted:
    """What a run is to do with what it hears."""

    listening: Listening
    format: str = "text"
    output: str | None = None
    save: str | None = None
    partials: bool = True
    overwrite: bool = False
    seconds: float | None = None
    refine: bool = False
    dialect: str | None = None
    """Of a server of one's own, where that is to listen live."""
    status: bool = True
    """A status line for someone who watches."""


def list_devices(console: Console) -> None:
    """Print the microphones; raises MissingHelperError and MicrophoneError."""
    require_stdout()
    console.table(
        ["number", "name", "host API", "channels", "Hz", "default", "plays"],
        [
            [
                str(device.number),
                device.name,
                device.host_api,
                str(device.channels),
                str(device.sample_rate),
                "yes" if device.default else "",
                "what this computer plays" if device.loopback else "",
            ]
            for device in devices()
        ],
    )


def read_format(name: str | None, output: str | None) -> str:
    """The format that is asked for, or that of the file's suffix; raises UsageError."""
    if name is None and output not in {None, "-"}:
        found = format_of(Path(output or "").suffix)
        name = found if found in FORMATS else None
    if (name or "text") not in FORMATS:
        raise UsageError(
            f"live text is {', '.join(FORMATS[:-1])} or {FORMATS[-1]}, not {name}",
            hint="For other formats: --save FILE.wav, then `asrcli transcribe FILE.wav`.",
        )
    return name or "text"


class LiveRun:
    """A run over one stream; `__call__` gives its exit status."""

    def __init__(self, session: Session, wanted: LiveWanted, request: Request) -> None:
        self._session = session
        self._console = session.console
        self._wanted = wanted
        self._request = request
        self._sink = Sink(
            wanted.format,
            None if wanted.output in {None, "-"} else Path(wanted.output or ""),
            wanted.partials,
            wanted.overwrite,
        )

    def __call__(self) -> int:
        """Listen to the end; what is wrong before the first word is raised."""
        began = time.monotonic()
        self._check_outputs()
        hearing = self._choose()
        device = self._wanted.listening.device_named()
        model = hearing.choice.model
        lines = self._console.live_lines(self._screen(), status=self._wanted.status)
        captions = Captions(
            self._console, lines, self._sink, provider=model.provider, model=model.id
        )
        with ExitStack() as stack:
            loop, rate = LoopMaker(
                self._session,
                self._request,
                hearing,
                captions,
                stack,
                piped=device is None,
                partials=self._wanted.partials,
                dialect=self._wanted.dialect,
            ).make()
            source = stack.enter_context(
                open_source(self._wanted.listening, device, sample_rate=rate)
            )
            tap = Tap(
                source,
                sample_rate=rate,
                seconds=self._wanted.seconds,
                on_level=captions.level,
                warn=captions.warn,
            )
            recorded = self._recorded()
            stack.enter_context(tap.recording(recorded, overwrite=self._wanted.overwrite))
            outcome = self._listen(loop, source, tap, captions, lines)
        status = self._end(outcome, tap)
        if recorded is not None and self._wanted.refine and outcome.seconds:
            status = self._refine(recorded, hearing, captions, outcome, status)
        else:
            captions.close()
        self._summarize(outcome, status, time.monotonic() - began)
        return status

    # --- before anything is heard -----------------------------------------------------------------

    def _check_outputs(self) -> None:
        wanted = self._wanted
        if self._sink.path is None:
            require_stdout()
        else:
            check_target(self._sink.path, overwrite=wanted.overwrite)
            _need_folder(self._sink.path)
        if wanted.save is not None:
            if Path(wanted.save).suffix.lower() != ".wav":
                raise UsageError("--save writes WAV", hint="Name a file that ends in .wav.")
            if self._sink.path is not None and Path(wanted.save) == self._sink.path:
                raise UsageError("--save and -o are the same file")

    def _choose(self) -> Hearing:
        request, session = self._request, self._session
        provider = known_provider(request.provider)
        if session.network.base_url and provider is None:
            raise UsageError("--base-url needs to know whose it is", hint="Add -p NAME.")
        need = Need(
            model=request.model,
            provider=provider,
            language=request.language,
            features=request.features([self._wanted.format]),
            realtime=True,
        )
        usable = {name: session.settings.usable(name) for name in PROVIDERS}
        hearing = choose_hearing(need, usable=usable, dialect=self._wanted.dialect)
        choice = hearing.choice
        if session.network.region and choice.model.provider != "qwen":
            raise UsageError(f"{choice.model.provider} has no regions", hint="Leave out --region.")
        if session.network.base_url and hearing.embedded:
            raise UsageError("local has no base URL")
        if session.network.rpm and not self._wanted.refine and (hearing.live or hearing.embedded):
            raise UsageError(
                f"{choice.model.id} makes no requests that --rpm could space out",
                hint="It is for models that take recordings, -m qwen3-asr-flash or --refine.",
            )
        if session.network.offline and not hearing.embedded:
            raise UsageError(
                f"{choice.model.id} needs a connection, and --offline allows none",
                hint="The embedded engine needs none: -p local.",
            )
        self._console.detail(explain(choice))
        for warning in choice.warnings:
            self._console.note(warning)
        return hearing

    def _screen(self) -> NoticeStream:
        """Where someone watches, if anybody does."""
        console = self._console
        if not console.stderr_is_terminal and console.stdout_is_terminal:
            return NoticeStream(sys.stdout)
        return NoticeStream(sys.stderr)

    def _recorded(self) -> Path | None:
        if self._wanted.save is not None:
            return Path(self._wanted.save)
        return self._session.folder() / "heard.wav" if self._wanted.refine else None

    # --- while it is heard ------------------------------------------------------------------------

    def _listen(
        self, loop: Loop, source: Source, tap: Tap, captions: Captions, lines: LiveLines
    ) -> Outcome:
        try:
            with self._console.showing(lines), _interrupts(loop, source, captions.note):
                return loop.run(tap.blocks())
        except BaseException:
            self._keep(captions)
            raise

    def _keep(self, captions: Captions) -> None:
        """Write what was heard, which was paid for, on the way out with another error."""
        try:
            captions.close()
        except OutputError as error:
            self._console.error(error)
        except BrokenPipeError:
            pass

    # --- at the end -------------------------------------------------------------------------------

    def _end(self, outcome: Outcome, tap: Tap) -> int:
        for lost in tap.lost():
            self._console.warning(lost)
        self._console.detail(f"{outcome.seconds:.1f} s heard, {outcome.connections} connections")
        if outcome.error is not None:
            self._console.error(outcome.error)
            return outcome.error.exit_status
        return 0 if tap.failure is None else tap.failure.exit_status

    def _refine(
        self, recorded: Path, hearing: Hearing, captions: Captions, outcome: Outcome, status: int
    ) -> int:
        """The recording once more, for a better text; if that fails the live text is kept."""
        if self._sink.path is None and self._sink.format == "text":
            self._console.write_data(["\n==> refined <==\n"])
        try:
            refined = self._transcribed(recorded, hearing, captions)
        except AsrError as error:
            self._console.error(error)
            refined = error.exit_status
        except BaseException:
            self._keep(captions)
            raise
        if refined != 0:
            self._console.warning("the recording could not be refined: the live text is kept")
            captions.close()
            return status or refined
        # What the service could not hear live is in the new text.
        return 0 if isinstance(outcome.error, RemoteError) else status

    def _transcribed(self, recorded: Path, hearing: Hearing, captions: Captions) -> int:
        from asrcli.cli.run import Run, Wanted
        from asrcli.core.inputs import Filter

        request = replace(self._request, model="auto", provider=hearing.choice.model.provider)
        wanted = Wanted(
            output=None if self._sink.path is None else str(self._sink.path),
            formats=[self._sink.format],
            overwrite=self._wanted.overwrite or captions.saved,
        )
        return Run(self._session, wanted, request)([str(recorded)], Filter())

    def _summarize(self, outcome: Outcome, status: int, elapsed: float) -> None:
        word = "ok" if status == 0 else "partial" if outcome.seconds else "failed"
        self._console.summary(
            summary_record(
                [word],
                total=1,
                exit_status=status,
                elapsed=elapsed,
                duration=outcome.seconds,
                billed_seconds=outcome.billed_seconds,
            )
        )


def _need_folder(path: Path) -> None:
    if not path.parent.is_dir():
        raise OutputError(f"cannot write {path}: the folder does not exist")


@contextmanager
def _interrupts(loop: Loop, source: Source, note: Callable[[str], None]) -> Iterator[None]:
    """The first Ctrl-C ends capture; the second does what it did before."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN or threading.current_thread() is not threading.main_thread():
        yield
        return
    # A handler may interrupt anything, locks included: it only says that it was called.
    calls: SimpleQueue[bool] = SimpleQueue()
    ended = threading.Event()

    def first(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        calls.put(True)

    def wait() -> None:
        if calls.get():
            source.stop()
            note("finishing; Ctrl-C again stops at once")
            # What was said up to now is still on its way through the driver.
            ended.wait(_TAIL)
            loop.stop()

    thread = threading.Thread(target=wait, name="asrcli-interrupt", daemon=True)
    thread.start()
    signal.signal(signal.SIGINT, first)
    try:
        yield
    finally:
        ended.set()
        calls.put(False)
        if signal.getsignal(signal.SIGINT) is first:
            signal.signal(signal.SIGINT, before)
