"""What is shown and printed: data on standard output, everything else on standard error.

Data goes out as UTF-8 bytes, unchanged but on a terminal, where controls become visible. Standard
error may be closed, full or of any encoding: nothing that is said there can fail. Foreign text
(file names, what a service said) may be passed in as it is; keys are blotted out here.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO

from asrcli.errors import AsrError
from asrcli.output.displays import (
    JSONDisplay,
    LiveDisplay,
    NoDisplay,
    PlainDisplay,
    clock_time,
    rich_console,
)
from asrcli.output.files import batches
from asrcli.output.progress import Display, Progress, Ticker, tick_in_thread
from asrcli.output.sanitize import for_json, for_terminal, for_tsv, one_line
from asrcli.output.terminal import DataStream, NoticeStream, is_dumb, wants_color
from asrcli.secret import redact

if TYPE_CHECKING:
    from asrcli.output.live_lines import LiveLines
    from asrcli.output.plans import PlanRow

__all__ = ["Console"]

_TABLE_WIDTH = 120
"""Columns below which the table of a plan would be more folds than words."""


class Console:
    """The two streams of a run; `stdout` and `stderr` are None where they are closed.

    `color` is auto, always or never, `progress` auto, none or json. `quiet` leaves errors alone
    (and JSON progress, which is only there when asked for), `verbose` adds details, `debug` all.
    """

    def __init__(
        self,
        *,
        stdout: BinaryIO | None,
        stderr: TextIO | None,
        environ: Mapping[str, str],
        quiet: bool = False,
        verbose: bool = False,
        debug: bool = False,
        color: str = "auto",
        progress: str = "auto",
        clock: Callable[[], float] = time.monotonic,
        ticker: Ticker = tick_in_thread,
    ) -> None:
        self._out = DataStream(stdout)
        self._err = NoticeStream(stderr)
        self._environ = environ
        self.debugging = debug
        self._verbose = verbose or debug
        self._quiet = quiet and not self._verbose
        self._color = color
        self._progress = progress
        self._clock = clock
        self._ticker = ticker
        self._lock = threading.RLock()
        self._display: Display = NoDisplay()
        self._at_line_start = True

    # --- standard output ----------------------------------------------------------------------

    @property
    def stdout_is_terminal(self) -> bool:
        """True when someone reads the data as it comes."""
        return self._out.terminal

    @property
    def stderr_is_terminal(self) -> bool:
        """True when someone watches."""
        return self._err.terminal

    def write_data(self, chunks: Iterable[str]) -> None:
        """Print text, and flush it; never wrapped, never colored.

        Raises OutputError if it cannot be written, BrokenPipeError if its reader has gone.
        """
        if self._out.terminal:
            self._write_screen(for_terminal(chunk, lines=True) for chunk in chunks)
        else:
            for data in batches(chunks):
                self._out.write(data)
            self._out.flush()

    def table(
        self, columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str = ""
    ) -> None:
        """Print a table: drawn on a terminal; elsewhere as TSV, with the columns' names first."""
        if self._out.terminal:
            from asrcli.output.tables import drawn_table

            size, color = self._out.size(self._environ), self._colored(self._out)
            drawn = drawn_table(columns, rows, size=size, color=color, title=title)
            self._write_screen([drawn])
        else:
            self.write_data("\t".join(map(for_tsv, row)) + "\n" for row in (columns, *rows))

    def close(self) -> None:
        """Flush both streams; what cannot be written is not tried again when Python ends."""
        with self._lock:
            self._display.stop()
            self._out.close()
            self._err.close()

    # --- standard error -----------------------------------------------------------------------

    def error(self, error: AsrError, *, name: str | None = None) -> None:
        """Say what failed, for which input, and what to do; its notes are for `--debug`."""
        self.problem(str(error), hint=error.hint, name=name)
        for note in getattr(error, "__notes__", ()):
            self.debug(note)

    def problem(self, message: str, *, hint: str | None = None, name: str | None = None) -> None:
        """The same in words; a message that holds the name already is not given it again."""
        told = message if name is None or _names(message, name) else f"{name}: {message}"
        self._say("asrcli:", told, style="bold red")
        if hint:
            self._say(" ", hint)

    def warning(self, text: str) -> None:
        """Something that the reader of the result should know."""
        if not self._quiet:
            self._say("asrcli: warning:", text, style="bold yellow")

    def note(self, text: str) -> None:
        """Something worth knowing."""
        if not self._quiet:
            self._say("asrcli:", text)

    def detail(self, text: str) -> None:
        """Something for `-v`."""
        if self._verbose:
            self._say("asrcli:", text, style="dim")

    def debug(self, text: str) -> None:
        """Something for `--debug`; may have several lines."""
        if self.debugging:
            with self._screen():
                self._err.write(for_terminal(redact(text), lines=True).rstrip("\n") + "\n")

    def done(self, name: str, *, model: str, duration: float | None, elapsed: float) -> None:
        """How it went with one input: for someone who watches, or for `-v`."""
        if self._verbose or (self._err.terminal and not self._quiet):
            told = f"{name}: {model}, "
            if duration:
                rtf = f", RTF {elapsed / duration:.2g}"
                told += f"{clock_time(duration)} of audio in {elapsed:.1f} s{rtf}"
            else:
                told += f"{elapsed:.1f} s"
            self._say("asrcli:", told, style="dim")

    def summary(
        self, record: Mapping[str, Any], *, failures: Sequence[tuple[str, str]] = ()
    ) -> None:
        """What the whole run came to; `failures` are names and messages, as many as there are.

        For a program it is the last line. Of several inputs someone who watches gets a table with
        the first of the failures, and a log a line.
        """
        if self._progress == "json":
            with self._screen():
                self._err.write(f"{for_json(record)}\n")
        elif record["total"] > 1 and not self._quiet:
            from asrcli.output.summaries import failure_rows, rows, sentence

            if not self._watched:
                self._say("asrcli:", sentence(record))
                return
            self._list(rows(record), style="bold")
            self._list(failure_rows(failures, failed=record["failed"]), style="red")

    def plan(self, rows: Iterable[PlanRow], *, rpm: float | None, as_json: bool) -> None:
        """What a run would do: a table, lines of tab-separated values, or records, one a line."""
        from asrcli.output import plans

        if as_json:
            self.write_data(plans.plan_records(rows, rpm=rpm))
        elif not self._out.terminal:
            rows = list(rows)
            self.table(plans.FIELDS, map(plans.plan_fields, rows))
            self.note(plans.total_words(plans.plan_totals(rows, rpm=rpm)))
        elif self._out.size(self._environ)[0] < _TABLE_WIDTH:
            self._write_screen(plans.plan_blocks(rows, rpm=rpm))
        else:
            self.table(plans.COLUMNS, plans.plan_cells(rows, rpm=rpm))

    @contextmanager
    def progress(self, total: int, *, duration: float | None = None) -> Iterator[Progress]:
        """Show how far the work on so many inputs is; `duration` is that of all their audio."""
        shown = Progress(
            display := self._choose_display(),
            self._lock,
            total=total,
            duration=duration,
            clock=self._clock,
            ticker=self._ticker,
        )
        with self._lock:
            self._display = display
        try:
            with shown:
                yield shown
        finally:
            with self._lock:
                self._display = NoDisplay()

    def live_lines(self, stream: NoticeStream, *, status: bool) -> LiveLines:
        """Lines at the bottom of the screen that `stream` writes on, to be given to `showing`."""
        from asrcli.output.live_lines import LiveLines

        return LiveLines(stream, self._environ, status=status, clock=self._clock, lock=self._lock)

    @contextmanager
    def showing(self, lines: LiveLines) -> Iterator[None]:
        """Keep the lines at the bottom, below all that is written meanwhile by any thread."""
        from asrcli.output.live_lines import LinesDisplay

        with lines:
            with self._lock:
                self._display = LinesDisplay(lines)
            try:
                yield
            finally:
                with self._lock:
                    self._display = NoDisplay()

    # --- how ----------------------------------------------------------------------------------

    def _choose_display(self) -> Display:
        if self._progress == "json":
            return JSONDisplay(self._err)
        if self._progress == "none" or self._quiet:
            return NoDisplay()
        if self._watched:
            return LiveDisplay(self._err, self._environ, color=self._colored(self._err))
        return PlainDisplay(self._err)

    @property
    def _watched(self) -> bool:
        return self._err.terminal and not is_dumb(self._environ)

    def _colored(self, stream: DataStream | NoticeStream) -> bool:
        return wants_color(self._color, self._environ, terminal=stream.terminal)

    @contextmanager
    def _screen(self) -> Iterator[None]:
        """The screen to write on, without the line that repaints itself."""
        with self._lock:
            self._display.pause()
            try:
                yield
            finally:
                # In the middle of a line of data it would wipe that line out.
                if self._at_line_start:
                    self._display.resume()

    def _say(self, mark: str, text: str, *, style: str = "") -> None:
        shown = for_terminal(one_line(redact(text)))
        with self._screen():
            if style and self._colored(self._err):
                from rich.text import Text

                line = Text.assemble((mark, style), " ", shown)
                rich_console(self._err, color=True).print(line, soft_wrap=True)
            else:
                self._err.write(f"{mark} {shown}\n")

    def _write_screen(self, chunks: Iterable[str]) -> None:
        with self._screen():
            for chunk in filter(None, chunks):
                self._out.write(chunk.encode("utf-8", "replace"))
                self._at_line_start = chunk.endswith("\n")
            self._out.flush()

    def _list(self, rows: Iterable[tuple[str, str]], *, style: str) -> None:
        from asrcli.output.tables import drawn_list

        size, color = self._err.size(self._environ), self._colored(self._err)
        unicode = self._err.unicode
        drawn = drawn_list(rows, size=size, color=color, style=style, unicode=unicode)
        with self._screen():
            self._err.write(drawn)


def _names(message: str, name: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", message) is not None
