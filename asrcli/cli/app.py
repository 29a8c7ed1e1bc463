"""The command line, and the one place where errors end."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import threading
import traceback
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from asrcli import __version__
from asrcli.cli import session
from asrcli.cli.hotwords import hotwords
from asrcli.cli.jobs import jobs
from asrcli.cli.models import models
from asrcli.cli.stream_mic import stream_mic
from asrcli.cli.transcribe import transcribe
from asrcli.cli.upload import upload
from asrcli.errors import AsrError, StoppedBySignal

__all__ = ["app", "main"]


class _ReaderGone(Exception):  # noqa: N818 - not an error: the reader has what it wanted
    """Nobody reads standard output any more."""


class _Group(TyperGroup):
    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().make_context(*args, **kwargs)
        except BrokenPipeError as error:
            raise _ReaderGone from error
        except SystemExit as error:
            if error.code == 1:  # rich, about a help text that nobody reads
                raise _ReaderGone from error
            raise

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise _ReaderGone from error  # Typer itself would end with 1
        except SystemExit as error:
            if error.code == 1:  # rich, about the help text of a command
                raise _ReaderGone from error
            raise


app = typer.Typer(
    name="asrcli",
    cls=_Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.command()(transcribe)
app.command()(upload)
app.command()(stream_mic)
app.command()(models)
app.add_typer(jobs)
app.add_typer(hotwords)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"asrcli {__version__}")
        raise typer.Exit


@app.callback()
def about(
    version: Annotated[
        bool,
        typer.Option(
            "--version", "-V", callback=_show_version, is_eager=True, help="Show the version."
        ),
    ] = False,
) -> None:
    """Speech to text: files, folders and pipes to the best recognizer at hand."""


def main() -> NoReturn:
    """Run the command line; ends the process with the exit status."""
    _take_signals()
    if os.environ.get("NO_COLOR"):
        # Typer lets FORCE_COLOR make its help bold; this is its own way to be told otherwise.
        os.environ["_TYPER_FORCE_DISABLE_TERMINAL"] = "1"
    status = _run()
    _leave(status)


def _run() -> int:
    try:
        status = typer.main.get_command(app).main(standalone_mode=False)
    except AsrError as error:
        session.console().error(error)
        _trace(error)
        return error.exit_status
    except StoppedBySignal as stopped:
        return stopped.exit_status
    except _ReaderGone:
        return 128 + 13
    except typer.Abort:
        return 130
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EBADF}:
            return _show_bug(error)
        session.console().problem(f"cannot write output: {error.strerror}")
        return 8
    except Exception as error:  # noqa: BLE001 - a bug of ours, or a mistake on the command line
        if hasattr(error, "format_message") and hasattr(error, "exit_code"):
            return _show_usage(error)
        return _show_bug(error)
    return status if isinstance(status, int) else 0


def _show_usage(error: Any) -> int:
    # Typer's own errors, whichever library its version takes them from.
    if type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(error.format_message(), err=True)
        return 2
    path = error.ctx.command_path if getattr(error, "ctx", None) else "asrcli"
    message = " ".join(error.format_message().split())
    session.console().problem(message, hint=f"See `{path} --help`.")
    return int(error.exit_code)


def _show_bug(error: Exception) -> int:
    console = session.console()
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{os.path.basename(place.filename)}:{place.lineno}"  # noqa: PTH119 - no path is shown
    console.problem(
        f"a bug: {type(error).__name__} in {where} (asrcli {__version__})",
        hint="Please report this line; --debug shows more.",
    )
    _trace(error)
    return 1


def _trace(error: BaseException) -> None:
    console = session.console()
    if console.debugging:
        console.debug("".join(traceback.format_exception(error)))


# --- signals and the way out ------------------------------------------------------------------


def _take_signals() -> None:
    for name in ("SIGTERM", "SIGHUP", "SIGINT"):
        number = getattr(signal, name, None)
        # `nohup` and background jobs ignore some of them; that is respected.
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)
    pause = getattr(signal, "SIGTSTP", None)
    if pause is not None and signal.getsignal(pause) is signal.SIG_DFL and os.isatty(2):
        signal.signal(pause, _pause)


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    # A second one does not wait for anything.
    for name in ("SIGTERM", "SIGHUP", "SIGINT"):
        if other := getattr(signal, name, None):
            signal.signal(other, signal.SIG_DFL)
    if os.name == "posix" and os.isatty(2):
        os.write(2, b"\x1b[?25h")  # whoever paints a line hides the cursor
    raise StoppedBySignal(number)


def _pause(number: int, _frame: FrameType | None) -> None:
    with contextlib.suppress(OSError):
        os.write(2, b"\x1b[?25h")  # the shell wants to see where one types
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    # From here on it goes on again; whoever paints a line does so at its next turn.
    signal.signal(number, _pause)


def _leave(status: int) -> NoReturn:
    session.console().close()
    if threading.active_count() > 1:
        # Calls that are under way on other threads are given up, not waited for.
        os._exit(status)
    sys.exit(status)
