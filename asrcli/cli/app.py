"""The command line, and the one place where errors end."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from asrcli import __version__
from asrcli.cli.hotwords import hotwords
from asrcli.cli.jobs import jobs
from asrcli.cli.models import models
from asrcli.cli.stream_mic import stream_mic
from asrcli.cli.transcribe import transcribe
from asrcli.cli.upload import upload
from asrcli.errors import AsrError, StoppedBySignal, UsageError

if TYPE_CHECKING:
    from asrcli.output.console import Console

__all__ = ["command_line", "main"]


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

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and self.get_command(ctx, args[0]) is None and (hint := _meant(self, ctx, args)):
            raise UsageError(f"there is no command {args[0]!r}", hint=hint)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise _ReaderGone from error  # Typer itself would end with 1
        except SystemExit as error:
            if error.code == 1:  # rich, about the help text of a command
                raise _ReaderGone from error
            raise


def _meant(group: TyperGroup, ctx: Any, words: list[str]) -> str | None:
    """What to type in place of words that are no command, if that is clear."""
    first, *rest = words
    if first == "help":
        of = f" {rest[0]}" if rest and group.get_command(ctx, rest[0]) else ""
        return f"Type `asrcli{of} --help`."
    if first == "version":
        return "Type `asrcli --version`."

    import shlex

    from asrcli.core.inputs import AUDIO_SUFFIXES, read_reference

    suffix = os.path.splitext(first)[1].lower()  # noqa: PTH122 - it may be a URL
    if os.path.exists(first) or suffix in AUDIO_SUFFIXES or read_reference(first):
        return f"To transcribe it: `asrcli transcribe {shlex.quote(first)}`."
    return None


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"asrcli {__version__}")
        raise typer.Exit


def about(
    version: Annotated[
        bool,
        typer.Option(
            "--version", "-V", callback=_show_version, is_eager=True, help="Show the version."
        ),
    ] = False,
) -> None:
    """Speech to text: files, folders and pipes to the best recognizer at hand."""


_COMMANDS: dict[str, Any] = {
    "transcribe": transcribe,
    "upload": upload,
    "stream-mic": stream_mic,
    "models": models,
    "jobs": jobs,
    "hotwords": hotwords,
}


def command_line(words: Sequence[str] = ()) -> Any:
    """The command that `words` name, else all of them: building each takes its time.

    For the list of commands (`--help`) their names and what they do are enough.
    """
    app = typer.Typer(
        name="asrcli",
        cls=_Group,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    app.callback()(about)
    named = words[0] if words and words[0] in _COMMANDS else None
    listed = bool(words) and {*words} <= {"-h", "--help"}
    for name, command in _COMMANDS.items():
        if listed:
            app.command(name, help=_about(command))(lambda: None)
        elif named not in {None, name}:
            continue
        elif isinstance(command, typer.Typer):
            app.add_typer(command)
        else:
            app.command(name)(command)
    return typer.main.get_command(app)


def _about(command: Any) -> str:
    """What a command or a group of commands does."""
    return str(command.info.help if isinstance(command, typer.Typer) else command.__doc__)


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
        status = command_line(_words()).main(standalone_mode=False)
    except AsrError as error:
        _console().error(error)
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
        _console().problem(f"cannot write output: {error.strerror}")
        return 8
    except Exception as error:  # noqa: BLE001 - a bug of ours, or a mistake on the command line
        if hasattr(error, "format_message") and hasattr(error, "exit_code"):
            return _show_usage(error)
        return _show_bug(error)
    return status if isinstance(status, int) else 0


def _words() -> list[str]:
    """What was typed behind the name of the program; nothing where a shell asks what could be."""
    return [] if "_ASRCLI_COMPLETE" in os.environ else sys.argv[1:] or ["--help"]


def _show_usage(error: Any) -> int:
    # Typer's own errors, whichever library its version takes them from.
    if type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(error.format_message(), err=True)
        return 2
    path = error.ctx.command_path if getattr(error, "ctx", None) else "asrcli"
    message = " ".join(error.format_message().split())
    _console().problem(message, hint=f"See `{path} --help`.")
    return int(error.exit_code)


def _console() -> Console:
    from asrcli.cli import session  # a list of commands needs none

    return session.console()


def _show_bug(error: Exception) -> int:
    console = _console()
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{os.path.basename(place.filename)}:{place.lineno}"  # noqa: PTH119 - no path is shown
    console.problem(
        f"a bug: {type(error).__name__} in {where} (asrcli {__version__})",
        hint="Please report this line; --debug shows more.",
    )
    _trace(error)
    return 1


def _trace(error: BaseException) -> None:
    console = _console()
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
    _console().close()
    if threading.active_count() > 1:
        # Calls that are under way on other threads are given up, not waited for.
        os._exit(status)
    sys.exit(status)
